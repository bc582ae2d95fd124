"""MongoDB's backups: snapshots, a continuous archive of the oplogs, and restores to an instant."""
