"""Parts of the zeolite benchmarks."""
