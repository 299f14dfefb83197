"""Training of the small models that show the task benchmarks on a CPU; see README.md."""
