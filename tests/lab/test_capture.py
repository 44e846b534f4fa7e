"""`testbed capture`: packets of one place or many, as lines and as files, however it ends."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.lab.capturing import Capture, CaptureSpec
from testbed.lab.client import Lab
from testbed.lab.trace_request import frames
from testbed.model.topology import Topology
from testbed.packets.decode import decode
from tests.lab.conftest import ONCE, User, unique_name

pytestmark = pytest.mark.lab

TOPOLOGY = """
name: capture
nodes: {n1: {}}
hosts: {client: {}}
dns: {replicas: 0}
workloads: {web: {replicas: 1, port: 8080}, other: {}}
services: {web: {port: 80, targetPort: 8080, nodePort: 30080}}
"""


@pytest.fixture(scope="module")
def lab(user: User) -> Iterator[str]:
    """A lab by the command line, as root and as an ordinary user; its name."""
    name = unique_name()
    done = user.testbed("up", user.file("capture.yaml", TOPOLOGY), "--name", name)
    assert done.returncode == 0, done.stderr
    yield name
    user.testbed("down", name)


def ask(user: User, lab: str) -> str:
    """One request from the outside host through the node port; the node's address."""
    node = json.loads(user.testbed("inspect", lab, "-o", "json").stdout)["nodes"][0]
    url = f"http://{node['addresses'][0]}:30080/hostname"
    done = user.testbed("exec", lab, "client", "--", "curl", "-s", url)
    assert done.stdout == "web-0"
    return str(node["addresses"][0])


@contextmanager
def listening(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """A capture, once it has said that it listens; it is gone behind the block."""
    assert process.stderr is not None
    try:
        assert process.stderr.readline().startswith("listening on")
        yield process
    finally:
        process.kill()
        process.communicate()


@ONCE
def test_lines_of_several_places_until_a_count(user: User, lab: str) -> None:
    argv = ("capture", lab, "client,n1,web-0", "-c", "4", "tcp[tcpflags] == tcp-syn")
    with listening(user.start(*argv)) as process:
        ask(user, lab)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0
    seen = [line.split()[1:3] for line in out.splitlines()]
    assert seen[0] == ["client/eth0", "out"]
    assert seen[-1] == ["web-0/eth0", "in"]
    assert ["n1/eth0", "in"] in seen
    assert "4 packets" in err


@ONCE
def test_ctrl_c_leaves_a_whole_file(user: User, lab: str) -> None:
    path = user.folder / f"{lab}.pcapng"
    with listening(user.start("capture", lab, "all", "-w", str(path))) as process:
        node = ask(user, lab)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    found = frames(Path(path))
    packets = [(interface.name, decode(frame.data)) for interface, frame in found]
    assert {name.rpartition("/")[0] for name, _ in packets} >= {"client", "n1", "web-0"}
    assert ("client/eth0", node) in {(name, one.dst) for name, one in packets if one.is_syn}
    assert f"{len(found)} packets" in err


@ONCE
def test_json_has_what_a_line_has(user: User, lab: str) -> None:
    argv = ("capture", lab, "client", "-c", "1", "-o", "json", "tcp dst port 30080")
    with listening(user.start(*argv)) as process:
        node = ask(user, lab)
        out, _ = process.communicate(timeout=300)
    (row,) = json.loads(out)
    assert (row["interface"], row["direction"], row["protocol"]) == ("client/eth0", "out", "tcp")
    assert row["dst"] == f"{node}:30080"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("n1", "tcp prot 80"), 2, "syntax error"),
        (("n1", "-i", "eth7"), 2, "n1 has no interface 'eth7'"),
        (("nowhere",), 4, "no node, pod or outside host 'nowhere'"),
        (("n1", "-c", "0"), 2, "0 packets are none"),
        (("n1", "-w", "-", "-o", "json"), 2, "standard output"),
        (("n1", "-w", "/nonexistent/file"), 5, "cannot write"),
    ],
)
@ONCE
def test_what_cannot_be_is_said(
    user: User, lab: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = user.testbed("capture", lab, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_one_interface_and_an_end_by_time() -> None:
    topology = Topology.model_validate({"name": "x", "nodes": {"n1": {}}, "dns": {"replicas": 0}})
    with Lab.up(topology, name=unique_name()) as running:
        spec = CaptureSpec(("n1",), interface="lo", duration_s=0.2)
        with Capture(running, spec) as capture:
            running.exec("n1", ["sh", "-c", "echo hello > /dev/udp/127.0.0.1/9 || true"])
            assert {interface.name for interface, _ in capture.frames()} <= {"n1/lo"}
            assert capture.result()["lost"] == 0
