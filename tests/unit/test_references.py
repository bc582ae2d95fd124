"""The merge that finds references that lead nowhere, and what makes a suspect an orphan."""

from collections.abc import Generator, Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import InconclusiveError
from cluster.references import BATCH, EXAMPLES, Checked, Holder, anti_join, check
from cluster.schema.sessions_messages import MESSAGE, SESSION
from cluster.schema.types import Entity
from cluster.schema.words import to

REFERENCE = to("id_session", "SESSION")


def test_values_that_are_no_key_are_found_wherever_they_lie() -> None:
    assert list(anti_join(["a", "b", "d", "f"], ["b", "c", "d"])) == ["a", "f"]


def test_without_keys_every_value_is_a_suspect() -> None:
    assert list(anti_join(["a", "b"], [])) == ["a", "b"]


def test_what_is_no_text_is_no_key() -> None:
    assert list(anti_join([7, "a", None, "b", {"x": 1}], ["a", "b"])) == [7, None, {"x": 1}]


@given(st.sets(st.text()), st.sets(st.text()))
def test_it_is_the_difference_of_two_sets(values: set[str], keys: set[str]) -> None:
    assert list(anti_join(sorted(values), sorted(keys))) == sorted(values - keys)


@given(st.lists(st.uuids()))
def test_a_uuid_sorts_as_its_text_does(ids: list[UUID]) -> None:
    """PostgreSQL sorts uuids by their bytes, MongoDB texts by theirs."""
    by_bytes = [str(one) for one in sorted(ids, key=lambda one: one.bytes)]
    assert by_bytes == sorted(map(str, ids))


@pytest.mark.parametrize(("values", "keys"), [(["b", "a"], ["a"]), (["a", "z"], ["a", "c", "b"])])
def test_a_stream_in_another_order_proves_nothing(values: list[str], keys: list[str]) -> None:
    with pytest.raises(InconclusiveError, match="sorts ids in another way"):
        list(anti_join(values, keys))


class Fake:
    """Both ends in memory: what the replica shows, and then the primary, answer by answer."""

    def __init__(self, values: Sequence[object], keys: Sequence[str]) -> None:
        self.replica_values, self.replica_keys = values, keys
        self.keys_answers: list[set[str]] = []
        self.rows_answers: list[set[object]] = []
        self.asked: list[str] = []

    def values(self, entity: Entity, field: str) -> Generator[object, None, None]:
        yield from self.replica_values

    def keys(self, entity: Entity) -> Generator[str, None, None]:
        yield from self.replica_keys

    def present(self, entity: Entity, keys: Sequence[str]) -> set[str]:
        self.asked.append("keys")
        there = self.keys_answers.pop(0) if self.keys_answers else set(self.replica_keys)
        return there & set(keys)

    def holders(
        self, entity: Entity, field: str, values: Sequence[object], *, durable: bool
    ) -> list[Holder]:
        self.asked.append("rows at majority" if durable else "rows now")
        there = self.rows_answers.pop(0) if self.rows_answers else set(self.replica_values)
        return [Holder(str(value), 2, f"row of {value}") for value in values if value in there]


def found(fake: Fake) -> Checked:
    return check(MESSAGE, REFERENCE, SESSION, fake, fake)


def test_a_sound_reference() -> None:
    fake = Fake(["a", "b"], ["a", "b", "c"])
    assert found(fake) == Checked("MESSAGE", "id_session", "SESSION", values=2)
    assert fake.asked == []


def test_an_orphan_is_confirmed_by_the_primaries_in_this_order() -> None:
    fake = Fake(["a", "b"], ["a"])
    assert found(fake) == Checked(
        "MESSAGE", "id_session", "SESSION", 2, 1, 2, (Holder("b", 2, "row of b"),)
    )
    assert fake.asked == ["keys", "rows at majority", "keys", "rows now"]


def test_a_replica_that_lags_is_no_orphan() -> None:
    fake = Fake(["a", "b"], ["a"])
    fake.keys_answers = [{"b"}]
    assert found(fake).missing == 0
    assert fake.asked == ["keys"]


def test_rows_removed_since_the_replica_was_read_are_no_orphans() -> None:
    fake = Fake(["b"], [])
    fake.rows_answers = [set()]
    assert found(fake).missing == 0


def test_what_is_named_was_written_between_the_two_looks() -> None:
    """Row and target came after the first look at the keys: the second look sees the target."""
    fake = Fake(["b"], [])
    fake.keys_answers = [set(), {"b"}]
    assert found(fake).missing == 0


def test_row_and_target_were_removed_between_the_two_looks() -> None:
    """The row was there, then it went, then its target: the target's absence proves nothing."""
    fake = Fake(["b"], [])
    fake.keys_answers = [set(), set()]
    fake.rows_answers = [{"b"}, set()]
    assert found(fake).missing == 0


def test_many_orphans_are_counted_in_batches_and_few_are_kept() -> None:
    values = [f"{number:08}" for number in range(2 * BATCH + 1)]
    fake = Fake(values, [])
    result = found(fake)
    assert (result.values, result.missing, result.rows) == (
        len(values),
        len(values),
        2 * len(values),
    )
    assert [one.value for one in result.examples] == values[:EXAMPLES]
    assert len(fake.asked) == 3 * 4


def test_a_value_that_is_no_text_is_an_orphan_without_being_looked_up() -> None:
    fake = Fake([7], ["a"])
    assert found(fake).examples == (Holder("7", 2, "row of 7"),)
    assert "keys" not in fake.asked
