"""Reviews: what participants say about each other, and the reputation that it adds up to."""
