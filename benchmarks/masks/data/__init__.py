"""Data of the mask benchmark, and what writes it."""
