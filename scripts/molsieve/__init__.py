"""Molsieve: high-throughput virtual screening with committees of interatomic potentials."""

__version__ = "0.1.0"
