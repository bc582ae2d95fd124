"""Services outlive the stores under them: they say what is away, and go on by themselves."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpx
import pytest
from websockets.asyncio.client import connect

from cluster.inventory import Kind
from cluster.server import Server
from skillswap_ops.engines import data_servers
from skillswap_ops.wiring import LocalContext
from tests.integration.service_lab import Instance, ServiceLab, User, expect, refused
from tests.integration.test_services_chat import Chatter, bearer, url_of
from tests.integration.test_services_journey import eventually, keyed, proposal

pytestmark = pytest.mark.servers

SEEN = 20  # seconds: a ping's deadline, and a second's memory of the last one
BACK = 40  # a driver's own pauses between two tries to connect


@dataclass(frozen=True)
class Loss:
    """What is killed, what an instance calls it, which one; `soft`: it can do without."""

    kind: Kind
    store: str
    instance: str
    soft: bool = False


LOSSES = (
    Loss(Kind.ROUTER, "mongo", "sessions-1"),
    Loss(Kind.HAPROXY, "postgres", "payments-1"),
    Loss(Kind.REDIS, "redis", "chat-1", soft=True),
)


@contextmanager
def killed(context: LocalContext, kind: Kind) -> Iterator[None]:
    """Every server of that kind by SIGKILL, and started again."""
    victims: tuple[Server, ...] = tuple(
        server for server in data_servers(context) if server.node.kind is kind
    )
    context.target.kill(victims)
    try:
        yield
    finally:
        for server in victims:
            context.target.start(server)


def readiness(instance: Instance) -> httpx.Response:
    return httpx.get(f"{instance.url}/readyz", timeout=10)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.store)
def test_a_store_goes_and_comes_back_under_a_running_instance(
    services: ServiceLab, loss: Loss
) -> None:
    user = services.user()
    instance = services.instances[loss.instance]
    pid = instance.process.pid
    assert readiness(instance).status_code == 200
    with killed(services.context, loss.kind):
        if loss.soft:
            eventually(lambda: readiness(instance).json().get("degraded") == [loss.store], SEEN)
            assert readiness(instance).status_code == 200
        else:
            eventually(lambda: readiness(instance).status_code == 503, SEEN)
            said = refused(readiness(instance), 503, "unavailable")
            assert said["detail"] == f"unreachable: {loss.store}"
            refused(ask(instance, user), 503, "unavailable")
        assert httpx.get(f"{instance.url}/healthz", timeout=10).status_code == 200
    # The others lost it too, and their breakers close in their own time.
    for each in services.instances.values():
        eventually(lambda each=each: whole(each), BACK)
    eventually(lambda: registers(services), BACK)
    if not loss.soft:
        eventually(lambda: ask(instance, user).status_code < 500, BACK)
    assert instance.process.poll() is None
    assert instance.process.pid == pid


def whole(instance: Instance) -> bool:
    with suppress(httpx.TransportError):
        answer = readiness(instance)
        return answer.status_code == 200 and not answer.json()["degraded"]
    return False


def registers(services: ServiceLab) -> bool:
    """Whether somebody new gets in."""
    with suppress(AssertionError):
        return bool(services.user().id)
    return False


def ask(instance: Instance, user: User) -> httpx.Response:
    """A request that needs the instance's store."""
    headers = {"Authorization": f"Bearer {user.token}"}
    if instance.settings.service == "payments":
        return httpx.post(
            f"{instance.url}/payments/intents",
            json={"montant": 100},
            headers=headers | keyed(),
            timeout=30,
        )
    return httpx.get(f"{instance.url}/sessions", headers=headers, timeout=30)


def test_who_chats_while_redis_dies_goes_on(services: ServiceLab) -> None:
    """Connected before, said and heard without it, and after it is back: on two instances."""
    one, other = services.user(), services.user()
    made = one.client.post("/sessions", json=proposal(other), headers=keyed())
    session = expect(made, 201)["id_session"]

    async def said_and_heard(ada: Chatter, bob: Chatter, text: str) -> None:
        said, answered = await ada.say(text), await bob.say(text)
        await ada.until(lambda: said in ada.acked and answered in ada.seen)
        await bob.until(lambda: answered in bob.acked and said in bob.seen)

    async def talk() -> None:
        first = url_of(services.instances["chat-1"], session)
        second = url_of(services.instances["chat-2"], session)
        async with (
            connect(first, additional_headers=bearer(one)) as a,
            connect(second, additional_headers=bearer(other)) as b,
        ):
            ada, bob = Chatter(a), Chatter(b)
            await said_and_heard(ada, bob, "before")
            with killed(services.context, Kind.REDIS):
                for number in range(3):
                    await said_and_heard(ada, bob, f"without {number}")
            await said_and_heard(ada, bob, "after")

    asyncio.run(talk())
    eventually(lambda: whole(services.instances["chat-1"]), BACK)
