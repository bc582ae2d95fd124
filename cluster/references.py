"""References that lead nowhere, wherever their two ends are stored: a merge of two sorted streams.

Ends may be on different shards or in different databases, where no join reaches, so the distinct
values of a reference and the keys of what it names come as two sorted streams, and are merged in
constant memory. They are read from replicas, one after the other, while applications write: what
is missing in the merge is a suspicion only. A suspect is an orphan where the primaries say, in this
order: the row is there, what it names is not there, the row is still there. Applications insert
what is named before what names it, and remove it after: so no row of theirs can look like that.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol

from cluster.errors import InconclusiveError
from cluster.schema.types import Entity, Reference

BATCH = 5_000  # suspects that are confirmed together
EXAMPLES = 3


@dataclass(frozen=True)
class Holder:
    """A value of a reference: how many rows hold it, and the key of one of them."""

    value: str
    rows: int
    row: str


@dataclass(frozen=True)
class Checked:
    """A declared reference as it was found.

    `values` are the distinct ones that were looked up, `missing` those that name nothing, `rows`
    the rows that hold a missing one.
    """

    entity: str
    field: str
    refers_to: str
    values: int
    missing: int = 0
    rows: int = 0
    examples: tuple[Holder, ...] = ()

    @property
    def name(self) -> str:
        """As `MESSAGE.id_session → SESSION`."""
        return f"{self.entity}.{self.field} → {self.refers_to}"


class Ends(Protocol):
    """What an engine tells of the references that start or end in it."""

    def values(self, entity: Entity, field: str) -> Generator[object, None, None]:
        """A reference's distinct values, from a replica: texts ascending; others in any place.

        A list counts by its elements, and an absent or null field not at all.
        """
        ...

    def keys(self, entity: Entity) -> Generator[str, None, None]:
        """All keys of an entity, from a replica, ascending."""
        ...

    def present(self, entity: Entity, keys: Sequence[str]) -> set[str]:
        """Which of these keys exist, by the primary, as a majority has them."""
        ...

    def holders(
        self, entity: Entity, field: str, values: Sequence[object], *, durable: bool
    ) -> list[Holder]:
        """Which of these values are held, by the primary: as a majority has them, or right now."""
        ...


def anti_join(values: Iterable[object], keys: Iterable[str]) -> Iterator[object]:
    """The values that are no key. Both ascend; what is no text is no key, and may stand anywhere.

    Raises InconclusiveError where a stream does not ascend: nothing would follow from it.
    """
    ascending = _ascending(keys)
    key = next(ascending, None)
    last = ""
    for value in values:
        if not isinstance(value, str):
            yield value
            continue
        if value < last:
            raise InconclusiveError(_disorder(last, value))
        last = value
        while key is not None and key < value:
            key = next(ascending, None)
        if key != value:
            yield value


def _ascending(keys: Iterable[str]) -> Iterator[str]:
    last = ""
    for key in keys:
        if key < last:
            raise InconclusiveError(_disorder(last, key))
        last = key
        yield key


def _disorder(first: str, second: str) -> str:
    return f"a server sorts ids in another way than by their bytes: {first!r} before {second!r}"


def check(
    entity: Entity, reference: Reference, target: Entity, held_by: Ends, named_by: Ends
) -> Checked:
    """Look up every value of a reference of `entity` among the keys of `target`."""
    field = reference.field
    missing, rows = 0, 0
    examples: list[Holder] = []
    with closing(held_by.values(entity, field)) as values, closing(named_by.keys(target)) as keys:
        counted = Counted(values)
        suspects = anti_join(counted, keys)
        for batch in iter(lambda: list(islice(suspects, BATCH)), []):
            found = confirmed(
                batch,
                partial(named_by.present, target),
                partial(held_by.holders, entity, field, durable=True),
                partial(held_by.holders, entity, field, durable=False),
            )
            missing += len(found)
            rows += sum(holder.rows for holder in found)
            examples += found[: EXAMPLES - len(examples)]
    return Checked(entity.name, field, target.name, counted.count, missing, rows, tuple(examples))


class Counted:
    """An iterable that knows how many went through it."""

    def __init__(self, values: Iterable[object]) -> None:
        self._values = values
        self.count = 0

    def __iter__(self) -> Iterator[object]:
        for value in self._values:
            self.count += 1
            yield value


def confirmed(
    suspects: Sequence[object],
    present: Callable[[Sequence[str]], set[str]],
    held_durably: Callable[[Sequence[object]], list[Holder]],
    held_now: Callable[[Sequence[object]], list[Holder]],
) -> list[Holder]:
    """The suspects that are orphans, by the primaries.

    A row is first seen as a majority has it, so that what it names, written before it, is visible
    to a majority as well, and then as it is now, so that its removal shows at once.
    """
    missing = _without(suspects, present)  # what a replica lacks for its lag goes no further
    if not missing:
        return []
    before = {holder.value for holder in held_durably(missing)}
    missing = _without([value for value in missing if str(value) in before], present)
    if not missing:
        return []
    return [holder for holder in held_now(missing) if holder.value in before]


def _without(
    values: Sequence[object], present: Callable[[Sequence[str]], set[str]]
) -> list[object]:
    keys = [value for value in values if isinstance(value, str)]
    there = present(keys) if keys else set()
    return [value for value in values if not isinstance(value, str) or value not in there]
