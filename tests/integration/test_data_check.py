"""`data check` on real stores: sound data is clean, and one orphan of each kind is found."""

import threading
from collections.abc import Generator, Iterator
from typing import cast
from uuid import uuid4

import pytest
from pymongo.collection import Collection

from cluster.schema.catalogue import BY_NAME
from cluster.schema.types import Entity, Kind
from mongo import guarantees, nodes
from mongo.client import Client, Document, router_client
from mongo.credentials import ADMIN, APPLICATION, login
from mongo.references import MongoEnds
from skillswap_ops.integrity import Link, Observer, check_references, links
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab
from tests.integration.reference_rows import Row, Rows, stored

pytestmark = pytest.mark.servers

Found = dict[str, dict[str, object]]


@pytest.fixture(scope="module")
def lab(shared_lab: Lab) -> Lab:
    shared_lab.run("schema", "apply")
    return shared_lab


@pytest.fixture
def application(lab: Lab) -> Iterator[Client]:
    """A client as the services have it."""
    context = lab.context
    account = login(context, APPLICATION)
    with router_client(nodes.routers(context), account, seconds=60) as client:
        yield client


def checked(lab: Lab, *words: str, code: int) -> tuple[dict[str, object], Found]:
    """What `data check` says, and its references by name."""
    answer = cast("dict[str, object]", lab.json("data", "check", *words, code=code))
    references = cast("list[dict[str, object]]", answer["references"])
    return answer, {f"{one['entity']}.{one['field']}": one for one in references}


def plant(rows: Rows, link: Link) -> tuple[str, str]:
    """A row that is sound but for this reference: its key, and the id that names nothing."""
    field, missing = link.reference.field, str(uuid4())
    is_list = link.entity.field(field).kind is Kind.STRINGS
    row = rows.make(link.entity.name, **{field: [missing] if is_list else missing})
    return str(row[link.entity.key]), missing


def test_sound_data_is_clean(lab: Lab) -> None:
    rows = Rows()
    for link in links():
        rows.make(link.entity.name)
    with stored(lab.context, rows):
        answer, found = checked(lab, code=0)
    assert answer["clean"] is True
    assert answer["orphans"] == 0
    assert len(found) == len(links())
    assert all(cast("int", one["ids_looked_up"]) > 0 for one in found.values())
    roles = {one["role"] for one in cast("list[dict[str, object]]", answer["answered_by"])}
    assert roles == {"secondary", "standby"}


def test_one_orphan_of_each_declared_reference_is_found(lab: Lab) -> None:
    rows = Rows()
    planted = {f"{link.entity.name}.{link.reference.field}": plant(rows, link) for link in links()}
    with stored(lab.context, rows):
        _, found = checked(lab, code=1)
        shown = lab.run("data", "check", code=1).stdout
    assert found.keys() == planted.keys()
    for name, (row, missing) in planted.items():
        one = found[name]
        assert (one["ids_missing"], one["orphans"]) == (1, 1), name
        assert one["examples"] == [{"value": missing, "rows": 1, "row": row}], name
        assert row in shown
        assert missing in shown
    assert all(len(line) <= 100 for line in shown.splitlines())


def test_optional_references_that_are_absent_or_null_are_no_orphans(
    lab: Lab, application: Client
) -> None:
    """Neither a field that is not there, nor null, nor an empty list names anything."""
    rows = Rows()
    rows.make("MESSAGE", pieces_jointes=[])
    rows.make("INTENTION_PAIEMENT", id_abonnement=None)
    without = rows.make("MESSAGE")
    del without["pieces_jointes"]
    with stored(lab.context, rows):
        answer, _ = checked(lab, "MESSAGE", "INTENTION_PAIEMENT", code=0)
    assert answer["clean"] is True


def test_what_is_written_between_two_reads_is_no_orphan(
    lab: Lab, application: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys are read, then a session and its message are written, then the messages are read."""
    rows = Rows()
    message = rows.make("MESSAGE")
    suspected: list[str] = []
    real_values, real_present = MongoEnds.values, MongoEnds.present

    def values(self: MongoEnds, entity: Entity, field: str) -> Generator[object, None, None]:
        with stored(lab.context, rows):
            yield from real_values(self, entity, field)

    def present(self: MongoEnds, entity: Entity, keys: list[str]) -> set[str]:
        suspected.extend(keys)
        return real_present(self, entity, keys)

    monkeypatch.setattr(MongoEnds, "values", values)
    monkeypatch.setattr(MongoEnds, "present", present)
    wanted = tuple(one for one in links(("MESSAGE",)) if one.reference.field == "id_session")
    result = check_references(lab.context, wanted, Observer())
    assert suspected == [message["id_session"]]
    assert result.clean


def test_an_application_that_writes_meanwhile_makes_no_orphans(
    lab: Lab, application: Client
) -> None:
    stop, written = threading.Event(), threading.Semaphore(0)
    writer = threading.Thread(target=_write_soundly, args=(application, stop, written))
    writer.start()
    try:
        for _ in range(5):
            for _ in range(10):
                assert written.acquire(timeout=60)
            result = check_references(lab.context, links(("MESSAGE", "SESSION")), Observer())
            assert result.clean, [one.examples for one in result.found]
    finally:
        stop.set()
        writer.join()


def _write_soundly(client: Client, stop: threading.Event, written: threading.Semaphore) -> None:
    """What is named is written before what names it, and removed after it."""
    there: list[list[tuple[str, Row]]] = []
    while not stop.is_set() or there:
        if not stop.is_set():
            rows = Rows()
            rows.make("MESSAGE")
            order = [
                (name, row)
                for name in ("UTILISATEUR", "SESSION", "MEDIA", "MESSAGE")
                for row in rows.made[name]
            ]
            for name, row in order:
                _collection(client, name).insert_one(row)
            there.append(order)
        if len(there) > 3 or stop.is_set():
            for name, row in reversed(there.pop(0)):
                _collection(client, name).delete_one({"_id": row["_id"]})
        written.release()


def _collection(client: Client, name: str) -> Collection[Document]:
    return guarantees.collection(client, BY_NAME[name])


def test_an_entity_that_is_not_declared(lab: Lab) -> None:
    ended = lab.run("data", "check", "MESAGE", code=2)
    assert 'there is no entity "MESAGE"' in ended.stderr


def test_without_a_collection_nothing_is_called_clean(lab: Lab) -> None:
    """A collection that is not there has no orphans, but it is not whole either."""
    context: LocalContext = lab.context
    with router_client(nodes.routers(context), login(context, ADMIN)) as administrator:
        database = administrator["users_skills"]
        database["LIEN_IDENTITE"].rename("drill_away")
        try:
            ended = lab.run("data", "check", code=1)
            assert "the schema is not applied: users_skills has no LIEN_IDENTITE" in ended.stderr
            assert "schema apply" in ended.stderr
        finally:
            database["drill_away"].rename("LIEN_IDENTITE")
    assert check_references(context, links(("LIEN_IDENTITE",)), Observer()).clean
