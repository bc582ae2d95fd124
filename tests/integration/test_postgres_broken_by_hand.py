"""What an operator breaks by hand: `verify` names the requirement, `provision` puts it right."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from cluster.context import Context
from postgres import names, patroni
from postgres.client import superuser
from postgres.scopes import primary_scope
from tests.conftest import Lab

pytestmark = pytest.mark.servers


def alter_system(setting: str, value: str) -> Callable[[Context], None]:
    def act(context: Context) -> None:
        with superuser(context, patroni.leader_of(primary_scope(context))) as connection:
            connection.execute(f"ALTER SYSTEM SET {setting} = '{value}'".encode())
            connection.execute("SELECT pg_reload_conf()")

    return act


def change_dynamic_configuration(context: Context) -> None:
    leader = patroni.leader_of(primary_scope(context))
    changes = {"synchronous_mode": False, "failsafe_mode": False}
    patroni.change_config(leader, names.password(context, names.REST_USER), changes)


def make_superuser(context: Context) -> None:
    with superuser(context, patroni.leader_of(primary_scope(context))) as connection:
        connection.execute("ALTER ROLE payments_app SUPERUSER")
        connection.execute("ALTER ROLE monitor PASSWORD 'guessed'")


@dataclass(frozen=True)
class Breakage:
    """What was broken, and the requirement that must be named."""

    act: Callable[[Context], None]
    requirement: str


NO_STANDBY = Breakage(
    alter_system("synchronous_standby_names", ""), "exactly the one named standby"
)
NO_ARCHIVE = Breakage(alter_system("archive_command", "/bin/false"), "WAL archiving is on")
UNSAFE = Breakage(change_dynamic_configuration, "survives the loss of etcd")
SUPERUSER = Breakage(make_superuser, "the rights that it needs and no other")
ALONE = pytest.mark.exhaustive


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param((NO_STANDBY, NO_ARCHIVE, SUPERUSER), id="three at once"),
        pytest.param((NO_STANDBY,), id="standby", marks=ALONE),
        pytest.param((NO_ARCHIVE,), id="archive", marks=ALONE),
        pytest.param((UNSAFE,), id="etcd", marks=ALONE),
        pytest.param((SUPERUSER,), id="rights", marks=ALONE),
    ],
)
def test_broken_by_hand(shared_lab: Lab, broken: tuple[Breakage, ...]) -> None:
    for each in broken:
        each.act(shared_lab.context)
    try:
        found = shared_lab.run("verify", "-k", "postgres", code=1)
        red = [line for line in found.stdout.splitlines() if line.startswith("✘")]
        for each in broken:
            assert [line for line in red if each.requirement in line], found.stdout
    finally:
        shared_lab.run("provision")
    shared_lab.run("verify", "-k", "postgres")
