"""A Corefile's server as a process: pages, other servers, a Corefile that changes, a slow end."""

from __future__ import annotations

import http.client
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.clock import now_ns
from testbed.dns.wire import NOERROR, NXDOMAIN, SERVFAIL, A, Response, decode_response, encode_query
from testbed.model.manifest import to_manifest
from testbed.model.objects.metadata import Object
from testbed.model.objects.services import Service
from tests.unit.dns.running import LOOPBACK, RunningServer, running_server
from tests.unit.ports import free_port

MANY = 60
"""Addresses of a name: more than 512 bytes."""


def asked_over_udp(port: int, name: str) -> socket.socket:
    """A socket that an answer is to come to."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(60)
    sock.connect((LOOPBACK, port))
    sock.send(encode_query(1, name, A))
    return sock


def over_udp(port: int, name: str) -> Response:
    with asked_over_udp(port, name) as sock:
        return decode_response(sock.recv(65535))


def get(port: int, path: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection(LOOPBACK, port, timeout=60)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def until(is_so: Callable[[], bool]) -> None:
    """Ask again and again, and leave the others some CPU."""
    while not is_so():
        time.sleep(0.01)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[RunningServer]:
    """It knows a.test, and many.test with more addresses than a datagram takes."""
    lines = ["10.0.0.1 a.test", *(f"10.1.0.{number} many.test" for number in range(MANY))]
    (tmp_path / "hosts").write_text("\n".join(lines))
    with running_server(f". {{\n hosts {tmp_path}/hosts\n}}\n") as server:
        yield server


@pytest.mark.parametrize("option", ["", "force_tcp"])
def test_others_are_asked_for_what_it_does_not_know(upstream: RunningServer, option: str) -> None:
    dead = free_port()
    corefile = f"""
        . {{
            forward . {LOOPBACK}:{dead} {LOOPBACK}:{upstream.port} {{
                policy sequential
                {option}
            }}
        }}
    """
    with running_server(corefile) as server:
        for _ in range(3):
            assert [one.data for one in over_udp(server.port, "a.test").answers] == ["10.0.0.1"]
        cut = over_udp(server.port, "many.test")
        assert cut.truncated
        assert cut.rcode == NOERROR
        assert server.terminate() == 0


def answer_all(sock: socket.socket, queries: list[tuple[bytes, tuple[str, int]]]) -> None:
    """Say that there is no such record: to these and whatever comes, until it is empty."""
    while True:
        for packet, where in queries:
            if not packet:
                return
            sock.sendto(packet[:2] + b"\x81\x80" + packet[4:], where)
        queries = [sock.recvfrom(512)]


def test_a_server_that_runs_out_of_descriptors_goes_on_when_it_has_some() -> None:
    health, names = free_port(), [f"{number}.test" for number in range(9)]
    with ExitStack() as stack:
        slow = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        slow.bind((LOOPBACK, 0))
        forward = f"forward . {LOOPBACK}:{slow.getsockname()[1]}"
        corefile = f". {{\n health {LOOPBACK}:{health}\n {forward}\n}}\n"
        server = stack.enter_context(running_server(corefile))
        used = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 3, used + 3))
        asking = [stack.enter_context(asked_over_udp(server.port, name)) for name in names]
        asked = [slow.recvfrom(512) for _ in range(3)]  # nobody else has room to be asked for
        for port in (server.port, health):
            with socket.create_connection((LOOPBACK, port), 60) as turned_away:
                assert turned_away.recv(1) == b""
        answering = threading.Thread(target=answer_all, args=(slow, asked))
        answering.start()
        stack.callback(answering.join)
        stack.callback(lambda: slow.sendto(b"", slow.getsockname()))
        assert all(decode_response(one.recv(512)) for one in asking)
        assert get(health, "/health") == (200, "OK")
        assert over_udp(server.port, "last.test").rcode == NOERROR


def test_pages(web: Service) -> None:
    ready, health, metrics = free_port(), free_port(), free_port()
    corefile = f"""
        . {{
            ready {LOOPBACK}:{ready}
            health {LOOPBACK}:{health}
            prometheus {LOOPBACK}:{metrics}
            kubernetes cluster.local
        }}
    """
    with running_server(corefile) as server:
        assert get(ready, "/ready") == (503, "kubernetes")
        assert get(health, "/health") == (200, "OK")
        assert get(health, "/nothing")[0] == 404
        server.sync(web)
        until(lambda: get(ready, "/ready") == (200, "OK"))
        for _ in range(20):  # all but the first are ready-made
            assert over_udp(server.port, "web.default.svc.cluster.local").rcode == NOERROR
        _, page = get(metrics, "/metrics")
        wanted = 'coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="A",view="",zone="."}'
        assert f"{wanted} 20.0" in page


def test_how_long_endpoints_took_to_be_names_is_counted(
    pets: Callable[[int], tuple[Object, ...]],
) -> None:
    metrics = free_port()
    service, endpoints = pets(1)
    assert isinstance(service, Service)
    corefile = f". {{\n kubernetes cluster.local\n prometheus {LOOPBACK}:{metrics}\n}}\n"
    with running_server(corefile) as server:
        server.sync(replace(service, selector={"app": "pets"}))
        change = {"type": "ADDED", "object": to_manifest(endpoints)}
        server.send({"changes": [change], "resource_version": 2, "written_ns": now_ns()})
        name = "coredns_kubernetes_dns_programming_duration_seconds_count"
        wanted = f'{name}{{service_kind="headless_with_selector"}} 1.0'
        until(lambda: wanted in get(metrics, "/metrics")[1])


def test_a_changed_corefile_is_reloaded_and_a_wrong_one_is_not(web: Service) -> None:
    metrics = free_port()
    own = f"reload 2s 1s\n kubernetes cluster.local\n prometheus {LOOPBACK}:{metrics}"
    shop = "shop.default.svc.cluster.local"
    with running_server(f". {{\n {own}\n loadbalance\n}}\n") as server:
        server.sync(web)
        until(lambda: over_udp(server.port, shop).rcode != SERVFAIL)
        assert over_udp(server.port, shop).rcode == NXDOMAIN
        assert 'name="loadbalance"' in get(metrics, "/metrics")[1]
        server.send({"corefile": f". {{\n {own}\n nonsense\n}}\n"})
        until(lambda: "coredns_reload_failed_total 1.0" in get(metrics, "/metrics")[1])
        assert over_udp(server.port, shop).rcode == NXDOMAIN
        rule = f"rewrite name {shop} web.default.svc.cluster.local answer auto"
        server.send({"corefile": f". {{\n {own}\n {rule}\n}}\n"})
        until(lambda: over_udp(server.port, shop).rcode == NOERROR)
        assert 'name="loadbalance"' not in get(metrics, "/metrics")[1]


def test_a_corefile_that_is_no_good_ends_it_with_the_place(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError), running_server(". {\n cash\n}\n"):
        pass
    assert "[FATAL] Corefile:2:2: there is no plug-in cash" in capfd.readouterr().err


def test_a_lame_duck_still_answers_until_it_is_told_again() -> None:
    health, ready = free_port(), free_port()
    corefile = f"""
        . {{
            health {LOOPBACK}:{health} {{
                lameduck 1m
            }}
            ready {LOOPBACK}:{ready}
            kubernetes cluster.local
        }}
    """
    with running_server(corefile) as server:
        server.sync()
        until(lambda: get(ready, "/ready")[0] == 200)
        server.process.terminate()
        until(lambda: get(ready, "/ready") == (503, "Shutting down"))
        assert get(health, "/health") == (200, "OK")
        assert over_udp(server.port, "none.cluster.local").rcode == NXDOMAIN
        assert server.terminate() == 0
