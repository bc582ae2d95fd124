"""What a run leaves for people and other tools, computed from its folder alone."""
