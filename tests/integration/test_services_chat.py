"""Chat between two clients on two instances: what was acknowledged arrives, whatever dies."""

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.integration.service_lab import Instance, ServiceLab, User, expect
from tests.integration.test_services_journey import keyed, proposal

pytestmark = pytest.mark.servers

SECONDS = 10


class Chatter:
    """A client: what it was acknowledged, and what it has seen."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.acked: dict[str, str] = {}
        self.seen: dict[str, str] = {}
        self.refused: list[dict[str, Any]] = []
        self.cursor = ""
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self.connection:
            frame = json.loads(text)
            match frame["type"]:
                case "ack":
                    self.acked[frame["id_message"]] = frame["curseur"]
                case "message":
                    self.seen[frame["message"]["id_message"]] = frame["message"]["texte"]
                    self.cursor = frame["curseur"]
                case "error":
                    self.refused.append(frame)

    async def say(self, text: str) -> str:
        own_id = str(uuid4())
        frame = {"type": "message", "id_message": own_id, "texte": text}
        await self.connection.send(json.dumps(frame))
        return own_id

    async def until(self, condition: Any, seconds: float = SECONDS) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.acked, self.seen, self.refused)
            await asyncio.sleep(0.02)


def url_of(instance: Instance, session: str, cursor: str = "") -> str:
    base = instance.url.replace("http", "ws", 1)
    return f"{base}/chat/sessions/{session}/ws" + (f"?apres={cursor}" if cursor else "")


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {user.token}"}


@pytest.fixture(scope="module")
def pair(services: ServiceLab) -> tuple[User, User, str]:
    one, other = services.user(), services.user()
    made = one.client.post("/sessions", json=proposal(other), headers=keyed())
    return one, other, expect(made, 201)["id_session"]


def test_two_clients_on_two_instances(services: ServiceLab, pair: tuple[User, User, str]) -> None:
    one, other, session = pair

    async def talk() -> None:
        first = url_of(services.instances["chat-1"], session)
        second = url_of(services.instances["chat-2"], session)
        async with (
            connect(first, additional_headers=bearer(one)) as a,
            connect(second, additional_headers=bearer(other)) as b,
        ):
            ada, bob = Chatter(a), Chatter(b)
            said = [await ada.say(f"a{n}") for n in range(20)]
            answered = [await bob.say(f"b{n}") for n in range(20)]
            await ada.until(lambda: {*said} <= {*ada.acked} and {*answered} <= {*ada.seen}, 4)
            await bob.until(lambda: {*answered} <= {*bob.acked} and {*said} <= {*bob.seen}, 4)

    asyncio.run(talk())


def test_a_killed_instance_loses_no_acknowledged_message(
    services: ServiceLab, pair: tuple[User, User, str]
) -> None:
    one, other, session = pair

    async def talk(victim: Instance, survivor: Instance) -> None:
        async with connect(url_of(survivor, session), additional_headers=bearer(other)) as b:
            bob = Chatter(b)
            async with connect(url_of(victim, session), additional_headers=bearer(one)) as a:
                ada = Chatter(a)
                await bob.say("before")
                await ada.until(lambda: ada.cursor)
                for n in range(200):
                    await ada.say(f"{n}")
                    if n == 100:
                        await ada.until(lambda: len(ada.acked) > 20)
                        victim.kill()
                        break
                await asyncio.wait([ada.reader], timeout=SECONDS)
                missed = [await bob.say(f"while away {n}") for n in range(5)]
                await bob.until(lambda: {*missed} <= {*bob.acked})
            await bob.until(lambda: {*ada.acked} <= {*bob.seen})
            # The one who was cut off comes back elsewhere, and has missed nothing.
            back = url_of(survivor, session, ada.cursor)
            async with connect(back, additional_headers=bearer(one)) as c:
                again = Chatter(c)
                await again.until(lambda: {*missed} <= {*again.seen}, 4)

    with services.beside("chat-3") as victim:
        asyncio.run(talk(victim, services.instances["chat-2"]))


def test_without_redis_messages_arrive_a_little_later(
    services: ServiceLab, pair: tuple[User, User, str]
) -> None:
    one, other, session = pair

    async def talk(alone: Instance) -> None:
        there = url_of(services.instances["chat-1"], session)
        async with (
            connect(url_of(alone, session), additional_headers=bearer(one)) as a,
            connect(there, additional_headers=bearer(other)) as b,
        ):
            ada, bob = Chatter(a), Chatter(b)
            said, answered = await ada.say("no redis"), await bob.say("really?")
            await ada.until(lambda: said in ada.acked and answered in ada.seen)
            await bob.until(lambda: said in bob.seen)

    gone = services.stores()["redis"] | {"port": 1}
    with services.beside("chat-4", redis=gone) as alone:
        asyncio.run(talk(alone))


def test_through_the_gateway_with_its_refusals(
    services: ServiceLab, pair: tuple[User, User, str]
) -> None:
    one, _other, session = pair
    gateway = services.instances["gateway-1"]
    stranger = services.user()

    async def closed(url: str, **options: Any) -> int:
        async with connect(url, **options) as socket:
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), SECONDS)
            return int(socket.close_code or 0)

    async def talk() -> None:
        url = url_of(gateway, session)
        # As a browser does it: the token is a subprotocol.
        protocols = ["skillswap.v1", f"bearer.{one.token}"]
        async with connect(url, subprotocols=protocols) as socket:  # type: ignore[arg-type]
            assert socket.subprotocol == "skillswap.v1"
            ada = Chatter(socket)
            said = await ada.say("through the gateway")
            await ada.until(lambda: said in ada.acked)
            await socket.send("{")
            await socket.send(json.dumps({"type": "message", "id_message": said, "texte": "other"}))
            await socket.send(
                json.dumps({"type": "message", "id_message": said, "texte": "x", "surplus": 1})
            )
            await ada.until(lambda: len(ada.refused) == 3)
            slugs = [frame["probleme"]["type"].rpartition(":")[2] for frame in ada.refused]
            assert slugs == ["invalid", "conflict", "invalid"]
            # Sent again as it was, it is acknowledged again, and kept once.
            ada.acked.clear()
            again = {"type": "message", "id_message": said, "texte": "through the gateway"}
            await socket.send(json.dumps(again))
            await ada.until(lambda: said in ada.acked)
        assert await closed(url) == 4401
        assert await closed(url, additional_headers={"Authorization": "Bearer x.y.z"}) == 4401
        assert await closed(url, additional_headers=bearer(stranger)) == 4404

    asyncio.run(talk())
    history = one.client.get(f"/chat/sessions/{session}/messages", params={"limite": 100})
    texts = [row["texte"] for row in expect(history, 200)["messages"]]
    assert texts.count("through the gateway") == 1


def test_a_connection_ends_with_its_token(
    services: ServiceLab, pair: tuple[User, User, str]
) -> None:
    one, _other, session = pair
    jwt = services.settings("chat-1").jwt
    nearly = type(services.tokens)(jwt, clock=lambda: time.time() - jwt.access_seconds + 1)
    headers = {"Authorization": f"Bearer {nearly.access(one.id, ())}"}

    async def talk() -> int:
        url = url_of(services.instances["chat-1"], session)
        async with connect(url, additional_headers=headers) as socket:
            await socket.recv()
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), SECONDS)
            return int(socket.close_code or 0)

    assert asyncio.run(talk()) == 4408
