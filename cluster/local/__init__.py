"""The local target: real servers as supervised processes on one machine."""
