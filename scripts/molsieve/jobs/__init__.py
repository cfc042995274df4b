"""What a job is: what it asks for and is granted, its attempts, leases and controller."""
