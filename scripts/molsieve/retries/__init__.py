"""What failed, ordered again: ``molsieve retry``."""
