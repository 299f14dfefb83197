"""Traces of runs: the file, the family tree, and how both are shown in a terminal, a notebook and a page."""
