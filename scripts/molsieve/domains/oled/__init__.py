"""OLED emitters: donors joined to acceptors, for small gaps, strong emission and colour."""
