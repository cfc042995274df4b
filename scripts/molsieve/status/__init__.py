"""How a campaign stands: ``molsieve status``."""
