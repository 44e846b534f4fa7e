"""Nodes that are Mininet's hosts, on its own Topos: clusters on them, the CLI, links that go down, the end."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.lab.client import Lab
from tests.lab.conftest import ONCE, User, unique_name
from tests.lab.outer import ROOT
from tests.lab.reachability import PROMISES, broken, topology

pytestmark = pytest.mark.lab

TREE = """
name: tree
underlay: {mininet: tree, args: {depth: 2, fanout: 2}}
hosts: {h4: {}}
dns: {replicas: 0}
workloads: {web: {replicas: 3}}
services: {web: {port: 80, nodePort: 30080, clusterIP: 10.96.0.80}}
"""
ALL = "*** Results: 0% dropped (12/12 received)"
CURL = ("curl", "-s", "-m", "20")


@pytest.fixture(scope="module")
def tree(user: User) -> Iterator[str]:
    name = unique_name()
    done = user.testbed("up", user.file("tree.yaml", TREE), "--name", name)
    assert done.returncode == 0, done.stderr
    yield name
    user.testbed("down", name)


def mininet(user: User, lab: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return user.testbed("exec", lab, "mininet", *(("--", *words) if words else ()), stdin=stdin)


def test_pods_meet_across_the_topo_and_a_client_is_served_from_outside(
    user: User, tree: str
) -> None:
    view = json.loads(user.testbed("inspect", tree, "-o", "json").stdout)
    assert [row["name"] for row in view["nodes"]] == ["h1", "h2", "h3"]
    pods = {row["name"]: row for row in view["pods"]}
    assert {row["node"] for row in pods.values()} == {"h1", "h2", "h3"}
    for caller in pods:
        urls = [f"http://{row['ip']}:8080/clientip" for row in pods.values()]
        seen = user.testbed("exec", tree, caller, "--", *CURL, "-w", "\\n", *urls).stdout.split()
        assert [one.rpartition(":")[0] for one in seen] == [pods[caller]["ip"]] * len(pods)
        answer = user.testbed("exec", tree, caller, "--", *CURL, "http://10.96.0.80/hostname")
        assert answer.stdout in pods
    node = view["nodes"][2]["addresses"][0]
    answer = user.testbed("exec", tree, "h4", "--", *CURL, f"http://{node}:30080/hostname")
    assert answer.stdout in pods


LINES = {
    "nodes": (("nodes",), 0, "h1 h2 h3 h4 s1 s2 s3"),
    "net": (("net",), 0, "s1 s1-eth1:s2-eth3 s1-eth2:s3-eth3"),
    "links": (("links",), 0, "s1-eth1<->s2-eth3 (OK OK)"),
    "dump": (("dump",), 0, "<LabHost h1: h1-eth0:172.18.0.2 pid="),
    "a command on a machine, names are addresses": (
        ("h1", "ping", "-c", "1", "h3"),
        0,
        "PING 172.18.0.4",
    ),
    "words stay words": (("h1", "sh", "-c", "echo 'a  b'; exit 3"), 3, "a  b"),
    "one text": (("h1 echo $((6 * 7))",), 0, "42"),
    "Mininet's names are the kernel's": (("h1", "ip", "link", "show", "h1-eth0"), 0, "eth0"),
    "Python": (("py", "h1.IP()"), 0, "172.18.0.2"),
    "a switch": (("s1", "bridge", "link"), 0, "master br0"),
    "what is none": (("nonsense",), 127, ""),
    "a link that is not there": (("link", "h1", "h3", "down"), 1, ""),
}


@pytest.mark.parametrize(("words", "code", "said"), LINES.values(), ids=LINES)
def test_a_line_of_the_cli(
    user: User, tree: str, words: tuple[str, ...], code: int, said: str
) -> None:
    done = mininet(user, tree, *words)
    assert done.returncode == code, done.stderr
    assert said in done.stdout


def test_lines_from_a_pipe_up_to_the_first_exit(user: User, tree: str) -> None:
    done = mininet(user, tree, stdin="# first\nh1 echo one\nh2 sh -c 'exit 4'\nexit\nh1 echo two\n")
    assert (done.returncode, done.stdout) == (4, "one\n")


def test_somebody_types(user: User, tree: str) -> None:
    """With a terminal of its own; Ctrl-C ends a machine's command, and not the CLI."""
    pid, terminal = pty.fork()
    if pid == 0:
        argv = user.argv("exec", tree, "mininet")
        os.execvpe(argv[0], argv, dict(user.env))
    heard = ""
    for awaited, typed in (
        ("mininet> ", "h1 ping h2\n"),
        ("icmp_seq=2", "\x03"),
        ("mininet> ", "exit\n"),
    ):
        while awaited not in heard:
            assert select.select([terminal], [], [], 60)[0], heard
            heard += os.read(terminal, 4096).decode()
        heard = heard.partition(awaited)[2]
        os.write(terminal, typed.encode())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)


def test_a_link_goes_down_and_up_as_a_fault_of_the_lab(user: User, tree: str) -> None:
    ping = ("h1", "ping", "-c", "1", "-W", "5", "h3")
    assert mininet(user, tree, "link", "s1", "s2", "down").returncode == 0
    assert mininet(user, tree, "link", "s1", "s2", "down").returncode == 0  # as Mininet: not a word
    assert mininet(user, tree, *ping).returncode == 1
    again = user.testbed("fault", tree, "cut", "s1", "s2")
    assert again.returncode == 1
    assert "cut already" in again.stderr
    assert user.testbed("fault", tree, "heal", "s1", "s2").returncode == 0
    assert mininet(user, tree, *ping).returncode == 0
    assert user.testbed("fault", tree, "cut", "h1").returncode == 0
    assert mininet(user, tree, *ping).returncode != 0
    assert mininet(user, tree, "link", "h1", "s2", "up").returncode == 0
    assert mininet(user, tree, *ping).returncode == 0


def test_a_stopped_node_is_stopped_in_mininet_too_and_boots_as_a_new_host(
    user: User, tree: str
) -> None:
    before = mininet(user, tree, "py", "h3.pid").stdout
    assert user.testbed("fault", tree, "stop-node", "h3").returncode == 0
    done = mininet(user, tree, "h3", "true")
    assert (done.returncode, "h3 is stopped" in done.stderr) == (1, True)
    assert user.testbed("fault", tree, "heal", "h3").returncode == 0
    assert mininet(user, tree, "py", "h3.pid").stdout != before
    assert ALL in mininet(user, tree, "pingall").stdout


@ONCE
def test_machines_come_and_move_and_at_the_end_nothing_is_left(user: User) -> None:
    """`up` again with a wider Topo, in which h3 hangs on another switch. Mininet's shells end with the lab."""
    lab = unique_name()
    file = user.file("tree.yaml", TREE)
    wider = ("--set", "underlay.args.fanout=3", "--set", "hosts={}")
    for settings in ((), wider):
        done = user.testbed("up", file, "--name", lab, *settings)
        assert done.returncode == 0, done.stderr
    assert "h7 h8 h9 s1 s2 s3 s4" in mininet(user, lab, "nodes").stdout
    assert "s2-eth3:h3-eth0" in mininet(user, lab, "net").stdout
    pods = json.loads(user.testbed("inspect", lab, "-o", "json").stdout)["pods"]
    (moved,) = (row["name"] for row in pods if row["node"] == "h3")
    urls = [f"http://{row['ip']}:8080/hostname" for row in pods]
    answers = user.testbed("exec", lab, moved, "--", *CURL, "-w", "\\n", *urls).stdout.split()
    assert answers == [row["name"] for row in pods]
    assert _processes_of(lab)
    assert user.testbed("down", lab).returncode == 0
    assert not _processes_of(lab)


@ONCE
def test_loops_are_no_matter(user: User) -> None:
    """The fat tree that comes with the package, made small: two ways between its hosts."""
    lab = unique_name()
    shipped = str(ROOT / "topologies" / "mininet-tree.yaml")
    small = ("--set", "underlay.args.k=2", "--set", "hosts={}", "--set", "workloads.web.replicas=2")
    done = user.testbed("up", shipped, "--name", lab, *small)
    assert done.returncode == 0, done.stderr
    try:
        assert "0% dropped (2/2 received)" in mininet(user, lab, "pingall").stdout
    finally:
        user.testbed("down", lab)


@ONCE
def test_mininets_hosts_on_links_of_ones_own(user: User) -> None:
    """`runtime: mininet` without a Topo: a router is one of its hosts, too."""
    lab = unique_name()
    text = """
name: own
runtime: mininet
network: {cni: vxlan}
nodes: {n1: {}, n2: {}}
routers: {r1: {}}
links: [{endpoints: [n1, s1]}, {endpoints: [s1, r1]}, {endpoints: [r1, n2]}]
dns: {replicas: 0}
workloads: {web: {replicas: 2}}
"""
    done = user.testbed("up", user.file("own.yaml", text), "--name", lab)
    assert done.returncode == 0, done.stderr
    try:
        assert "r1-eth0:s1-eth2 r1-eth1:n2-eth0" in mininet(user, lab, "net").stdout
        assert mininet(user, lab, "n1", "ping", "-c", "1", "n2").returncode == 0
    finally:
        user.testbed("down", lab)


@pytest.mark.parametrize("network", ["host-gw", "vxlan"])
def test_who_reaches_whom_is_as_with_namespaces(network: str) -> None:
    """Every pod, node and outside host to every other one, over three switches in a ring."""
    ring = ("n1 s1", "n2 s2", "n3 top", "outside top", "s1 s2", "s2 top", "top s1")
    links = [{"endpoints": link.split()} for link in ring]
    lab = topology({"cni": network}, runtime="mininet", links=links)
    with Lab.up(lab, name=unique_name(), ephemeral=True) as running:
        assert broken(running, PROMISES[network]) == []


def _processes_of(lab: str) -> list[str]:
    marker = f"TESTBED_LAB={lab}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and marker in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found
