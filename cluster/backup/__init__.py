"""What backups and restores are to any engine."""
