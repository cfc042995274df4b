"""One folder a domain; every folder holds config, candidates, structures and objective."""
