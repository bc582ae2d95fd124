"""Facts of a healthy cluster, and a page to run, for tests without a server."""

from dataclasses import dataclass, field, replace
from typing import Any

from runbooks.facts.records import (
    Backups,
    Certificate,
    ClockOffset,
    EtcdFact,
    Fact,
    Facts,
    MongoMember,
    MongoSet,
    PgArchive,
    PgMember,
    PgScope,
    PgSlot,
    Pooler,
    Proof,
    Proxy,
    RegionFact,
    Server,
    ServiceFact,
    Volume,
)

SHARD_A = MongoSet("shard-a", "shard-a", "shard", 3, 3, 3, 2, "shard-a-1", False)
MEMBER = MongoMember(
    "shard-a-2", "shard-a", "shard", True, "SECONDARY", None, 0.0, 1.0, False, False
)
SCOPE = PgScope(
    "payments", "payments", True, 2, 2, 1, "pg1", True, True, "", False, True, False, "payments-dr"
)
DR = replace(
    SCOPE, name="payments-dr", group="payments-dr", leads=False, total=1, answering=1, writable=0,
    primary="", standby_wanted=False, attached=False, dr="",
)  # fmt: skip
ETCD = EtcdFact("payments", "etcd", 3, 3, True, False, True)
PG1 = PgMember("pg1", "payments", False, True, "primary", None, True, None, None)
PGSYNC1 = PgMember("pgsync1", "payments", False, True, "replica", True, False, 0.0, False)
PGDR1 = PgMember("pgdr1", "payments-dr", True, True, "standby_leader", True, False, 0.0, False)
HEALTHY: tuple[Fact, ...] = (
    SHARD_A,
    replace(SHARD_A, name="config", group="config", role="config", primary="config-1"),
    MEMBER,
    SCOPE,
    DR,
    ETCD,
    PG1,
    PGSYNC1,
    PGDR1,
    PgSlot("payments_dr", "payments", "pg1", True, "reserved", 16.0),
    PgArchive("pg1", "payments", False, 20.0),
    Pooler("pg1", "payments", True, 3, 0, 0.0),
    Proxy("haproxy-1", "payments", True, "pg1", "pg1"),
    Volume("shard-a-1", "shard-a-1", "mongo", 40.0, 60.0),
    ClockOffset("pg1", "pg1", 0.0),
    Certificate("objects-1", "certificates", 364.0),
    Backups("postgres", "backups", 1, 2.0, 2.0),
    Backups("mongo", "backups", 0, None, 2.0),
    Proof("backup-proof", "backups", "never", None, 31, False),
    ServiceFact("auth", "services", 2, 2, 0, ""),
    RegionFact("payments", "payments", "home", True, False, "failback"),
    Server("redis-1", "redis", "other", "redis", "ok", "primary", ""),
    Server("etcd-1", "etcd", "postgres", "etcd", "ok", "member", ""),
    Server("router-1", "router", "mongo", "router", "ok", "segment router", "2 shards"),
)


def seen(*changes: Fact) -> Facts:
    """A healthy cluster but for these facts, each in place of that of its kind and name."""
    changed = {(each.kind, each.name): each for each in changes}
    kept = [changed.pop((each.kind, each.name), each) for each in HEALTHY]
    return Facts((*kept, *changed.values()))


def down(name: str, group: str, what: str, health: str = "down") -> Server:
    return Server(name, group, "any", what, health, "down", "refused")


PAGE = """---
id: sample
title: A sample
severity: critical
sla: mongo.rto
rights: [any]
arguments:
  shard: {help: which}
symptoms:
  - each: mongo_set
    when: serving < total
    evidence: "{name}: {serving} of {total}"
    arguments: {shard: name}
---

# A sample

## What you see

Text.

## Impact

Text.

## How sure

Text.

## Steps

### 1. Look

```yaml step
step: observe
id: look
run: skillswap-ops status
if it fails: {then: go on, say: no matter}
```

### 2. Ask

```yaml step
step: decide
id: ask
ask: "Is {shard} to be started?"
answers: {"yes": go on, "no": stop, "later": gone}
if it fails: {say: ask again}
```

### 3. Start

```yaml step
step: do
id: start
run: skillswap-ops provision
safe: true
done when: {each: mongo_set, where: name == arg.shard, holds: serving == total}
if it fails: {say: read the log}
```

### 4. Step down

```yaml step
step: do
id: stepdown
action: mongo-stepdown
with: {shard: "{shard}"}
done when: {each: mongo_set, where: name == arg.shard, holds: primary != "shard-a-1"}
if it fails: {then: go on, say: never mind}
```

### 5. Wait

```yaml step
step: wait
id: level
until: {each: mongo_set, where: name == arg.shard, holds: serving == total}
within: 10
if it fails: {then: start, say: start it again}
```

## Verification

### 6. Gone

```yaml step
step: verify
id: gone
that: gone
within: 5
if it fails: {say: begin again}
```

## Rollback

None.

## When to escalate

Never.
"""


@dataclass
class FakeWorld:
    """A cluster of one set, whose two changes are counted."""

    serving: int = 2
    primary: str = "shard-a-1"
    started: int = 0
    stepped: int = 0
    fail_start: int = 0
    answers: dict[str, str] = field(default_factory=lambda: {"ask": "yes", "stepdown": "yes"})
    lines: list[str] = field(default_factory=list)
    time: float = 0.0
    awaited: list[int] = field(default_factory=list)

    def look(self, kinds: Any) -> Facts:
        assert kinds
        return Facts((replace(SHARD_A, serving=self.serving, primary=self.primary),))

    def stepdown(self, values: Any, say: Any) -> str:
        assert values == {"shard": "shard-a"}
        self.stepped += 1
        self.primary = "shard-a-2"
        return "stepped down, by the password hunter2hunter2"
