"""``molsieve export``: a round's committee as a folder that needs no campaign beside it."""
