"""The pages of `watch` and `graph` in a real browser."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from testbed.live.watcher import Glance
from testbed.live.web import LOOPBACK
from testbed.live.web import Page as Served
from testbed.model.loader import load
from testbed.picture.files import written
from testbed.picture.scene import scene_of
from testbed.picture.views import VIEWS
from tests.browser.conftest import PATIENCE_MS
from tests.unit.live.glances import TCP, endpoints, glance, happened, state

pytestmark = pytest.mark.browser

TOKEN = "a-token"
WIDTHS = (360, 768, 1280, 1920)
STATE = state()
ONE, OTHER = endpoints(STATE)
PICKS = [("n1", TCP, "10.96.0.9:80", ONE, 30), ("n2", TCP, "10.96.0.9:80", OTHER, 10)]
LOOK = glance(STATE, PICKS, (happened("container-died"),))
TOPOLOGIES = Path(__file__).parents[2] / "topologies"


@dataclass(frozen=True, slots=True)
class Server:
    """What `watch --web` serves, told what to show by the test."""

    url: str
    loop: asyncio.AbstractEventLoop
    page: Served

    def show(self, one: Glance | None) -> None:
        self.loop.call_soon_threadsafe(self.page.show, one)


@pytest.fixture
def server() -> Iterator[Server]:
    sock = socket.create_server((LOOPBACK, 0))
    port = sock.getsockname()[1]
    page, loop = Served(TOKEN, port), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = web.AppRunner(page.application(), shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.SockSite(runner, sock).start()

    asyncio.run_coroutine_threadsafe(start(), loop).result(timeout=300)
    yield Server(f"http://{LOOPBACK}:{port}/?token={TOKEN}", loop, page)
    loop.call_soon_threadsafe(page.close)
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(timeout=300)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@dataclass(frozen=True, slots=True)
class Opened:
    """A tab, what it complained about, and whom it asked."""

    tab: Page
    complaints: list[str]
    asked: list[str]


def opened(browser: Browser, url: str, scheme: Any = "light") -> Opened:
    context = browser.new_context(color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    tab = context.new_page()
    found = Opened(tab, [], [])
    tab.on("console", lambda message: found.complaints.append(message.text))
    tab.on("pageerror", lambda error: found.complaints.append(str(error)))
    tab.on("request", lambda request: found.asked.append(request.url))
    tab.goto(url)
    return found


@pytest.fixture
def looked_at(browser: Browser, server: Server) -> Iterator[Opened]:
    """The page of `watch`, which has heard of LOOK."""
    found = opened(browser, server.url)
    server.show(LOOK)
    expect(found.tab.locator("#state")).to_have_text("live")
    yield found
    found.tab.context.close()


def faults(tab: Page) -> list[tuple[str, Any]]:
    """What shuts somebody out."""
    return [
        (fault["id"], [node["target"] for node in fault["nodes"]][:5])
        for fault in Axe().run(tab).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def fits(tab: Page) -> bool:
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 800})
        if tab.evaluate("document.documentElement.scrollWidth") > width:
            return False
    return True


def test_it_shows_services_nodes_and_events(looked_at: Opened, server: Server) -> None:
    tab = looked_at.tab
    web_card = tab.locator("#services article", has_text="10.96.0.9:80/TCP")
    expect(web_card.locator("tbody tr")).to_have_count(2)
    expect(web_card.locator("tbody tr").first).to_contain_text("30.0/s")
    track, bar = (web_card.locator(which).first.bounding_box() for which in (".track", ".track i"))
    assert track is not None
    assert bar is not None
    assert bar["width"] / track["width"] == pytest.approx(0.75, abs=0.02)
    expect(tab.locator("#services article", has_text="off")).to_contain_text("no endpoints")
    expect(tab.locator("#nodes article")).to_have_count(2)
    expect(tab.locator("#events")).to_contain_text("kubelet container-died web-0 n1")
    (path,) = {url.split("?")[0].rpartition("/")[2] for url in looked_at.asked} - {""}
    assert path == "stream"
    assert all(url.startswith(server.url.partition("?")[0]) for url in looked_at.asked)
    assert looked_at.complaints == []


def test_who_is_not_ready_says_so(looked_at: Opened, server: Server) -> None:
    pods = tuple({**pod, "ready": False, "reason": ""} for pod in LOOK.pods)
    server.show(replace(LOOK, pods=pods))
    expect(looked_at.tab.locator("#nodes li").first).to_contain_text("not ready")
    expect(looked_at.tab.locator("#about")).to_contain_text("0 of 3 pods ready")


def test_a_filter_leaves_what_is_asked_for(looked_at: Opened) -> None:
    tab = looked_at.tab
    tab.get_by_label("Show only").fill("off")
    expect(tab.locator("#services article")).to_have_count(1)
    tab.get_by_label("Show only").fill("")
    expect(tab.locator("#services article")).to_have_count(3)


def test_pause_holds_what_is_shown_by_keyboard(looked_at: Opened, server: Server) -> None:
    tab = looked_at.tab
    tab.get_by_role("button", name="Pause").focus()
    tab.keyboard.press("Enter")
    server.show(replace(LOOK, ports=(), events=(happened("probe-failed"),)))
    expect(tab.locator("#events")).to_contain_text("probe-failed")
    expect(tab.locator("#services article")).to_have_count(3)
    tab.keyboard.press("Enter")
    expect(tab.locator("#services article")).to_have_count(0)


def test_the_end_of_the_lab_is_told(looked_at: Opened, server: Server) -> None:
    server.show(None)
    expect(looked_at.tab.locator("#state")).to_have_text("the lab has ended")


def test_a_name_is_text_and_never_markup(looked_at: Opened, server: Server) -> None:
    evil = "<img src=x onerror=alert(1)>"
    pods = tuple({**pod, "name": evil} for pod in LOOK.pods)
    server.show(replace(LOOK, name=evil, pods=pods, events=(happened(evil),)))
    expect(looked_at.tab.locator("#name")).to_have_text(evil)
    assert looked_at.tab.locator("img").count() == 0


def test_it_fits_every_screen(looked_at: Opened) -> None:
    assert fits(looked_at.tab)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_watch_shuts_nobody_out(browser: Browser, server: Server, scheme: str) -> None:
    found = opened(browser, server.url, scheme)
    server.show(LOOK)
    expect(found.tab.locator("#state")).to_have_text("live")
    assert faults(found.tab) == []
    found.tab.context.close()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of `graph` of a topology with many services; its address."""
    scene = scene_of(load(TOPOLOGIES / "claims.yaml"))
    path = tmp_path_factory.mktemp("graph") / "claims.html"
    path.write_bytes(written(scene.name, [view(scene) for view in VIEWS.values()], "html"))
    return path.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_graph_fits_and_shuts_nobody_out(browser: Browser, graph: str, scheme: str) -> None:
    found = opened(browser, graph, scheme)
    found.tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert faults(found.tab) == []
    assert fits(found.tab)
    assert found.complaints == []
    assert found.asked == [graph]
    found.tab.context.close()


def test_a_box_leads_to_its_table_by_keyboard(browser: Browser, graph: str) -> None:
    tab = opened(browser, graph).tab
    tab.locator("#services svg a", has_text="mixed").focus()
    tab.keyboard.press("Enter")
    table = tab.locator("[id='services-table-service-default-mixed']")
    expect(table).to_be_in_viewport()
    expect(table).to_contain_text("1/3")
    tab.context.close()
