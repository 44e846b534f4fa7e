"""The echo server as a process: its sockets, its channel and its end."""

from __future__ import annotations

import os
import signal
import socket
import struct
from pathlib import Path

import pytest

from testbed.clock import now_ns
from testbed.traffic import echo, echo_loop
from testbed.traffic.accept_log import read_accept_log
from tests.unit.ports import free_port
from tests.unit.traffic.conftest import Process, Spawn

GET = b"GET /hostname HTTP/1.1\r\nHost: web\r\n\r\n"
LAST = b"GET /hostname HTTP/1.1\r\nConnection: close\r\n\r\n"


def pod(port: int, name: str = "web-0", **more: object) -> dict[str, object]:
    return {"pod": name, "listen": ["127.0.0.1"], "port": port, "netns": None, **more}


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def answers(sock: socket.socket, count: int) -> bytes:
    """What comes until `count` bodies `web-0` have."""
    data = b""
    while data.count(b"web-0") < count:
        chunk = sock.recv(65536)
        assert chunk, f"closed after {data!r}"
        data += chunk
    return data


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graceful end waits for tests that are kept from the CPU, too."""
    monkeypatch.setattr(echo_loop, "DRAIN_S", 60.0)


@pytest.fixture
def server(spawn: Spawn, port: int, tmp_path: Path) -> Process:
    process = spawn(echo.main, {"pods": [pod(port)], "log": str(tmp_path / "log")})
    assert process.hears() == {"ready": True}
    return process


def test_keeps_the_connection_and_closes_it_when_asked(server: Process, port: int) -> None:
    with connect(port) as sock:
        sock.sendall(GET)
        answers(sock, 1)
        sock.sendall(LAST)
        answers(sock, 1)
        assert sock.recv(1) == b""


def test_pipelined_requests_all_get_their_answer(server: Process, port: int) -> None:
    with connect(port) as sock:
        sock.sendall(GET * 500 + GET[:7])
        answers(sock, 500)
        sock.sendall(GET[7:])
        answers(sock, 1)


def test_a_client_that_does_not_read_gets_every_byte_later(server: Process, port: int) -> None:
    message = "x" * 10_000
    one = f"GET /echo?msg={message} HTTP/1.1\r\n\r\n".encode()
    with connect(port) as sock:
        sock.setblocking(False)
        sent = 0
        for _ in range(1000):  # until both kernels' buffers are full
            try:
                sent += sock.send(one[sent % len(one) :])
            except BlockingIOError:
                break
        sock.setblocking(True)
        sock.settimeout(60)
        sock.shutdown(socket.SHUT_WR)
        whole = sent // len(one)
        received = sum(len(chunk) for chunk in iter(lambda: sock.recv(1 << 20), b""))
    assert whole > 10
    assert received > whole * len(message)


def test_plain_lines_and_datagrams(server: Process, port: int) -> None:
    with connect(port) as sock:
        sock.sendall(b"hostname\necho a b\n")
        assert sock.makefile("rb").read(len(b"web-0\na b\n")) == b"web-0\na b\n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(60)
        sock.connect(("127.0.0.1", port))
        sock.send(b"hostname")
        assert sock.recv(100) == b"web-0"


def test_notes_whom_it_accepted(server: Process, port: int, tmp_path: Path) -> None:
    with connect(port) as sock:
        sock.sendall(GET)
        answers(sock, 1)
        mine = sock.getsockname()
    rows = read_accept_log(tmp_path / "log").rows
    assert rows[["src_ip", "src_port"]].to_numpy().tolist() == [list(mine)]


def test_pods_come_and_go(server: Process, port: int) -> None:
    other = free_port()
    server.tell({"pods": [pod(other, "web-1", uid="u-1")]})
    assert server.hears() == {"pods": 2}
    with connect(other) as sock:
        sock.sendall(b"hostname\n")
        assert sock.recv(100) == b"web-1\n"
    server.tell({"remove": ["u-1", "never heard of"]})
    assert server.hears() == {"pods": 1}
    with pytest.raises(ConnectionRefusedError):
        connect(other)
    with connect(port) as sock:
        sock.sendall(LAST)
        answers(sock, 1)


def test_a_descriptor_in_the_message_is_the_pods_namespace(server: Process, port: int) -> None:
    other = free_port()
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    line = (
        b'{"pods": [{"pod": "web-9", "port": %d, "listen": ["127.0.0.1"], "netns": 0}]}\n' % other
    )
    socket.send_fds(server.channel, [line], [here])
    os.close(here)
    if os.geteuid() != 0:
        pytest.skip("entering a namespace needs CAP_SYS_ADMIN")
    assert server.hears() == {"pods": 2}


def test_sigterm_answers_what_has_begun_and_closes_what_is_idle(server: Process, port: int) -> None:
    with connect(port) as idle, connect(port) as busy:
        idle.sendall(GET)
        answers(idle, 1)
        busy.sendall(GET + GET[:9])
        answers(busy, 1)
        server.signal(signal.SIGTERM)
        assert idle.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(port)
        busy.sendall(GET[9:])
        answers(busy, 1)
        assert busy.recv(1) == b""
    assert server.ended() == 0


def test_ends_when_the_supervisor_does(server: Process) -> None:
    server.channel.shutdown(socket.SHUT_RDWR)
    assert server.ended() == 0


def test_what_was_accepted_outlives_a_crash(server: Process, port: int, tmp_path: Path) -> None:
    with connect(port) as sock:
        sock.sendall(GET)
        answers(sock, 1)
        server.signal(signal.SIGKILL)
        assert server.ended() == -signal.SIGKILL
        assert sock.recv(1) == b""
    assert len(read_accept_log(tmp_path / "log").rows) == 1


def test_tells_how_many_others_it_serves(server: Process, port: int) -> None:
    with connect(port) as busy, connect(port) as asker:
        busy.sendall(GET)
        answers(busy, 1)
        asker.sendall(b"GET /load HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert asker.makefile("rb").read().endswith(b"\r\n\r\n1")


# A pod that takes its time

SERVICE_S = 0.02


@pytest.fixture
def busy(spawn: Spawn, port: int) -> Process:
    process = spawn(echo.main, {"pods": [pod(port, service_s=SERVICE_S)], "log": None})
    assert process.hears() == {"ready": True}
    return process


def test_requests_are_worked_on_one_after_the_other(busy: Process, port: int) -> None:
    """Three connections at once, and three requests on the last: five times as long as one."""
    began_ns = now_ns()
    with connect(port) as first, connect(port) as second, connect(port) as third:
        for sock, requests in ((first, GET), (second, GET), (third, GET * 3)):
            sock.sendall(requests)
        for sock, count in ((first, 1), (second, 1), (third, 3)):
            answers(sock, count)
    assert now_ns() - began_ns >= 5 * SERVICE_S * 1e9


def test_a_busy_pod_still_says_that_it_is_well(spawn: Spawn, port: int) -> None:
    process = spawn(echo.main, {"pods": [pod(port, service_s=3600)], "log": None})
    assert process.hears() == {"ready": True}
    with connect(port) as asking, connect(port) as probing:
        asking.sendall(GET)
        probing.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert probing.recv(4096).startswith(b"HTTP/1.1 200")
        asking.setblocking(False)
        with pytest.raises(BlockingIOError):
            asking.recv(1)


def test_a_client_that_gives_up_is_forgotten(busy: Process, port: int) -> None:
    with connect(port) as impatient:
        impatient.sendall(GET)
        impatient.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with connect(port) as patient:
        patient.sendall(LAST)
        answers(patient, 1)
        assert patient.recv(1) == b""


def test_a_graceful_end_waits_for_what_is_worked_on(busy: Process, port: int) -> None:
    with connect(port) as sock:
        sock.sendall(GET)
        os.kill(busy.pid, signal.SIGTERM)
        answers(sock, 1)
        assert sock.recv(1) == b""
