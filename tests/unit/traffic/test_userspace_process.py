"""The userspace proxy's process, on the loopback: who gets which endpoint, and what passes through."""

from __future__ import annotations

import errno
import hashlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from testbed.clock import now_s
from testbed.proxy import userspace_table
from testbed.proxy.userspace_picks import counts, picks
from testbed.proxy.userspace_process import main as userspace
from testbed.proxy.userspace_table import Listener
from tests.unit.traffic.conftest import Process, Spawn

CONFIG = {
    "balancer": "roundrobin",
    "documented": False,
    "udp_idle_s": 0.25,
    "load_path": "/load",
    "load_period_s": 0.02,
}
NAME = "default/web:http/tcp"


class Proxy:
    """The process with one listener, as the lab drives it."""

    def __init__(self, process: Process, port: int, protocol: str = "tcp") -> None:
        self.process = process
        self.port = port
        self.protocol = protocol
        self._ids = count(1)

    def ask(self, verb: str, text: str = "") -> str:
        ident = next(self._ids)
        self.process.tell({"id": ident, "do": verb, "text": text})
        answer = self.process.hears()
        assert answer["id"] == ident
        assert "error" not in answer, answer
        return str(answer["text"])

    def set(self, *endpoints: str, affinity_s: int = 0) -> None:
        address = f"127.0.0.1:{self.port}"
        listener = Listener(NAME, self.protocol, address, endpoints, affinity_s)
        self.ask("set", userspace_table.saved([listener]))

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def answer(self) -> str:
        """Who answers a new connection; "" when it is closed without a word."""
        with self.connect() as sock:
            return sock.recv(100).decode()


class Backends:
    """Servers that greet every connection with their own address, and answer datagrams with it."""

    def __init__(self, count_: int) -> None:
        self.stack = ExitStack()
        self.listeners = [self._listener() for _ in range(count_)]
        self.texts = [f"127.0.0.1:{one.getsockname()[1]}" for one in self.listeners]

    def _listener(self) -> socket.socket:
        sock = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(sock.getsockname())
        threading.Thread(target=self._greet, args=(sock,), daemon=True).start()
        threading.Thread(target=self._reply, args=(udp,), daemon=True).start()
        return sock

    def _greet(self, sock: socket.socket) -> None:
        me = f"127.0.0.1:{sock.getsockname()[1]}".encode()
        while True:
            try:
                client, _ = sock.accept()
            except OSError:
                return
            with client:
                client.sendall(me)

    def _reply(self, sock: socket.socket) -> None:
        me = f"127.0.0.1:{sock.getsockname()[1]}".encode()
        while True:
            try:
                _, client = sock.recvfrom(100)
            except OSError:
                return
            sock.sendto(me, client)


@pytest.fixture
def backends() -> Iterator[Backends]:
    made = Backends(3)
    with made.stack:
        yield made
        for sock in made.listeners:
            sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(spawn: Spawn, port: int) -> Proxy:
    process = spawn(userspace.main, CONFIG)
    assert process.hears() == {"ready": True}
    return Proxy(process, port)


def test_endpoints_take_turns(proxy: Proxy, backends: Backends) -> None:
    proxy.set(*backends.texts)
    answers = [proxy.answer() for _ in range(9)]
    assert set(answers[:3]) == set(backends.texts)
    assert answers == answers[:3] * 3


def test_a_client_keeps_its_endpoint_until_that_is_gone(proxy: Proxy, backends: Backends) -> None:
    proxy.set(*backends.texts, affinity_s=100)
    (kept,) = {proxy.answer() for _ in range(6)}
    others = [text for text in backends.texts if text != kept]
    proxy.set(*others, affinity_s=100)
    assert {proxy.answer() for _ in range(6)} < set(others)


def test_an_endpoint_that_refuses_is_passed_over(proxy: Proxy, backends: Backends) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        proxy.set(f"127.0.0.1:{nobody.getsockname()[1]}", *backends.texts[:2])
        counts = Counter(proxy.answer() for _ in range(6))
    assert set(counts) == set(backends.texts[:2])


def test_without_endpoints_a_client_is_accepted_and_closed(proxy: Proxy) -> None:
    proxy.set()
    assert proxy.answer() == ""


def test_a_client_is_given_up_after_four_attempts(proxy: Proxy) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        proxy.set(f"127.0.0.1:{nobody.getsockname()[1]}")
        assert proxy.answer() == ""


def test_a_closed_listener_refuses_and_what_is_open_goes_on(proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy.set(f"127.0.0.1:{server.getsockname()[1]}")
        with proxy.connect() as client:
            backend, _ = server.accept()
            proxy.ask("close", f"tcp 127.0.0.1:{proxy.port}\n")
            with pytest.raises(ConnectionRefusedError):
                proxy.connect()
            client.sendall(b"still here")
            assert backend.recv(100) == b"still here"
            backend.close()
    assert userspace_table.listeners(proxy.ask("table")) == []


def test_the_table_is_told_as_it_was_set(proxy: Proxy, backends: Backends) -> None:
    proxy.set(*backends.texts, affinity_s=30)
    (found,) = userspace_table.listeners(proxy.ask("table"))
    assert found.endpoints == tuple(backends.texts)
    assert found.affinity_s == 30


def test_an_address_that_cannot_be_had_is_an_error_and_not_the_end(proxy: Proxy) -> None:
    taken = Listener(NAME, "tcp", "192.0.2.1:80", ())
    proxy.process.tell({"id": 1, "do": "set", "text": userspace_table.saved([taken])})
    assert f"[Errno {errno.EADDRNOTAVAIL}]" in proxy.process.hears()["error"]
    assert proxy.ask("table") == userspace_table.saved([])


def test_bytes_pass_unchanged_while_the_other_side_is_slow(proxy: Proxy) -> None:
    data = bytes(range(256)) * 40_000
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy.set(f"127.0.0.1:{server.getsockname()[1]}")
        with proxy.connect() as client:
            backend, _ = server.accept()
            writer = threading.Thread(target=client.sendall, args=(data,))
            writer.start()
            digest, got = hashlib.sha256(), 0
            while got < len(data):  # a piece at a time: the proxy must wait, not gather or lose
                piece = backend.recv(5000)
                digest.update(piece)
                got += len(piece)
            writer.join()
            backend.sendall(b"thanks")
            assert client.recv(100) == b"thanks"
            backend.close()
    assert digest.digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("documented", [True, False])
def test_a_client_that_has_said_all_still_hears_if_that_is_documented(
    spawn: Spawn, port: int, documented: bool
) -> None:
    process = spawn(userspace.main, {**CONFIG, "documented": documented})
    process.hears()
    proxy = Proxy(process, port)
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy.set(f"127.0.0.1:{server.getsockname()[1]}")
        with proxy.connect() as client:
            backend, _ = server.accept()
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            assert backend.recv(100) == b"question"
            assert backend.recv(100) == b""
            if not documented:  # kube-proxy closed both sides when one had ended
                assert client.recv(100) == b""
            else:
                backend.sendall(b"answer")
                assert client.recv(100) == b"answer"
            backend.close()


@contextmanager
def udp_client(process: Process, port: int, backends: Sequence[str]) -> Iterator[Callable[[], str]]:
    """Ask who answers the datagrams of one socket."""
    assert process.hears() == {"ready": True}
    Proxy(process, port, "udp").set(*backends)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(60)

        def answer() -> str:
            client.send(b"?")
            return client.recv(100).decode()

        yield answer


def test_datagrams_of_a_client_go_one_way(spawn: Spawn, port: int, backends: Backends) -> None:
    process = spawn(userspace.main, CONFIG | {"udp_idle_s": 3600.0})
    with udp_client(process, port, backends.texts) as answer:
        assert len({answer() for _ in range(6)}) == 1


def test_a_client_that_fell_silent_is_led_elsewhere(
    spawn: Spawn, port: int, backends: Backends
) -> None:
    idle_s = 0.05
    process = spawn(userspace.main, CONFIG | {"udp_idle_s": idle_s})
    with udp_client(process, port, backends.texts) as answer:
        first = answer()
        deadline_s = now_s() + 60
        while answer() == first:
            assert now_s() < deadline_s
            time.sleep(2 * idle_s)  # its silence; the proxy may notice it late


def test_picks_are_counted_from_the_first_question_to_the_last(
    proxy: Proxy, backends: Backends
) -> None:
    proxy.set(*backends.texts)
    proxy.answer()
    assert counts(proxy.ask("count")) == {}
    for _ in range(6):
        proxy.answer()
    assert counts(proxy.ask("count")) == {(6, text): 2 for text in backends.texts}
    proxy.ask("count", "off")
    proxy.answer()
    assert counts(proxy.ask("count")) == {}


def test_every_pick_is_noted_while_somebody_records(
    proxy: Proxy, backends: Backends, tmp_path: Path
) -> None:
    proxy.set(*backends.texts)
    proxy.answer()
    proxy.ask("record", str(tmp_path / "picks"))
    with proxy.connect() as client:
        own = client.getsockname()
        who = client.recv(100).decode()
    proxy.ask("record")
    proxy.answer()
    (pick,) = picks((tmp_path / "picks").read_bytes())
    assert (pick.client_ip, pick.client_port) == own
    assert f"{pick.endpoint_ip}:{pick.endpoint_port}" == who
    assert pick.protocol == 6


def test_it_ends_with_its_channel(proxy: Proxy) -> None:
    proxy.process.channel.shutdown(socket.SHUT_RDWR)
    assert proxy.process.ended() == 0
