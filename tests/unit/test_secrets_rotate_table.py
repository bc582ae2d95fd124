"""Which secrets there are, which of them are rotated, and what each of them changes."""

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import SecretStr

import mongo.rotation
from cluster.context import Context
from cluster.errors import InvalidInputError, RefusedError, UnreachableError
from cluster.local.target import LocalTarget
from cluster.rolling import HandOver, Move
from cluster.rotation import Rotatable
from cluster.secrets import SecretStore
from cluster.server import Server
from manifests.rotation import JWT
from manifests.services.instances import LATE_SECONDS, signing
from mongo.credentials import keyfile_text
from mongo.router.config import keys
from postgres import control_socket, names, operators
from postgres.scopes import primary_scope
from postgres.servers import passwords_mark
from skillswap_ops import rotating
from skillswap_ops.engines import all_endpoints, all_servers
from skillswap_ops.provisioning import check_change
from skillswap_ops.wiring import LocalContext
from tests.unit.test_tls_servers import context as sample

EVERYTHING: dict[str, object] = {"objects.members": 1, "tls.enabled": True}


class Recording(SecretStore):
    """Takes down which secrets were asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: set[str] = set()

    def get(self, name: str) -> SecretStr:
        self.asked.add(name)
        return super().get(name)

    def key(self, name: str) -> SecretStr:
        self.asked.add(name)
        return super().key(name)


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return cast("LocalContext", sample(tmp_path, EVERYTHING))


def table(context: LocalContext) -> dict[str, Rotatable]:
    return {one.name: one for one in rotating.rotatables(context, lambda _: None)}


def test_every_secret_that_the_code_asks_for_is_rotated_or_named_with_a_reason(
    context: LocalContext,
) -> None:
    """A new one without a line in the table fails here."""
    store = Recording(context.layout.secrets)
    seen = cast("LocalContext", replace(context, secrets=store))
    all_servers(seen)
    all_endpoints(seen, reveal=True)
    for scope in (primary_scope(seen).name, "payments-dr"):
        names.etcd_password(seen, scope, names.ETCD_ROOT)
    for role in (names.MONITOR, names.application(seen.topology)):
        names.password(seen, role)
    assert len(store.asked) > 20
    known = {one.name for one in table(seen).values()}
    known |= {one.after or one.kept_as for one in table(seen).values()}
    lost = {name for name in store.asked if name not in known and not rotating.why_kept(name)}
    assert not lost
    unused = {one.after or one.kept_as for one in table(seen).values()} - store.asked
    assert not {name for name in unused if not name.startswith("mongo-")}


def test_the_list_names_each_once_and_says_what_is_never_rotated(context: LocalContext) -> None:
    all_servers(context)
    all_endpoints(context, reveal=True)
    rows = rotating.listed(context)
    by_name = {row.name: row for row in rows}
    assert len(by_name) == len(rows)
    assert by_name["mongo-app"].rotatable
    assert by_name["mongo-app"].days == pytest.approx(0, abs=0.01)
    assert by_name[JWT].days == pytest.approx(0, abs=0.01)
    assert not by_name["archive-repo1-cipher"].rotatable
    assert "encrypted with it" in by_name["mongo-backup-key"].how
    assert "services-jwt-k1" not in by_name
    shown = json.dumps([vars(row) for row in rows])
    assert not [each for each in context.secrets.known() if each.get_secret_value() in shown]


def test_what_restarts_comes_last(context: LocalContext) -> None:
    order = [*table(context)]
    assert order[-1] == "mongo-keyfile"
    assert order.index("etcd-payments-root") < order.index("etcd-payments-patroni")
    assert order.index("postgres-payments_app") < order.index("postgres-postgres")


def test_what_was_begun_comes_first_then_what_is_asked_for_or_left() -> None:
    order = ("a", "b", "c", "d")
    assert rotating.due(order, (), (), ()) == order
    assert rotating.due(order, ("c", "a"), (), ("d",)) == ("a", "c")
    assert rotating.due(order, (), (), ("d", "b")) == ("b", "d")
    assert rotating.due(order, ("a",), ("c",), ()) == ("c", "a")
    assert rotating.due(order, (), ("c",), ("c", "d")) == ("c", "d")


def test_a_name_that_is_none_or_never_rotated_is_refused(context: LocalContext) -> None:
    with pytest.raises(InvalidInputError, match="no secret to rotate: mongo-nobody"):
        rotating.check(context, ("mongo-nobody",))
    with pytest.raises(RefusedError, match="archive-repo2-cipher is not rotated"):
        rotating.check(context, ("archive-repo2-cipher",))
    context.secrets.get("mongo-app")
    context.secrets.stage("mongo-app")
    assert rotating.check(context, ("redis-app",)) == ("mongo-app", "redis-app")


@pytest.mark.parametrize("alive", [True, False])
def test_provision_waits_for_a_half_done_rotation_unless_nothing_runs(
    context: LocalContext, *, alive: bool
) -> None:
    supervisor = SimpleNamespace(alive=lambda: alive)
    here = replace(context, target=SimpleNamespace(supervisor=supervisor))  # type: ignore[arg-type]
    check_change(here)
    context.secrets.get("redis-app")
    context.secrets.stage("redis-app")
    if alive:
        with pytest.raises(RefusedError, match="`secrets rotate` was cut off: redis-app"):
            check_change(here)
    else:
        check_change(here)


def test_the_key_file_has_both_keys_while_one_is_coming(
    context: LocalContext, tmp_path: Path
) -> None:
    old = context.secrets.key("mongo-keyfile").get_secret_value()
    assert keyfile_text(context) == old
    new = context.secrets.stage("mongo-keyfile", key=True).get_secret_value()
    path = tmp_path / "both"
    path.write_text(keyfile_text(context))
    path.chmod(0o600)
    assert keys(path) == (old, new)
    context.secrets.adopt("mongo-keyfile")
    assert keyfile_text(context) == new


def named(context: Context, name: str) -> Server:
    return next(one for one in all_servers(context) if one.name == name)


@pytest.mark.parametrize(
    ("secret", "server"),
    [
        ("redis-app", "redis-1"),
        ("mongo-app", "sessions-1"),
        ("postgres-payments_app", "payments-1"),
    ],
)
def test_what_a_running_server_takes_anew_is_no_reason_to_restart_it(
    context: LocalContext, secret: str, server: str
) -> None:
    before = named(context, server).files[0]
    new = context.secrets.stage(secret).get_secret_value()
    during = named(context, server).files[0]
    context.secrets.adopt(secret)
    after = named(context, server).files[0]
    assert before.fixed is not None
    assert before.fixed == during.fixed == after.fixed
    assert before.text != after.text
    assert new in after.text
    assert new not in after.fixed
    # Redis is told by command, a client of one password finds both in its file.
    assert (new in during.text) is (secret != "redis-app")


def test_both_signing_keys_verify_before_one_signs_and_the_old_one_runs_out(
    context: LocalContext,
) -> None:
    store = context.secrets
    assert (signing(store).active, signing(store).until) == ("k1", {})
    one = table(context)[JWT]
    assert (one.kept_as, one.after) == ("services-jwt-k2", "services-jwt-k1")
    store.stage(one.kept_as, key=True)
    coming = signing(store)
    assert (coming.active, {*coming.keys}, coming.until) == ("k1", {"k1", "k2"}, {})
    store.adopt(one.kept_as, one.after)
    now = signing(store)
    assert (now.active, {*now.keys}) == ("k2", {"k1", "k2"})
    wanted = time.time() + now.access_seconds + now.leeway_seconds + LATE_SECONDS
    assert now.until["k1"] == pytest.approx(wanted, abs=5)
    resumed = table(context)[JWT]
    assert (resumed.kept_as, resumed.after) == ("services-jwt-k2", "")
    store.drop_former(one.kept_as)
    assert table(context)[JWT].kept_as == "services-jwt-k3"


def test_the_mark_of_patroni_names_its_passwords_and_no_others(context: LocalContext) -> None:
    scope = primary_scope(context)
    before = passwords_mark(context, scope)
    for role in (names.MONITOR, names.BACKUP):
        ahead = changed(context, names.secret(role))
        assert passwords_mark(ahead, scope) == before
    marks = {
        passwords_mark(changed(context, name), scope)
        for name in (
            *map(names.secret, (names.SUPERUSER, names.REPLICATION, names.REWIND, names.REST_USER)),
            names.etcd_secret(scope.name, names.ETCD_USER),
        )
    }
    assert len(marks | {before}) == 6


def changed(context: Context, name: str) -> Context:
    context.secrets.get(name)
    context.secrets.stage(name)
    return replace(context, secrets=context.secrets.ahead(name))


def test_a_proxys_operators_are_exchanged_at_once_and_no_password_is_in_an_error(
    context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def ask(_control: Path, command: str, _expected: str = "") -> str:
        said.append(command.strip())
        return "New version created: 7\n" if command.startswith("prepare") else ""

    monkeypatch.setattr(control_socket, "ask", ask)
    (node, *_) = context.inventory.nodes
    operators.take(context, node, "old", "new")
    path = operators.path(context, node)
    assert said == [
        f"prepare acl {path}", f"add acl @7 {path} old", f"add acl @7 {path} new",
        f"commit acl @7 {path}",
    ]  # fmt: skip


@dataclass
class Group:
    """Three members; whoever led gives its lead to the first one that was restarted."""

    name: str = "set"
    members: tuple[str, ...] = ("a", "b", "c")
    leads: str = "a"
    silent: int = 0
    done: list[str] = field(default_factory=list)

    def leader(self) -> str:
        if "b" in self.done and self.silent:
            self.silent -= 1
            raise UnreachableError("set has no primary")
        return self.leads

    def why_not(self, _move: Move) -> str:
        return ""

    def make(self, move: Move) -> None:
        if isinstance(move, HandOver):
            self.leads = self.done[0]
        else:
            self.done.append(move.member)

    def observer(self) -> None:
        return None


def test_a_restart_that_was_cut_off_or_not_answered_restarts_nobody_twice(
    context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, told = Group(silent=1), []
    node = context.inventory.nodes[0]
    servers = [Server(name, node, "set", ("x",)) for name in group.members]
    target = SimpleNamespace(started_as_written=lambda one: one.name in group.done)
    monkeypatch.setattr(mongo.rotation, "_groups", lambda _: [(group, servers)])
    group.done.append("c")
    mongo.rotation._restart_all(context, cast("LocalTarget", target), told.append)
    assert group.done == ["c", "b", "a"]
    assert group.leads == "c"
    assert "set: set has no primary; again once all is well" in told
    mongo.rotation._restart_all(context, cast("LocalTarget", target), told.append)
    assert group.done == ["c", "b", "a"]
