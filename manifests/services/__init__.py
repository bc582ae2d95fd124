"""The services: what each is, and what an instance reads."""
