"""Zeolite frameworks: read, checked, typed in; their symmetry, rings and pores."""
