"""Brings a copy of a member to an instant, by the server's own recovery from its oplog."""
