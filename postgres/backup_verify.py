"""What a restore would stumble over: pgBackRest's own verification, and what it passes over.

`pgbackrest verify` (2.45) reads every file of every backup and every WAL segment, and exits with 0
whatever it finds. It says nothing of a segment that is absent between two others, nor of an info
file or manifest whose second copy still is good.
"""

import re
from collections.abc import Iterator

from cluster.backup.contracts import Damage
from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Node
from postgres import archive, backup, wal
from postgres.backup_stock import reader, stocks
from postgres.restore_target import Stock

FINDING = re.compile(
    r"INFO: (?P<kind>invalid checksum|invalid size|missing file|invalid result|path not found) "
    r"'?(?P<what>[^\s':]+)'?(?:: (?P<reason>.*))?"
)
STATUS = re.compile(r"^status: (?P<status>\w+)", re.MULTILINE)
STRAY = re.compile(r"WARN: (?P<what>.+)")
FINE = "ok"


def verify(context: Context) -> tuple[Damage, ...]:
    """Read every byte that restores need. Raises OpsError where a repository cannot be asked."""
    node = reader(context)
    found: list[Damage] = []
    for number, _ in enumerate(context.topology.archive.repositories, start=1):
        try:
            found += parse_verification(number, backup.verification(context, node, number))
        except OpsError as error:  # both copies of an info file are bad
            found.append(Damage(number, "repository", error.message))
            continue
        found += _differing_copies(context, node, number)
    try:
        for stock in stocks(context):
            found += gaps(stock)
    except OpsError as error:
        found.append(Damage(0, "WAL archive", error.message))
    return tuple(dict.fromkeys(found))


def parse_verification(number: int, text: str) -> tuple[Damage, ...]:
    """The findings in what `verify` printed.

    A status other than ok is a finding itself, so that a wording that is not known here is none.
    """
    rows = [
        Damage(number, found["what"], _reason(found["kind"], found["reason"]))
        for line in text.splitlines()
        if (found := FINDING.search(line))
    ]
    status = STATUS.search(text)
    if not rows and (status is None or status["status"] != FINE):
        rows.append(Damage(number, "repository", f"pgbackrest verify: {_last_line(text)}"))
    return tuple(rows)


def gaps(stock: Stock) -> Iterator[Damage]:
    """WAL that is absent between the oldest backup and the newest segment, by timeline."""
    if not stock.backups or not stock.archive.timelines:
        return
    newest = stock.archive.timelines[-1]
    oldest = next(
        (
            each
            for each in stock.backups
            if stock.archive.follows(newest, wal.timeline_of(each.wal_stop), each.lsn_stop)
        ),
        None,
    )
    if oldest is None:
        yield Damage(stock.repository, "backups", f"none leads to timeline {newest}")
        return
    missing = stock.archive.run(newest, oldest.wal_start).missing
    if missing:
        yield Damage(stock.repository, missing, "a WAL segment is missing before newer ones")
    for each in stock.backups:
        lacks = wal.missing_between(each.wal_start, each.wal_stop, stock.archive.segments)
        if lacks:
            yield Damage(stock.repository, each.label, f"its WAL segment {lacks[0]} is missing")


def _differing_copies(context: Context, node: Node, number: int) -> Iterator[Damage]:
    """Info files and manifests are kept twice, and pgBackRest is content with either."""
    stanza = archive.stanza(context)
    listed = backup.repositories(context, node)
    labels = [each.label for each in listed.backups if each.repository == number]
    paths = [
        f"archive/{stanza}/archive.info",
        f"backup/{stanza}/backup.info",
        *(f"backup/{stanza}/{label}/backup.manifest" for label in labels),
    ]
    for path in paths:
        one, two = (backup.checksum(context, node, number, name) for name in (path, f"{path}.copy"))
        if not one or not two:
            bad = f"{path}.copy" if one else path
            yield Damage(number, bad, "cannot be read, and its other copy can")
        elif one != two:
            yield Damage(number, path, "differs from its copy: one of the two is damaged")


def _reason(kind: str, detail: str | None) -> str:
    words = {"invalid result": "cannot be read"}.get(kind, kind)
    return f"{words}: {detail.rpartition('protocol: ')[2]}" if detail else words


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "said nothing"
