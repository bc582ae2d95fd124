"""Follows every set's oplog into the archive: `python -m mongo.backup.archiver --config FILE`."""
