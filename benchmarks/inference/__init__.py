"""What inference costs, and how good it is; `python -m benchmarks.inference` lists it."""
