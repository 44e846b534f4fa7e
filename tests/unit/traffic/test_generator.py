"""The generator as a process: every outcome, both loops, kept connections, and its end."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.clock import now_ns
from testbed.traffic import echo, generator
from testbed.traffic.channel import Channel
from testbed.traffic.samples import SampleFile, read
from testbed.traffic.spec import LoadSpec
from tests.unit.traffic.conftest import ANSWER_S, Process, Spawn


class Loads:
    """Starts loads at a port and reads their samples."""

    def __init__(self, spawn: Spawn, port: int, output: Path) -> None:
        self._spawn, self.port, self._output = spawn, port, output
        self.report: dict[str, Any] = {}

    def start(self, url: str = "http://127.0.0.1:{port}/hostname", **spec: Any) -> Process:
        defaults = {"source": "client", "url": url.format(port=self.port), "duration_s": 0.3}
        config = {"spec": defaults | spec, "output": str(self._output), "resolv_conf": None}
        process = self._spawn(generator.main, config)
        assert process.hears() == {"ready": True}
        assert process.hears().keys() == {"started_ns"}
        return process

    def end(self, process: Process) -> pd.DataFrame:
        while "done" not in self.report:
            self.report = process.hears()
        assert process.ended() == 0
        return read(self._output)

    def samples(self, url: str = "http://127.0.0.1:{port}/hostname", **spec: Any) -> pd.DataFrame:
        return self.end(self.start(url, **spec))


@pytest.fixture
def loads(spawn: Spawn, port: int, tmp_path: Path) -> Loads:
    return Loads(spawn, port, tmp_path / "samples")


@pytest.fixture
def served(loads: Loads, spawn: Spawn) -> Loads:
    pod = {"pod": "web-0", "listen": ["127.0.0.1"], "port": loads.port, "netns": None}
    assert spawn(echo.main, {"pods": [pod], "log": None}).hears() == {"ready": True}
    return loads


@contextmanager
def server(port: int, answer: bytes | None, reset: bool = False) -> Iterator[None]:
    """Accepts, reads, says `answer` and closes; None: listens but never accepts."""
    with socket.create_server(("127.0.0.1", port)) as listener:

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:  # shut down
                    return
                with sock:
                    sock.recv(4096)
                    sock.sendall(answer or b"")
                    if reset:
                        linger = b"\1\0\0\0\0\0\0\0"
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        thread = threading.Thread(target=serve)
        if answer is not None:
            thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
    if answer is not None:
        thread.join()


def outcomes(samples: pd.DataFrame) -> set[str]:
    return set(samples["outcome"])


def opened_needlessly(samples: pd.DataFrame, reuse: int, wanted: int = 0) -> list[int]:
    """Connections beyond the `wanted` that were opened though another one was idle and not used up."""
    found = []
    for number, start_ns in samples.groupby("connection")["start_ns"].min().items():
        before = samples[samples["start_ns"] < start_ns]
        used = before.groupby("connection").agg(requests=("end_ns", "size"), free=("end_ns", "max"))
        idle = used[(used["requests"] < reuse) & (used["free"] < start_ns)]
        if len(used) >= wanted and len(idle):
            found.append(int(number))
    return found


@pytest.mark.parametrize("scheme", ["http", "tcp", "udp"])
@pytest.mark.parametrize("reuse", [1, 4])
def test_open_loop_answers(served: Loads, scheme: str, reuse: int) -> None:
    url = f"{scheme}://127.0.0.1:{{port}}/hostname"
    samples = served.samples(url, rate_rps=100, arrivals="constant", reuse=reuse)
    assert len(samples) == 30
    assert outcomes(samples) == {"ok"}
    assert set(samples["backend"]) == {"web-0"}
    assert set(samples["bytes"]) == {5}
    assert samples["connection"].value_counts().max() <= reuse
    assert not opened_needlessly(samples, reuse)
    assert (samples["src_port"] > 0).all()
    assert samples.groupby("connection")["src_port"].nunique().max() == 1
    scheduled_ns = samples["scheduled_ns"].sort_values()  # who is late may end out of turn
    assert (scheduled_ns.diff().dropna() == 10_000_000).all()
    assert (samples["scheduled_ns"] <= samples["start_ns"]).all()
    assert (samples["start_ns"] <= samples["first_byte_ns"]).all()
    assert (samples["first_byte_ns"] <= samples["end_ns"]).all()


def test_only_a_connections_first_request_has_a_handshake(served: Loads) -> None:
    samples = served.samples(rate_rps=100, arrivals="constant", reuse=5)
    first = ~samples.sort_values("start_ns").duplicated("connection")
    assert samples["connected_ns"].notna()[first].all()
    assert samples["connected_ns"].isna()[~first].all()


def test_closed_loop_keeps_its_connections_busy(served: Loads) -> None:
    samples = served.samples(connections=5, reuse=1_000_000, timeout_s=60, drain_s=60)
    assert samples["scheduled_ns"].isna().all()
    assert samples["connection"].nunique() == 5
    assert outcomes(samples) == {"ok"}


def test_open_loop_spreads_over_the_connections_asked_for(served: Loads) -> None:
    samples = served.samples(rate_rps=100, arrivals="constant", connections=3, reuse=1000)
    assert samples["connection"].nunique() >= 3
    assert samples.sort_values("start_ns")["connection"].iloc[:3].is_unique
    assert not opened_needlessly(samples, reuse=1000, wanted=3)


@pytest.mark.parametrize(
    ("name", "answer", "outcome"),
    [
        ("says nothing", b"", "closed"),
        ("stops in the head", b"HTTP/1.1 200 OK\r\n", "closed"),
        ("stops in the body", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nweb", "closed"),
        ("sends an error", b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "http_error"),
        ("speaks another protocol", b"220 smtp.example ready\r\n", "http_error"),
        ("ends the body by closing", b"HTTP/1.1 200 OK\r\n\r\nweb-0", "ok"),
    ],
)
def test_servers_that_close(loads: Loads, name: str, answer: bytes, outcome: str) -> None:
    with server(loads.port, answer):
        assert outcomes(loads.samples(connections=1, duration_s=0.1)) == {outcome}, name


def test_a_server_that_resets(loads: Loads) -> None:
    with server(loads.port, b"", reset=True):
        assert outcomes(loads.samples(connections=1, duration_s=0.1)) == {"reset"}


@pytest.mark.parametrize("scheme", ["http", "tcp", "udp"])
def test_nobody_listens(loads: Loads, scheme: str) -> None:
    samples = loads.samples(f"{scheme}://127.0.0.1:{{port}}/hostname", rate_rps=50)
    assert outcomes(samples) == {"refused"}
    assert samples["backend"].isna().all()
    assert samples["end_ns"].notna().all()


def test_nobody_accepts(loads: Loads) -> None:
    with server(loads.port, answer=None):
        samples = loads.samples(rate_rps=50, arrivals="constant", timeout_s=0.05)
    assert outcomes(samples) == {"timeout"}
    assert samples["connected_ns"].notna().all()
    assert (samples["end_ns"] - samples["start_ns"] >= 50_000_000).all()


@contextmanager
def forgetful(port: int, ignored: int, answered: int) -> Iterator[threading.Event]:
    """Answers datagrams, but for the first ones; says when it has answered so many."""
    enough = threading.Event()
    with socket.socket(type=socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", port))

        def serve() -> None:
            seen = 0
            while (received := listener.recvfrom(4096))[0] != b"stop":
                seen += 1
                if seen > ignored:
                    listener.sendto(b"web-0", received[1])
                if seen == ignored + answered:
                    enough.set()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield enough
        finally:
            listener.sendto(b"stop", ("127.0.0.1", port))
            thread.join()


def test_a_udp_socket_outlives_datagrams_that_nobody_answers(loads: Loads) -> None:
    url = "udp://127.0.0.1:{port}/hostname"
    with forgetful(loads.port, ignored=2, answered=50) as enough:
        kept = {"connections": 1, "reuse": 1_000_000, "timeout_s": 0.05, "duration_s": 3600}
        load = loads.start(url, **kept)
        assert enough.wait(ANSWER_S)
        load.tell({"stop": True})
        samples = loads.end(load)
    assert list(samples["outcome"][:2]) == ["timeout", "timeout"]
    assert "ok" in set(samples["outcome"][2:])
    assert samples["connection"].nunique() == samples["src_port"].nunique() == 1


def test_what_is_in_flight_at_the_end_is_censored(loads: Loads) -> None:
    with server(loads.port, answer=None):
        samples = loads.samples(rate_rps=50, arrivals="constant", drain_s=0)
    assert outcomes(samples) == {"censored"}
    assert len(samples) == 15


def test_an_open_loop_is_never_blocked(loads: Loads) -> None:
    with server(loads.port, answer=None):
        kept = {"connections": 2, "reuse": 10, "timeout_s": 3600, "drain_s": 0}
        samples = loads.samples(rate_rps=200, arrivals="constant", **kept)
    assert len(samples) == 60
    assert outcomes(samples) == {"censored"}, "none had ended before the last began"
    assert samples["connection"].nunique() == 60


@pytest.mark.parametrize("patience", [{"timeout_s": 0.001}, {"drain_s": 0.0}])
def test_an_answer_counts_that_came_before_a_late_look(
    spawn: Spawn, port: int, tmp_path: Path, patience: dict[str, float]
) -> None:
    """The generator had no CPU for as long as the request's time, or the drain's."""
    short = {"url": f"tcp://127.0.0.1:{port}", "rate_rps": 1, "duration_s": 0.001}
    spec = LoadSpec.from_json({"source": "client"} | short | patience)
    output = tmp_path / "samples"

    def late(_: Any, channel: socket.socket) -> None:
        def arrivals() -> Iterator[int]:
            yield 0
            channel.recv(1, socket.MSG_PEEK)  # the word that the answer is there
            over_ns = now_ns() + 1_000_000
            while now_ns() <= over_ns:
                pass

        samples = SampleFile(output)
        generator.Load(spec, "", samples, Channel(channel)).run(now_ns(), arrivals())
        samples.close()

    with socket.create_server(("127.0.0.1", port)) as listener:
        process = spawn(late, {})
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"web-0\n")
            process.tell({"stop": True})
            assert process.ended() == 0
    assert read(output)["outcome"].tolist() == ["ok"]


def test_an_address_that_the_host_does_not_have_is_the_clients_trouble(served: Loads) -> None:
    samples = served.samples(rate_rps=50, source_addresses=["192.0.2.1"])
    assert outcomes(samples) == {"client_error"}


def test_source_addresses_take_turns(served: Loads) -> None:
    addresses = ["127.0.0.2", "127.0.0.3"]
    samples = served.samples(
        rate_rps=100, arrivals="constant", source_addresses=addresses, close="rst"
    )
    assert samples["src_ip"].value_counts().to_dict() == dict.fromkeys(addresses, 15)


def test_a_kept_connection_whose_server_dies_is_replaced(loads: Loads, spawn: Spawn) -> None:
    pod = {"pod": "web-0", "listen": ["127.0.0.1"], "port": loads.port, "netns": None}
    first = spawn(echo.main, {"pods": [pod], "log": None})
    assert first.hears() == {"ready": True}
    load = loads.start(rate_rps=200, duration_s=3600, reuse=10_000, drain_s=60)
    assert "progress" in load.hears()
    first.signal(signal.SIGKILL)
    first.ended()
    second = spawn(echo.main, {"pods": [pod | {"pod": "web-1"}], "log": None})
    assert second.hears() == {"ready": True}
    for _ in range(3):  # what is sent between two of them reaches the second
        assert "progress" in load.hears()
    load.tell({"stop": True})
    samples = loads.end(load)
    assert {"web-0", "web-1"} == set(samples["backend"].dropna())
    assert samples.groupby("connection")["backend"].nunique().max() == 1
    assert outcomes(samples) <= {"ok", "refused", "reset", "closed"}


@pytest.mark.parametrize("how", ["stop", "SIGTERM", "SIGINT", "supervisor's end"])
def test_an_early_end_keeps_what_was_measured(served: Loads, how: str) -> None:
    load = served.start(rate_rps=200, duration_s=3600)
    known = load.hears()["progress"]["requests"]
    match how:
        case "stop":
            load.tell({"stop": True})
        case "supervisor's end":
            load.channel.shutdown(socket.SHUT_WR)
        case name:
            load.signal(signal.Signals[name])
    samples = served.end(load)
    assert served.report["stopped"] is True
    assert len(samples) == served.report["requests"] >= known > 0


def test_sigkill_loses_nothing_that_had_ended(served: Loads, tmp_path: Path) -> None:
    load = served.start(rate_rps=200, duration_s=3600)
    known = load.hears()["progress"]["requests"]
    load.signal(signal.SIGKILL)
    load.ended()
    assert len(read(tmp_path / "samples")) >= known > 0


def test_equal_seeds_give_equal_schedules(served: Loads) -> None:
    def offsets(seed: int) -> list[int]:
        served.report = {}
        scheduled = served.samples(rate_rps=100, seed=seed)["scheduled_ns"].sort_values()
        return (scheduled - scheduled.iloc[0]).tolist()  # type: ignore[no-any-return]

    assert offsets(1) == offsets(1) != offsets(2)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"url": "http://web/", "rate_rps": 1}, "no name server"),
        ({"url": "ftp://web/", "rate_rps": 1}, "scheme"),
        ({"url": "http://10.0.0.1/"}, "a load needs a rate"),
    ],
)
def test_a_load_that_cannot_be_says_why(
    spawn: Spawn, tmp_path: Path, spec: dict[str, Any], words: str
) -> None:
    config = {"spec": {"source": "client", **spec}, "output": str(tmp_path / "samples")}
    process = spawn(generator.main, config)
    answer = process.hears()
    assert words in answer["error"]
    assert answer["exit_code"] == 2


def test_a_place_that_cannot_be_written_says_why(spawn: Spawn, tmp_path: Path) -> None:
    spec = {"source": "client", "url": "http://127.0.0.1:1/", "rate_rps": 1}
    process = spawn(generator.main, {"spec": spec, "output": str(tmp_path / "no" / "samples")})
    answer = process.hears()
    assert "No such file" in answer["error"]
    assert answer["exit_code"] == 5
