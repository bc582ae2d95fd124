"""The journey's steps as data, and one user's way through them."""

import threading
from random import Random

import numpy as np
import pytest

from cluster.drill.contracts import Stream, Writer
from cluster.drill.load import _schedule
from cluster.drill.outcome import Result
from cluster.schema.catalogue import BY_NAME
from manifests.services.catalogue import CATALOGUE
from skillswap_ops.services.gateway.routing import service_of
from skillswap_ops.services.sessions.outbox import session_id
from skillswap_ops.traffic.journey import GAP, STEPS, Journey
from skillswap_ops.traffic.people import OF_A_RUN, courriel, person

RUN = "00c0ffee"
TEACHER = person(RUN, "teacher", 1)


def journey() -> Journey:
    made = Journey(4, RUN, TEACHER, lambda: "teachers", Random(1))
    made.token, made.session, made.intent = "own", "s", "i"
    return made


def test_the_steps_are_phase_1_s_in_order() -> None:
    assert [step.name for step in STEPS] == [
        "register",
        "log in",
        "skill",
        "match",
        "propose",
        "chat",
        "confirm",
        "meet",
        "review",
        "pay",
    ]


def test_each_step_is_a_request_to_a_service_of_the_mvp() -> None:
    deployed = {service.name for service in CATALOGUE.services if service.stage.value == "mvp"}
    for step in STEPS:
        call = step.call(journey(), 7)
        assert service_of(call.path) in deployed, step.name
    assert {step.entity for step in STEPS if step.entity} <= set(BY_NAME)


def test_who_asks() -> None:
    tokens = {step.name: step.call(journey(), 7).token for step in STEPS}
    assert {name for name, token in tokens.items() if not token} == {"register", "log in"}
    assert {name for name, token in tokens.items() if token == "teachers"} == {"confirm", "meet"}


def test_the_chain_has_a_key_by_which_its_session_is_known() -> None:
    call = next(step for step in STEPS if step.name == "propose").call(journey(), 7)
    assert call.key == f"drill-{RUN}-7"
    assert session_id("user", call.key) != session_id("other", call.key)


def test_an_answer_without_what_was_asked_for_will_not_do() -> None:
    learn = {step.name: step.learn for step in STEPS}
    found = [{"competence": {"id_utilisateur": TEACHER.id}}]
    assert learn["match"](journey(), {"correspondances": found})
    assert not learn["match"](journey(), {"correspondances": []})
    assert not learn["match"](journey(), {})
    assert not learn["log in"](journey(), {"access_token": "t"})
    assert learn["log in"](journey(), {"access_token": "t", "id_utilisateur": "u"})
    assert not learn["propose"](journey(), {"id_session": "s"})
    assert learn["propose"](journey(), {"id_session": "s", "id_intention": "i"})


def test_a_step_waits_for_the_one_before_it() -> None:
    at = journey()
    assert at.reached(0, 0.0)
    assert not at.reached(1, 0.0)
    threading.Timer(0.05, at.advance).start()
    assert at.reached(1, 10.0)


def test_who_is_turned_away_comes_no_further() -> None:
    at = journey()
    at.advance()
    at.advance(ended="log in")
    at.advance(ended="skill")  # the first one stays the reason
    assert (at.done, at.ended) == (1, "log in")
    assert at.reached(1, 0.0)
    assert not at.reached(2, 10.0)  # at once: there is nothing to wait for


@pytest.mark.parametrize("kind", ["drill", "load"])
def test_a_run_s_users_are_found_by_their_mail(kind: str) -> None:
    match = OF_A_RUN.fullmatch(courriel(RUN, "chainagain", 12, kind))
    assert match is not None
    assert match["run"] == RUN
    assert not OF_A_RUN.fullmatch("drill-00c0ffee-load-1@skillswap.example")


class Nowhere:
    """A store that is never written to."""

    def prepare(self, run: str) -> None: ...

    def open_writer(self, worker: int) -> Writer:
        raise OSError

    def read_back(self) -> list[np.ndarray]:  # type: ignore[type-arg]
        return []

    def discard(self) -> None: ...

    def write(self, op: int) -> Result:
        raise OSError


def test_a_later_step_is_due_behind_the_one_before_it() -> None:
    stream = Stream("chat", "services", Nowhere(), rate=4.0, delay=5 * GAP)
    dues = _schedule(6, stream, 1_000)
    assert [next(dues).due_ns for _ in range(2)] == [5_000_001_000, 5_250_001_000]
