"""Another proxy where one is gone: only for what was never sent."""

import asyncio

import httpx
import pytest

from skillswap_ops.services.base.ways import AnyProxy, alternatives

ONE, TWO = "127.0.79.1", "127.0.79.2"


class Proxies(httpx.AsyncBaseTransport):
    """Proxies that are up, gone, or gone in the middle of an answer; and who was asked."""

    def __init__(self, *, up: set[str], cut: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.up, self.cut = up, cut
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.host)
        if request.url.host in self.cut:
            raise httpx.ReadError("connection lost")
        if request.url.host not in self.up:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, content=await request.aread())


def post(transport: AnyProxy, host: str = ONE, times: int = 1) -> list[bytes]:
    async def work() -> list[bytes]:
        async with httpx.AsyncClient(transport=transport) as client:
            answers = [
                await client.post(f"http://{host}:9001/x", content=b"a") for _ in range(times)
            ]
            return [answer.content for answer in answers]

    return asyncio.run(work())


def test_a_request_goes_through_the_proxy_that_it_names() -> None:
    inner = Proxies(up={ONE, TWO})
    assert post(AnyProxy([ONE, TWO], inner), TWO) == [b"a"]
    assert inner.asked == [TWO]


def test_what_was_not_sent_goes_through_another_one_which_is_then_remembered() -> None:
    inner = Proxies(up={TWO})
    assert post(AnyProxy([ONE, TWO], inner), times=3) == [b"a"] * 3
    assert inner.asked == [ONE, TWO, TWO, TWO]


def test_what_may_have_been_sent_is_not_repeated() -> None:
    inner = Proxies(up={TWO}, cut={ONE})
    with pytest.raises(httpx.ReadError):
        post(AnyProxy([ONE, TWO], inner))
    assert inner.asked == [ONE]


def test_where_all_are_gone_the_error_is_the_last_ones() -> None:
    inner = Proxies(up=set())
    with pytest.raises(httpx.ConnectError):
        post(AnyProxy([ONE, TWO], inner))
    assert inner.asked == [ONE, TWO]


def test_another_host_has_no_alternative() -> None:
    inner = Proxies(up={TWO})
    with pytest.raises(httpx.ConnectError):
        post(AnyProxy([ONE, TWO], inner), "127.0.0.9")
    assert inner.asked == ["127.0.0.9"]


def test_alternatives_of_a_url() -> None:
    url = f"ws://{ONE}:9004/chat?a=//{ONE}"
    assert alternatives(url, [ONE, TWO]) == (url, f"ws://{TWO}:9004/chat?a=//{ONE}")
    assert alternatives("ws://elsewhere:1/", [ONE, TWO]) == ("ws://elsewhere:1/",)
