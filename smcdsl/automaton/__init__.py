"""Runs token automata; does not know how they are built."""
