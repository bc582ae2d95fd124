"""What `doctor` sees: the kinds of facts, and their readers."""
