"""Everything that knows MongoDB."""
