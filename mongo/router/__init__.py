"""The segment router: the local target's stand-in for mongos, for labs alone.

It speaks the wire protocol as mongos does to drivers, reads the real cluster metadata from the
config servers, and forwards each command to the shard that owns the namespace's database. What
needs a collection spread over shards, or a transaction over two of them, it refuses with
MongoDB's own error code and says that mongos is needed.
"""
