"""Factors: potentials called, checked, and kept."""
