"""One byte of the backup repository flipped, as by a disk that rots; undone by the byte it was."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Healer, Seen, UndoRecord
from cluster.errors import InconclusiveError, OpsError
from cluster.target import Hit
from mongo import nodes
from mongo.backup import catalogue, settings
from mongo.backup.catalogue import needed
from mongo.backup.planning import Catalogue, every_source

UNFLIP = "byte of mongo's backups back"
KEY, OFFSET, BYTE = "key", "offset", "byte"
FLIP = 0x40


@dataclass(frozen=True)
class FlipByte:
    """Flip one bit in the middle of an object; `byte` is what is there now."""

    context: Context
    key: str
    offset: int
    byte: int

    @property
    def name(self) -> str:
        """As shown."""
        return f"a flipped byte in {self.key}"

    @property
    def undo(self) -> UndoRecord:
        """Write the byte that it was."""
        args = {KEY: self.key, OFFSET: str(self.offset), BYTE: str(self.byte)}
        return UndoRecord(UNFLIP, (), args)

    def inject(self) -> Hit:
        """Flip it, and read it again."""
        path = path_of(self.context, self.key)
        write_byte(path, self.offset, self.byte ^ FLIP)
        found = read_byte(path, self.offset)
        if found == self.byte:
            raise OpsError(f"{path}: the byte is what it was")
        at = self.context.clock.monotonic()
        return Hit(at, f"byte {self.offset} of {self.key} was {self.byte}, is {found}")


def flipped_snapshot(context: Context, _seen: Seen, random: Random) -> Fault:
    """In a set of the newest snapshot. Raises InconclusiveError where there is none."""
    found = _known(context).manifests
    if not found:
        raise InconclusiveError("there is no snapshot to damage")
    part = random.choice(sorted(found[-1].sets.values(), key=lambda one: one.key))
    return _in(context, part.key, part.stored, random)


def flipped_slice(context: Context, _seen: Seen, random: Random) -> Fault:
    """In what every restore from the newest snapshot to now must replay."""
    known = _known(context)
    sources = every_source(known)
    if not sources:
        raise InconclusiveError("there is no snapshot from which anything can be restored")
    newest = [piece.slice for one in sources[-1].reaches.values() for piece in one.pieces[:1]]
    choice = [one for one in needed(known) if one in newest and one.size]
    if not choice:
        raise InconclusiveError("nothing was archived since the newest snapshot")
    one = random.choice(choice)
    return _in(context, one.key, one.size, random)


def unflip(context: Context) -> Healer:
    """The healer."""

    def heal(record: UndoRecord) -> None:
        args = record.args
        write_byte(path_of(context, args[KEY]), int(args[OFFSET]), int(args[BYTE]))

    return heal


def path_of(context: Context, key: str) -> Path:
    """An object's file. Raises InconclusiveError where the repository is no folder."""
    folder = settings.folder(context)
    if folder is None:
        raise InconclusiveError("the repository is no folder")
    return folder / key


def read_byte(path: Path, offset: int) -> int:
    """One byte of a file."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(1)[0]


def write_byte(path: Path, offset: int, byte: int) -> None:
    """Put one byte into a file, in its place."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes([byte]))


def _in(context: Context, key: str, size: int, random: Random) -> Fault:
    offset = random.randrange(size // 4, size * 3 // 4)
    return FlipByte(context, key, offset, read_byte(path_of(context, key), offset))


def _known(context: Context) -> Catalogue:
    place = settings.place(context)
    sets = [one.name for one in nodes.replica_sets(context)]
    return catalogue.load(place.storage(), place.sealer(), sets).catalogue
