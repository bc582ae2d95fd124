"""One file a migration, in the order of `down_revision`; each runs in a transaction of its own."""
