"""The page's server on the loopback: who gets in, and what the stream tells."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from testbed.errors import OutOfTimeOrRoom
from testbed.live.watcher import Watcher
from testbed.live.web import LOOPBACK, Page, serve
from tests.unit.live.glances import glance, happened, state

TOKEN = "a-token"
GLANCE = glance(state(), (), (happened("container-died"),))
Visit = Callable[[aiohttp.ClientSession, str, Page], Awaitable[Any]]


def visit(how: Visit) -> Any:
    """What `how` finds at a page that runs."""

    async def run() -> Any:
        sock = socket.create_server((LOOPBACK, 0))
        port = sock.getsockname()[1]
        page = Page(TOKEN, port)
        runner = web.AppRunner(page.application(), shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, sock).start()
        try:
            async with aiohttp.ClientSession() as session:
                return await how(session, f"http://{LOOPBACK}:{port}", page)
        finally:
            await runner.cleanup()

    return asyncio.run(run())


DOORS = [
    ("GET", f"/?token={TOKEN}", {}, 200),
    ("GET", f"/stream?token={TOKEN}", {}, 200),
    ("HEAD", f"/?token={TOKEN}", {}, 200),
    ("GET", "/", {}, 401),
    ("GET", "/stream", {}, 401),
    ("GET", "/?token=", {}, 401),
    ("GET", f"/?token={TOKEN}x", {}, 403),
    ("GET", "/stream?token=%C3%A9", {}, 403),
    ("GET", f"/?token={TOKEN}", {"Host": "evil.example"}, 403),
    ("GET", f"/?token={TOKEN}", {"Host": "127.0.0.1:1"}, 403),
    ("GET", f"/stream?token={TOKEN}", {"Host": "evil.example"}, 403),
    ("GET", f"/elsewhere?token={TOKEN}", {}, 404),
    ("GET", "/elsewhere", {}, 401),
    ("POST", f"/?token={TOKEN}", {}, 405),
    ("HEAD", f"/stream?token={TOKEN}", {}, 405),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), DOORS)
def test_only_who_has_the_token_and_asks_for_us_gets_in(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    async def knock(session: aiohttp.ClientSession, url: str, _page: Page) -> tuple[int, Any]:
        async with session.request(method, url + path, headers=headers) as answer:
            return answer.status, answer.headers

    found, said = visit(knock)
    assert found == status
    assert said["Cache-Control"] == "no-store"
    assert "default-src 'none'" in said["Content-Security-Policy"]
    assert said["Referrer-Policy"] == "no-referrer"


def test_localhost_by_its_name_is_us() -> None:
    async def knock(session: aiohttp.ClientSession, url: str, _page: Page) -> int:
        port = url.rpartition(":")[2]
        headers = {"Host": f"localhost:{port}"}
        async with session.get(f"{url}/?token={TOKEN}", headers=headers) as answer:
            return answer.status

    assert visit(knock) == 200


def test_the_page_asks_nobody_else_and_runs_its_own_script_only() -> None:
    async def read(session: aiohttp.ClientSession, url: str, _page: Page) -> tuple[str, str]:
        async with session.get(f"{url}/?token={TOKEN}") as answer:
            return await answer.text(), answer.headers["Content-Security-Policy"]

    text, policy = visit(read)
    nonce = policy.partition("script-src 'nonce-")[2].partition("'")[0]
    assert text.count("<script") == text.count(f'<script nonce="{nonce}"') == 1
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    assert TOKEN not in text


async def _heard(answer: aiohttp.ClientResponse) -> list[str]:
    """Messages up to the end of the stream."""
    return (await answer.text()).strip().split("\n\n")


def test_the_stream_begins_with_the_last_look_and_ends_with_the_lab() -> None:
    async def listen(session: aiohttp.ClientSession, url: str, page: Page) -> list[str]:
        page.show(GLANCE)
        page.show(glance(state()))
        async with session.get(f"{url}/stream?token={TOKEN}") as answer:
            await answer.content.readline()
            page.show(GLANCE)
            page.show(None)
            page.close()
            return await _heard(answer)

    _, looked, ended = ["", *visit(listen)]
    told = json.loads(looked.removeprefix("data: "))
    assert [event["text"] for event in told["events"]] == ["kubelet container-died web-0 n1"]
    assert [port["name"] for port in told["services"]] == [
        "default/direct",
        "default/off",
        "default/web",
    ]
    assert ended.startswith("event: end")


def test_who_comes_later_hears_of_earlier_events() -> None:
    async def listen(session: aiohttp.ClientSession, url: str, page: Page) -> Any:
        page.show(GLANCE)
        page.show(glance(state()))
        async with session.get(f"{url}/stream?token={TOKEN}") as answer:
            return json.loads((await answer.content.readline()).decode().removeprefix("data: "))

    assert [event["text"] for event in visit(listen)["events"]] == [
        "kubelet container-died web-0 n1"
    ]


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OutOfTimeOrRoom, match=f"cannot serve on 127.0.0.1:{port}"):
            serve(_nobody(), port, 1.0, None, print)


def _nobody() -> Watcher:
    """Never asked."""
    return Watcher.__new__(Watcher)
