"""What is true of any engine: topology, plan, targets, secrets, state and the drill core."""
