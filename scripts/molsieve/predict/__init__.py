"""``molsieve predict``: a finished committee's word on any structures, outside a campaign."""
