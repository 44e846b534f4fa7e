"""`testbed watch` and `graph` of a lab, as root and as an ordinary user: counts, views, and how they end."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import ONCE, User, unique_name

pytestmark = pytest.mark.lab

TOPOLOGY: dict[str, Any] = {
    "name": "watched",
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {"outside": {}},
    "dns": {"replicas": 0},
    "workloads": {"web": {"replicas": 3, "port": 8080}, "caller": {"node": "n1"}},
    "services": {
        "web": {"port": 80, "targetPort": 8080, "clusterIP": "10.96.0.9", "nodePort": 30080}
    },
}
ADDRESS = "http://10.96.0.9/hostname"
PERIOD = ("--period", "0.2s")
TIMES = 12


@dataclass(frozen=True, slots=True)
class Place:
    """A running lab and who works in it."""

    user: User
    lab: str

    def watch(self, *options: str) -> subprocess.Popen[str]:
        return self.user.start("watch", self.lab, *PERIOD, *options)

    def answers(self, where: str, url: str) -> Counter[str]:
        """Who answers, a connection each."""
        lines = ["curl", "-s", "-m", "60", "-H", "Connection: close", "-w", r"\n", *[url] * TIMES]
        done = self.user.testbed("exec", self.lab, where, "--", *lines)
        assert done.returncode == 0, done.stderr
        return Counter(done.stdout.split())


def up(user: User, topology: dict[str, Any] = TOPOLOGY) -> Place:
    place = Place(user, unique_name())
    file = user.file(f"{place.lab}.yaml", json.dumps(topology))
    done = user.testbed("up", file, "--name", place.lab)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def place(user: User) -> Iterator[Place]:
    made = up(user)
    yield made
    user.testbed("down", made.lab)


@pytest.fixture
def own_place(user: User) -> Iterator[Place]:
    """For a test that ends its lab: also where it fails before."""
    made = up(user)
    yield made
    user.testbed("down", made.lab)


def picked(look: dict[str, Any]) -> Counter[str]:
    """Pod -> connections of the service."""
    (port,) = [one for one in look["services"] if one["name"] == "default/web"]
    return +Counter({row["pod"]: row["connections"] for row in port["endpoints"]})


def looks(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """As they come; ends the process with the loop."""
    assert process.stdout is not None
    with process:
        try:
            for line in process.stdout:
                yield json.loads(line)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)
    assert process.returncode == 0


@ONCE
def test_every_connection_is_counted_for_who_answered_it(place: Place) -> None:
    watched = looks(place.watch("-o", "json"))
    before = picked(next(watched))
    answered: Counter[str] = Counter()
    for where, url in (
        ("caller-0", ADDRESS),
        ("outside", f"http://{node_ip(place)}:30080/hostname"),
    ):
        answered += place.answers(where, url)
    for look in watched:
        if (picked(look) - before).total() >= answered.total():
            break
    assert picked(look) - before == answered
    watched.close()


def node_ip(place: Place) -> str:
    inspected = json.loads(place.user.testbed("inspect", place.lab, "-o", "json").stdout)
    return str(inspected["nodes"][0]["addresses"][0])


@ONCE
def test_a_graph_has_what_was_counted(place: Place) -> None:
    with_picks = looks(place.watch("-o", "json"))
    next(with_picks)
    place.answers("caller-0", ADDRESS)
    for look in with_picks:
        if picked(look):
            break
    with_picks.close()
    done = place.user.testbed("graph", place.lab, "--view", "services", "-f", "mermaid")
    assert done.returncode == 0, done.stderr
    total = 0
    for part in done.stdout.split("picked ")[1:]:
        total += int(part.split()[0])
    assert total >= TIMES
    assert "33.3 %" in done.stdout


@ONCE
def test_events_come_as_lines(place: Place) -> None:
    process = place.watch()
    assert process.stdout is not None
    with process:
        first = process.stdout.readline()
        assert "2 nodes, 4 of 4 pods ready" in first
        place.user.testbed("fault", place.lab, "crash", "web-0")
        for line in process.stdout:
            if "kubelet container-started web-0" in line:
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (0, "")


def terminal(place: Place, until: bytes, typed: bytes) -> tuple[int, bytes]:
    """`watch` on a terminal; `typed` once `until` stands there. Returns its exit code and all it showed."""
    argv = place.user.argv("watch", place.lab, *PERIOD)
    pid, end = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, {**place.user.env, "TERM": "xterm-256color"})
    shown = b""
    try:
        while chunk := os.read(end, 4096):
            shown += chunk
            if typed and until in shown:
                os.write(end, typed)
                typed = b""
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(end)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


@pytest.mark.parametrize("typed", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
@ONCE
def test_a_terminal_is_filled_and_given_back(place: Place, typed: bytes) -> None:
    code, shown = terminal(place, b"q quits", typed)
    assert code == 0
    for wanted in (b"web-0", b"10.96.0.9:80/TCP", b"events"):
        assert wanted in shown
    assert b"\x1b[?1049h" in shown, "a screen of its own"
    assert shown.endswith(b"\x1b[?25h\x1b[?1049l"), "left, with its cursor"
    assert b"Traceback" not in shown


@ONCE
def test_the_page_needs_its_token_and_ends_with_the_lab(own_place: Place) -> None:
    process = own_place.watch("--web")
    assert process.stderr is not None
    with process:
        url = process.stderr.readline().strip()
        base, _, token = url.partition("/?token=")
        with urllib.request.urlopen(url, timeout=120) as answer:
            assert "<script" in answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{base}/stream?token=guessed", timeout=120)
        with urllib.request.urlopen(f"{base}/stream?token={token}", timeout=120) as stream:
            told = json.loads(stream.readline().decode().removeprefix("data: "))
            assert {pod["name"] for pod in told["pods"]} == {"caller-0", "web-0", "web-1", "web-2"}
            own_place.user.testbed("down", own_place.lab)
            assert b"event: end" in stream.read()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0
    assert f"lab {own_place.lab} has ended" in said


def test_a_proxy_that_is_a_process_says_whom_it_picked() -> None:
    topology = {**TOPOLOGY, "proxy": {"mode": "userspace", "minSyncPeriod": "0s"}}
    curl = ["curl", "-s", "-H", "Connection: close", *[ADDRESS] * 6]
    with Lab.up(Topology.model_validate(topology), name=unique_name()) as lab:
        assert lab.watch()["picks"] == []
        lab.exec("caller-0", curl)
        rows = lab.watch()["picks"]
        assert {(node, protocol, dialled) for node, protocol, dialled, _, _ in rows} == {
            ("n1", 6, "")
        }
        assert [count for *_, count in rows] == [2, 2, 2]
        with closing(lab.another()) as other:
            assert other.watch()["picks"] == rows, "two who watch count once"
        lab.exec("caller-0", curl)
        assert sum(count for *_, count in lab.watch()["picks"]) == 12


def test_a_node_that_comes_later_is_counted_too() -> None:
    topology = Topology.model_validate({**TOPOLOGY, "nodes": {"n1": {}, "n2": {}, "n3": {}}})
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as lab:
        lab.watch()
        lab.change(topology)
        lab.watch()
        lab.exec("n3", ["curl", "-s", ADDRESS])
        lab.watch()
        while not (rows := lab.picks()):
            lab.watch()
        assert [row[:3] for row in rows] == [["n3", 6, "10.96.0.9:80"]]
