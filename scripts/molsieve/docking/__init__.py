"""Guests in the pores of a framework: conformers, cells, poses, loadings."""
