"""Shared settings of all tests."""

import os

# Small arrays, and often as many test processes as cores: threads would only wait for each other.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
