"""What an operator breaks by hand: `verify` names the requirement, `provision` puts it right."""

from collections.abc import Callable

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


CASES: list[tuple[Callable[[Context], None], str]] = [
    (alter_system("synchronous_standby_names", ""), "exactly the one named standby"),
    (alter_system("archive_command", "/bin/false"), "WAL archiving is on"),
    (change_dynamic_configuration, "survives the loss of etcd"),
    (make_superuser, "the rights that it needs and no other"),
]


@pytest.mark.parametrize(("break_it", "requirement"), CASES, ids=[case[1] for case in CASES])
def test_broken_by_hand(
    shared_lab: Lab, break_it: Callable[[Context], None], requirement: str
) -> None:
    break_it(shared_lab.context)
    try:
        found = shared_lab.run("verify", "-k", "postgres", code=1)
        broken = [line for line in found.stdout.splitlines() if line.startswith("✘")]
        assert [line for line in broken if requirement in line], found.stdout
    finally:
        shared_lab.run("provision")
    shared_lab.run("verify", "-k", "postgres")
