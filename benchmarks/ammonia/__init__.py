"""Ammonia, taught to a committee: what the benchmark of data efficiency is made of."""
