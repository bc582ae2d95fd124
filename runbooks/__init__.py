"""Procedures that a person can read and the tool can run."""
