"""Zeolites: which guest templates which framework, and with which heteroatoms."""
