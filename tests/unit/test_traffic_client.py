"""The API's client: which proxy, how often, and what it says of it. A transport answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httpx
import pytest

from cluster.drill.ledger import op_id
from cluster.drill.outcome import ACKED, Outcome, Result
from skillswap_ops.traffic import stores
from skillswap_ops.traffic.chain_checks import amount_of
from skillswap_ops.traffic.client import Call, Client
from skillswap_ops.traffic.outcomes import Sent
from skillswap_ops.traffic.requests import (
    key_of,
    message_id,
    op_of_message,
    op_of_place,
    place_of,
)
from skillswap_ops.traffic.stores import ApiStore, ApiWriter, Way, refused

FAILED, UNKNOWN = Outcome.FAILED, Outcome.UNKNOWN
BASES = ("http://web-1", "http://web-2")
CALL = Call("POST", "/sessions", "t0k3n", {"a": 1}, key="drill-1")
Answer = Callable[[httpx.Request], httpx.Response]


@dataclass
class Edge:
    """Answers by turns; the last one stays. Remembers what was sent to whom."""

    answers: list[httpx.Response | Exception]
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, first: int = 0) -> Client:
        return Client(BASES, first, transport=httpx.MockTransport(self))

    @property
    def hosts(self) -> list[str]:
        return [request.url.host for request in self.asked]


def test_a_request_carries_token_key_and_body() -> None:
    edge = Edge([httpx.Response(201, json={"id": "7"})])
    found = edge.client().send(CALL, 1.0)
    assert (found.result, found.body, found.status) == (ACKED, {"id": "7"}, 201)
    [request] = edge.asked
    assert request.headers["authorization"] == "Bearer t0k3n"
    assert request.headers["idempotency-key"] == "drill-1"
    assert request.content == b'{"a":1}'


def test_without_token_and_key_none_is_sent() -> None:
    edge = Edge([httpx.Response(204)])
    assert edge.client().send(Call("POST", "/auth/logout"), 1.0).result is ACKED
    assert not {"authorization", "idempotency-key"} & set(edge.asked[0].headers)


def test_a_proxy_that_is_not_there_is_passed_by() -> None:
    edge = Edge([httpx.ConnectError("refused"), httpx.Response(201)])
    client = edge.client()
    assert client.send(CALL, 1.0).result is ACKED
    client.send(CALL, 1.0)
    assert edge.hosts == ["web-1", "web-2", "web-2"]  # and it stays with the one that is


def test_without_any_proxy_nothing_was_sent() -> None:
    edge = Edge([httpx.ConnectError("refused")])
    found = edge.client(first=1).send(CALL, 1.0).result
    assert found == Result(FAILED, "not sent: ConnectError", reopen=True)
    assert edge.hosts == ["web-2", "web-1"]


def test_what_was_sent_is_not_sent_to_the_other_proxy() -> None:
    edge = Edge([httpx.ReadError("reset")])
    found = edge.client().send(CALL, 1.0).result
    assert found == Result(UNKNOWN, "connection lost after send", reopen=True)
    assert edge.hosts == ["web-1"]


def test_a_lost_connection_is_no_reason_to_go_back_to_it() -> None:
    edge = Edge([httpx.ReadError("reset"), httpx.Response(201)])
    client = edge.client()
    client.send(CALL, 1.0)
    client.send(CALL, 1.0)
    assert edge.hosts == ["web-1", "web-2"]


# Writers


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(stores, "time", made)
    return made


class Asked:
    """A store of one request."""

    def __init__(self, way: Way) -> None:
        self.way = way

    def call(self, op: int) -> Call:
        return CALL


def writer(edge: Edge, *, retried: bool, within: float = 10.0) -> ApiWriter:
    store = cast("ApiStore", Asked(Way("t", within, retried)))
    return ApiWriter(store, edge.client())


def unavailable() -> httpx.Response:
    return httpx.Response(503, json={"type": "urn:skillswap:problem:unavailable"})


def test_who_asks_once_asks_once(clock: Clock) -> None:
    edge = Edge([unavailable(), httpx.Response(201)])
    assert writer(edge, retried=False).write(1) == Result(UNKNOWN, "503 unavailable")
    assert (len(edge.asked), clock.slept) == (1, [])


def test_who_wants_to_know_repeats_the_same_request(clock: Clock) -> None:
    edge = Edge([unavailable(), httpx.ReadTimeout("slow"), httpx.Response(200)])
    assert writer(edge, retried=True).write(1) == Result(ACKED.outcome, retries=2)
    assert len({request.content for request in edge.asked}) == 1
    assert clock.slept == [0.25, 0.5]


def test_pauses_double_up_to_two_seconds_and_end_with_the_deadline(clock: Clock) -> None:
    edge = Edge([unavailable()])
    found = writer(edge, retried=True).write(1)
    assert found == Result(UNKNOWN, "503 unavailable", retries=7)
    assert clock.slept == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0]
    assert clock.now < 110.0


def test_a_refusal_is_the_end(clock: Clock) -> None:
    edge = Edge([httpx.Response(404, json={"type": "urn:skillswap:problem:not-found"})])
    assert writer(edge, retried=True).write(1) == Result(FAILED, "404 not-found")
    assert len(edge.asked) == 1


def test_a_refusal_after_an_unknown_try_proves_nothing(clock: Clock) -> None:
    edge = Edge(
        [unavailable(), httpx.Response(404, json={"type": "urn:skillswap:problem:not-found"})]
    )
    found = writer(edge, retried=True).write(1)
    assert found == Result(UNKNOWN, "404 not-found after a possible retry", retries=1)


def test_what_was_never_sent_stays_a_failure(clock: Clock) -> None:
    edge = Edge([httpx.ConnectError("refused")])
    found = writer(edge, retried=True, within=1.0).write(1)
    assert (found.outcome, found.reason) == (FAILED, "not sent: ConnectError")
    assert found.retries == 2


def test_what_is_refused_for_good() -> None:
    statuses = {status: refused_with(status) for status in (0, 399, 400, 429, 499, 500, 503)}
    assert [status for status, known in statuses.items() if known] == [400, 429, 499]


def refused_with(status: int) -> bool:
    edge = Edge([httpx.Response(status) if status else httpx.ReadError("reset")])
    return refused(edge.client().send(CALL, 1.0))


# An operation's id, there and back

RUN, OP = "00c0ffee", op_id(3, 12_345)


def test_ids_come_back() -> None:
    assert op_of_message(message_id(RUN, OP)) == OP
    assert message_id(RUN, OP).startswith(RUN)
    assert message_id("ffffffff", OP).startswith("ffffffff")
    assert op_of_place(RUN, place_of(RUN, OP)) == OP
    assert op_of_place(RUN, place_of("00c0ffe0", OP)) == -1
    assert op_of_place(RUN, "https://skillswap.invalid/drill/") == -1


def test_keys_fit_the_api_and_tell_runs_and_operations_apart() -> None:
    assert len(key_of("f" * 8, (1 << 63) - 1)) <= 64
    assert len({key_of(RUN, OP), key_of(RUN, OP + 1), key_of("00c0ffe0", OP)}) == 3


@pytest.mark.parametrize(
    ("sequence", "amount"), [(0, 1), (1, 2), (9_999_999, 10_000_000), (10_000_000, 1)]
)
def test_amounts_stay_within_what_the_api_takes(sequence: int, amount: int) -> None:
    assert amount_of(op_id(254, sequence)) == amount


def test_a_request_with_a_key_may_be_repeated_by_the_gateway() -> None:
    assert (CALL.sent, Call("POST", "/skills").sent) == (Sent.KEYED, Sent.ONCE)
