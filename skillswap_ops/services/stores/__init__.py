"""The stores as services use them; each raises UnavailableError when it cannot be reached."""
