"""Faults of the PostgreSQL side: one thing broken, one file."""
