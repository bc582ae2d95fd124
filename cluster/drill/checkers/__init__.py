"""Pure functions from a history to what it means; no clock, no file, no engine."""
