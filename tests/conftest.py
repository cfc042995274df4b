"""Settings of all tests: one thread a process, as in the workflow; set before numpy is imported."""

import os

for name in ("OMP", "MKL", "OPENBLAS"):
    os.environ.setdefault(f"{name}_NUM_THREADS", "1")
