"""One byte of a repository's file flipped, as by a disk that rots; undone by the byte it was."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Healer, Seen, UndoRecord
from cluster.errors import InconclusiveError, OpsError
from cluster.inventory import Node
from cluster.target import Hit
from postgres import archive, backup
from postgres.faults import who
from postgres.faults.archive_outage import folder_number, folder_repository, switch_wal
from postgres.scopes import Scope

UNFLIP = "byte back"
PATH, OFFSET, BYTE = "path", "offset", "byte"
FLIP = 0x40


@dataclass(frozen=True)
class FlipByte:
    """Flip one bit in the middle of a file; `byte` is what is there now."""

    context: Context
    node: Node
    path: str
    offset: int
    byte: int

    @property
    def name(self) -> str:
        """As shown."""
        return f"a flipped byte in {PurePosixPath(self.path).parent.name}/{_short(self.path)}"

    @property
    def undo(self) -> UndoRecord:
        """Write the byte that it was."""
        args = {PATH: self.path, OFFSET: str(self.offset), BYTE: str(self.byte)}
        return UndoRecord(UNFLIP, (self.node.name,), args)

    def inject(self) -> Hit:
        """Flip it, and read it again."""
        write_byte(self.context, self.node, self.path, self.offset, self.byte ^ FLIP)
        found = read_byte(self.context, self.node, self.path, self.offset)
        if found == self.byte:
            raise OpsError(f"{self.path}: the byte is what it was")
        at = self.context.clock.monotonic()
        return Hit(at, f"byte {self.offset} of {self.path} was {self.byte}, is {found}")


def flipped_bundle(context: Context, scope: Scope, seen: Seen, random: Random) -> Fault:
    """In the data of the newest full backup. Raises InconclusiveError where there is none."""
    node = who.leader(scope, seen)
    folder = f"{_repository(context)}/backup/{archive.stanza(context)}"
    return _in_one_of(context, node, f"{folder}/{_full(context, node)}/bundle", "*", random)


def flipped_segment(context: Context, scope: Scope, seen: Seen, random: Random) -> Fault:
    """In the WAL that follows the newest backup, so that every restore of it needs it."""
    node = who.leader(scope, seen)
    segment = switch_wal(context, node)
    switch_wal(context, node)
    backup.check(context, node)
    folder = f"{_repository(context)}/archive/{archive.stanza(context)}"
    return _in_one_of(context, node, folder, f"{segment}-*", random)


def unflip(context: Context) -> Healer:
    """The healer."""

    def heal(record: UndoRecord) -> None:
        node = context.inventory.named(record.targets[0])
        args = record.args
        write_byte(context, node, args[PATH], int(args[OFFSET]), int(args[BYTE]))

    return heal


def read_byte(context: Context, node: Node, path: str, offset: int) -> int:
    """One byte of a file."""
    return int(_run(context, node, "od", "-An", "-tu1", f"-j{offset}", "-N1", path))


def write_byte(context: Context, node: Node, path: str, offset: int, byte: int) -> None:
    """Put one byte into a file, in its place."""
    script = 'printf "\\\\$(printf %o "$1")" | dd of="$0" bs=1 seek="$2" conv=notrunc status=none'
    _run(context, node, "sh", "-c", script, path, str(byte), str(offset))


def _in_one_of(context: Context, node: Node, folder: str, name: str, random: Random) -> Fault:
    found = _run(context, node, "find", folder, "-type", "f", "-name", name, "-printf", "%s %p\n")
    rows = [line.split(" ", 1) for line in sorted(found.splitlines())]
    if not rows:
        raise InconclusiveError(f"{folder} has no file {name}")
    size, path = random.choice(rows)
    offset = random.randrange(int(size) // 4, int(size) * 3 // 4)
    return FlipByte(context, node, path, offset, read_byte(context, node, path, offset))


def _full(context: Context, node: Node) -> str:
    found = backup.repositories(context, node).full_in(folder_number(context))
    if found is None:
        raise InconclusiveError("there is no full backup to damage")
    return found.label


def _repository(context: Context) -> str:
    return folder_repository(context) or ""


def _short(path: str) -> str:
    return PurePosixPath(path).name.partition("-")[0]


def _run(context: Context, node: Node, *argv: str) -> str:
    ended = context.target.run_tool(node, argv)
    if ended.code:
        raise OpsError(f"{argv[0]} on {node.name}: {ended.stderr.strip()[:200]}")
    return ended.stdout
