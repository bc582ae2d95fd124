"""Every secret replaced under load, killed at random moments: old ones are shut out, nobody else.

    pytest tests/integration/test_secrets_rotate.py -m exhaustive

SKILLSWAP_OPS_TEST_SEED repeats a run's moments.
"""

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest
from pydantic import SecretStr

from cluster.clock import wait_for
from cluster.errors import UnreachableError
from cluster.rotation import Door, Rotatable
from manifests.rotation import JWT
from manifests.services.catalogue import CATALOGUE
from manifests.services.instances import signing
from manifests.services.model import Stage
from mongo.credentials import KEYFILE_SECRET
from skillswap_ops import rotating
from skillswap_ops.engines import all_servers
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab, make_lab, remove_lab

pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]

MVP = [service.name for service in CATALOGUE.at(Stage.MVP)]
SEED = int(os.environ.get("SKILLSWAP_OPS_TEST_SEED", "0")) or random.SystemRandom().randrange(10**6)
KILLS = 8
LONGEST = 4.0  # seconds from a line of progress to a kill
PATIENCE = 15.0  # seconds that neither secret may be let in before it is an outage
LOAD_SECONDS = 180
# What an overloaded machine does to a load; a refused log-in is a 401, or a 503 of a service.
SLOW = ("timeout", "no free worker", "still at a step before", "turned away at")
RESTARTED = {"archiver"}  # by a rotation of all but the key file; no client feels it


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """All sets of three, so that members can be restarted; TLS on every port."""
    made = make_lab("127.117.0.0/16", "rotated", tls={"enabled": True})
    try:
        made.run("provision", seconds=600)
        once = [word for name in MVP for word in ("--replicas", f"{name}=1")]
        made.run("services", "deploy", "--stage", "mvp", *once, seconds=600)
        yield made
        made.run("destroy", "--yes")
    finally:
        remove_lab(made)


@dataclass
class Watch:
    """Goes from door to door with what is in force, what is coming and what was."""

    context: LocalContext
    neither: Counter[str] = field(default_factory=Counter)
    tries: int = 0
    retries: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until it is to stop."""
        while not self.stop.is_set():
            for one in table(self.context):
                if one.name != KEYFILE_SECRET:
                    for door in one.doors():
                        self._try(one, door)

    def _try(self, one: Rotatable, door: Door) -> None:
        self.tries += 1
        deadline = time.monotonic() + PATIENCE
        while not self.stop.is_set():
            try:
                if any(door.opens(each) for each in self._candidates(one)):
                    return
            except UnreachableError:
                return  # who is away lets nobody in by any password
            self.retries += 1
            if time.monotonic() > deadline:
                self.neither[door.name] += 1
                return
            time.sleep(0.1)

    def _candidates(self, one: Rotatable) -> list[SecretStr]:
        store, name = self.context.secrets, one.kept_as
        return [each for each in (store.find(name), store.next(name), store.former(name)) if each]


@contextmanager
def watched(context: LocalContext) -> Iterator[Watch]:
    watch = Watch(context)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop.set()
        thread.join()


@contextmanager
def served(lab: Lab, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """Users who come through the public API meanwhile, by services that log in everywhere."""
    words = ("services", "load", "--rate", "1", "--seconds", f"{seconds:g}", "--output", "json")
    running = subprocess.Popen(
        lab.command(*words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def verdict(running: "subprocess.Popen[str]", *, refused: bool) -> list[dict[str, object]]:
    """The load's steps. Nothing that was acknowledged is lost; unless `refused`, none failed.

    What a slow machine did not get to send, or to answer, is no failure.
    """
    out, _ = running.communicate(timeout=LOAD_SECONDS + 120)
    found = json.loads(out)
    steps = cast("list[dict[str, object]]", found["steps"])
    shown = json.dumps(found, indent=1)[:4000]
    assert all(step["acked"] for step in steps), shown
    assert not [step for step in steps if step["lost"]], shown
    if not refused:
        assert not [step for step in steps if step["failed"]], shown
        said = {reason for step in steps for reason in cast("dict[str, int]", step["errors"])}
        assert not [reason for reason in said if not reason.startswith(SLOW)], shown
    return steps


def table(context: LocalContext) -> tuple[Rotatable, ...]:
    return rotating.rotatables(context, lambda _: None)


def secrets_of(context: LocalContext) -> dict[str, SecretStr]:
    """Those in force now, by what they are rotated as."""
    found = {one.name: context.secrets.find(one.after or one.kept_as) for one in table(context)}
    return {name: secret for name, secret in found.items() if secret is not None}


def assert_refused(context: LocalContext, old: dict[str, SecretStr], names: list[str]) -> None:
    """No door opens to what was; one that a busy machine is slow to answer at is asked again."""
    for one in table(context):
        for door in one.doors() if one.name in names else ():

            def refused(door: Door = door, secret: SecretStr = old[one.name]) -> bool:
                assert not door.opens(secret), door.name
                return True

            wait_for(door.name, refused, seconds=60, every=1)


def pids(context: LocalContext) -> dict[str, int | None]:
    return {one.name: context.target.state(one).pid for one in all_servers(context)}


def assert_well(lab: Lab) -> None:
    """Every requirement holds, once a busy machine has come to rest."""

    def holds() -> bool:
        rows = cast("list[dict[str, str]]", lab.json("verify", code=None))
        failed = [row["reason"].splitlines()[-1] for row in rows if row["outcome"] == "failed"]
        if failed or len(rows) < 60:
            raise UnreachableError("; ".join(failed))
        return True

    wait_for("all requirements", holds, seconds=300, every=5)


def rotate_killed(lab: Lab, names: list[str], kills: int, moments: random.Random) -> int:
    """kill -9 at random moments, and go on with what is left; how many were killed at work.

    A moment is some time after so many lines of progress: how fast a machine is, is not tested.
    """
    killed, left = 0, names
    for _ in range(kills):
        running = subprocess.Popen(
            lab.command("secrets", "rotate", "--yes", *left),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        lines, pause = moments.randrange(4), moments.uniform(0, LONGEST)
        assert running.stderr is not None
        seen = [line for _, line in zip(range(lines), running.stderr, strict=False)]
        try:
            running.wait(pause)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            killed += 1
        half = lab.context.secrets.half_rotated()
        print(f"killed after {len(seen)} lines and {pause:.2f} s, half: {', '.join(half) or '-'}")
        file = lab.context.layout.root / rotating.LEFT
        left = file.read_text().split() if file.exists() else names
    lab.run("secrets", "rotate", "--yes", *left, seconds=900)
    return killed


def test_named_ones_alone_are_rotated(lab: Lab) -> None:
    context = lab.context
    before, processes = secrets_of(context), pids(context)
    names = ["mongo-monitor", "postgres-payments_app", "redis-app"]
    lab.run("secrets", "rotate", "--yes", *names)
    after = secrets_of(context)
    assert {name for name in before if before[name] != after[name]} == {*names}
    assert_refused(context, before, names)
    assert pids(context) == processes
    assert_well(lab)
    assert context.secrets.half_rotated() == ()


def test_all_but_the_key_file_rotate_under_load_however_often_they_are_killed(lab: Lab) -> None:
    context, moments = lab.context, random.Random(SEED)
    print(f"seed {SEED}")
    names = [one.name for one in table(context) if one.name != KEYFILE_SECRET]
    before, processes = secrets_of(context), pids(context)
    with served(lab, LOAD_SECONDS) as load, watched(context) as watch:
        wait_for("the watch", lambda: watch.tries > 50, seconds=60)
        killed = rotate_killed(lab, names, KILLS, moments)
        print(f"{killed} kills, {watch.tries} tries at doors, {watch.retries} retries")
        assert killed
        print(json.dumps(verdict(load, refused=False)))
    assert not watch.neither
    after = secrets_of(context)
    assert {name for name in names if before[name] == after[name]} == set()
    assert_refused(context, before, names)
    assert context.secrets.half_rotated() == ()
    moved = {name for name, pid in pids(context).items() if processes[name] != pid}
    assert {name.rsplit("-", 1)[0] for name in moved} <= RESTARTED, moved
    assert_well(lab)
    keys = signing(context.secrets)
    assert all(until > time.time() for until in keys.until.values())
    assert {row["name"]: row["half"] for row in listed(lab)}[JWT] is False
    changed = pids(context)
    lab.run("provision")
    assert pids(context) == changed, "provision found something to set right"


def listed(lab: Lab) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", lab.json("secrets", "list"))


def test_the_key_file_rolls_under_load_and_goes_on_where_it_was_killed(lab: Lab) -> None:
    context, moments = lab.context, random.Random(SEED + 1)
    before = secrets_of(context)
    with served(lab, LOAD_SECONDS) as load:
        wait_for("the load", lambda: load.poll() is None, seconds=5)
        rotate_killed(lab, [KEYFILE_SECRET], 2, moments)
        print(json.dumps(verdict(load, refused=True)))  # elections and restarts have their gaps
    assert secrets_of(context)[KEYFILE_SECRET] != before[KEYFILE_SECRET]
    assert_refused(context, before, [KEYFILE_SECRET])
    for node in context.inventory.nodes:
        file = context.layout.conf(node) / "keyfile"
        if file.exists():
            assert before[KEYFILE_SECRET].get_secret_value() not in file.read_text()
    assert_well(lab)
