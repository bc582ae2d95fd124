"""What users do, sent through the public edge: for `services load` and for the drills."""
