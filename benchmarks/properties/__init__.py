"""What the benchmarks of the property heads share."""
