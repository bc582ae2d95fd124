"""MongoDB's faults: one a file."""
