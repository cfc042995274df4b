"""What a campaign will be and cost: ``molsieve plan``."""
