"""Groups & tasks: who belongs to a group, and what it has to do until when."""
