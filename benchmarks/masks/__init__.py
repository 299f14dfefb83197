"""Token masks: what they cost here and elsewhere, and whether they agree. See `python -m benchmarks.masks --help`."""
