"""How far a standby is behind, as SQL that asks nobody but the standby."""

from typing import LiteralString

# Seconds since the last commit that it replayed, where what it had received is not replayed 0.4 s
# later; else 0; NULL of a primary. A standby that has replayed all that it received is not behind,
# however old the last commit is. On an idle cluster it receives what is no commit, a snapshot of
# what runs for one: a look between receipt and replay would find it as far behind as the last
# commit is old. OFFSET 0 keeps the subquery, so that `received` is read once, and first.
LAG_SECONDS: LiteralString = """
(SELECT CASE
  WHEN NOT pg_is_in_recovery() THEN NULL
  WHEN received <= pg_last_wal_replay_lsn() THEN 0
  WHEN pg_sleep(0.1) IS NOT NULL AND received <= pg_last_wal_replay_lsn() THEN 0
  WHEN pg_sleep(0.3) IS NOT NULL AND received <= pg_last_wal_replay_lsn() THEN 0
  ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
END::float8 FROM (SELECT pg_last_wal_receive_lsn() AS received OFFSET 0) wal)"""
