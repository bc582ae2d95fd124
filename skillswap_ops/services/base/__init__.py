"""What every service has: application, stores, tokens, problems, logs, metrics, shutdown."""
