"""What can be broken on any target: one fault, one file, with the healer that undoes it."""
