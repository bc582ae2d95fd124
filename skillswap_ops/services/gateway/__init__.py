"""The gateway: the only way in. Checks tokens, counts requests, and passes them on."""
