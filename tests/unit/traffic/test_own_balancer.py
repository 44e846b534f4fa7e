"""A balancer of one's own: docs/examples/least-loaded, found by its entry point, under the real process."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from testbed.errors import MissingFeature
from testbed.proxy.userspace_balancer import Balancer, Candidate
from testbed.proxy.userspace_process import main as userspace
from testbed.proxy.userspace_process.balancers import find_balancer
from tests.unit.traffic.conftest import Spawn
from tests.unit.traffic.test_userspace_process import CONFIG, Proxy

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "least-loaded"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example as `pip install` would leave it, on the path of this test only."""
    project = (EXAMPLE / "pyproject.toml").read_text()
    line = next(line for line in project.splitlines() if line.startswith("least-loaded = "))
    metadata = tmp_path / "testbed_least_loaded-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: x\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text(
        f"[testbed.balancers]\n{line.replace(chr(34), '')}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.delitem(sys.modules, "least_loaded", raising=False)


class _Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    load = ""

    def do_GET(self) -> None:
        body = self.load if self.path == "/load" else self.server.name  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        return


def _serving(load: str) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Loaded", (_Backend,), {"load": load}))
    server.daemon_threads = True
    server.name = load  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def backends() -> Iterator[list[str]]:
    servers = [_serving(load) for load in ("70", "3")]
    yield [f"127.0.0.1:{server.server_port}" for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


def who(proxy: Proxy) -> str:
    with proxy.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return sock.makefile("rb").read().rpartition(b"\r\n\r\n")[2].decode()


@pytest.mark.usefixtures("installed")
def test_the_endpoint_that_reports_less_gets_the_connections(
    spawn: Spawn, port: int, backends: list[str]
) -> None:
    process = spawn(userspace.main, {**CONFIG, "balancer": "least-loaded"})
    process.hears()
    proxy = Proxy(process, port)
    proxy.set(*backends)
    while "70" in [who(proxy) for _ in range(8)]:  # until both have been asked
        pass
    assert {who(proxy) for _ in range(20)} == {"3"}


@pytest.mark.usefixtures("installed")
def test_before_anybody_reports_the_own_connections_count() -> None:
    balancer: Balancer = find_balancer("least-loaded")(random.Random(1))
    candidates = [Candidate("a:1", 4, None), Candidate("b:1", 2, None)]
    assert balancer.pick(candidates, "client").address == "b:1"
    assert balancer.pick(candidates[:1], "client").address == "a:1"


@pytest.mark.usefixtures("installed")
def test_an_unknown_balancer_is_missing_and_the_known_ones_are_named() -> None:
    with pytest.raises(MissingFeature, match="least-loaded, random, roundrobin") as caught:
        find_balancer("leastloaded")
    assert caught.value.exit_code == 3


def test_a_balancer_that_does_not_load_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "broken-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[testbed.balancers]\nbroken = no_such_module:X\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingFeature, match="no_such_module"):
        find_balancer("broken")


def test_built_in_random_picks_them_all_alike() -> None:
    balancer = find_balancer("random")(random.Random(7))
    candidates = [Candidate(f"10.0.0.{index}:1", 0, None) for index in range(4)]
    picked = [balancer.pick(candidates, "client").address for _ in range(4000)]
    assert all(900 < picked.count(one.address) < 1100 for one in candidates)
