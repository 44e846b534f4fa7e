"""Labs in the distribution's guest kernel: whatever a lab on the host's kernel does, one there does."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.kernel import guests
from testbed.lab import registry
from testbed.lab.leftovers import marked
from testbed.lab.trace_request import frames
from tests.lab.conftest import User, unique_name
from tests.lab.outer import AS_USER, ROOT

pytestmark = pytest.mark.guest

_USERS = ("as-whom-tests-run", "as-user-1000")
_WHO_MAY_LEAST = _USERS[-1:] if os.geteuid() == 0 else _USERS[:1]
once = pytest.mark.parametrize("user", _WHO_MAY_LEAST, indirect=True, scope="module")
"""For what does not depend on whose the lab is."""

TOPOLOGY = """
name: guest
kernel: uml
proxy: {mode: MODE, iptables: {variant: legacy}}
nodes: {n1: {}, n2: {}}
hosts: {client: {}}
workloads: {web: {replicas: 2, port: 8080}}
services: {web: {port: 80, targetPort: 8080, type: NodePort, nodePort: 30080}}
manifests:
  - apiVersion: v1
    kind: Pod
    metadata: {name: program}
    spec:
      nodeName: n1
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: busybox
          command: [sh, -c, "echo hello > /usr/mark; cp /usr/mark /deep/er; exec sleep infinity"]
          readinessProbe:
            {exec: {command: [grep, hello, /deep/er/mark]}, periodSeconds: 1, timeoutSeconds: 60}
          volumeMounts: [{name: volume, mountPath: /deep/er}]
      volumes: [{name: volume, emptyDir: {}}]
"""
SMALL = """
name: small
kernel: uml
proxy: {mode: iptables, iptables: {variant: legacy}}
dns: {replicas: 0}
nodes: {n1: {}}
workloads: {web: {}}
"""
"""Whatever there is of it has to go."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that runs, and the user whose it is."""

    user: User
    name: str

    def run(
        self, command: str, *arguments: str, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """`testbed COMMAND LAB ARGUMENTS`."""
        return self.user.testbed(command, self.name, *arguments, stdin=stdin)

    def json(self, command: str, *arguments: str) -> dict[str, object]:
        """What it prints as JSON; it has to succeed."""
        done = self.run(command, *arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        answer: dict[str, object] = json.loads(done.stdout)
        return answer


@pytest.fixture(scope="module")
def caches() -> Iterator[Callable[[bool], Path]]:
    """A cache per user: without a built kernel, and with what a boot has found out once a module."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o777)
        yield lambda ordinary: Path(name) / str(ordinary)


@pytest.fixture(scope="module", params=_USERS)
def user(request: pytest.FixtureRequest, caches: Callable[[bool], Path]) -> Iterator[User]:
    """The suite's own user and, where that is root, an ordinary one."""
    ordinary = request.param == "as-user-1000"
    if ordinary and os.geteuid() != 0:
        pytest.skip("the suite runs as an ordinary user already")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o777 if ordinary else 0o700)
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(caches(ordinary))}
        if ordinary:
            env |= {"XDG_RUNTIME_DIR": name, "HOME": name}
        yield User(AS_USER if ordinary else (), env, Path(name))


@pytest.fixture(scope="module")
def myself(caches: Callable[[bool], Path]) -> Iterator[User]:
    """The suite's own user."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(caches(False))}
        yield User((), env, Path(name))


@pytest.fixture(scope="module")
def lab(user: User) -> Iterator[Lab]:
    """An IPVS lab, up."""
    lab = Lab(user, unique_name())
    up(lab, TOPOLOGY.replace("MODE", "ipvs"))
    yield lab
    lab.run("down")
    assert not survivors(lab)


def up(lab: Lab, topology: str) -> None:
    file = lab.user.file(f"{lab.name}.yaml", topology)
    argv = lab.user.argv("up", file, "--name", lab.name, "--timeout", "400s")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=lab.user.env)
    assert done.returncode == 0, done.stderr


def survivors(lab: Lab) -> list[str]:
    """Processes that bear the lab's marker."""
    return [process.command for process in marked() if process.lab == lab.name]


def test_a_program_has_files_of_its_own(lab: Lab) -> None:
    """As `up` has waited for: its probe reads what it wrote."""
    pods = lab.json("inspect")["pods"]
    assert isinstance(pods, list)
    ready = {pod["name"]: pod["ready"] for pod in pods}
    assert ready["program"] is True
    assert not Path("/usr/mark").exists()


def test_the_guest_s_kernel_is_named_wherever_a_kernel_is(lab: Lab) -> None:
    release = guests.named(guests.PACKAGED).release
    assert lab.json("inspect")["kernel"] == f"uml {release}"
    rows = json.loads(lab.user.testbed("ls", "-o", "json").stdout)
    assert [row["kernel"] for row in rows if row["name"] == lab.name] == [f"uml {release}"]
    assert lab.run("exec", "web-0", "--", "uname", "-r").stdout.strip() == release


def test_a_command_s_input_outputs_and_code_are_its_own(lab: Lab) -> None:
    done = lab.run("exec", "n1", "--", "sh", "-c", "cat; echo err >&2; exit 7", stdin="in\n")
    assert (done.stdout, done.stderr, done.returncode) == ("in\n", "err\n", 7)


def test_a_load_s_samples_reach_the_host(lab: Lab) -> None:
    nodes = lab.json("inspect")["nodes"]
    assert isinstance(nodes, list)
    url = f"http://{nodes[0]['addresses'][0]}:30080"
    options = ("--from", "client", "--to", url, "--rate", "40", "--duration", "2s")
    answer = lab.json("load", *options)
    outcomes = set(answer["outcomes"])  # type: ignore[call-overload]
    assert "ok" in outcomes
    assert outcomes <= {"ok", "censored"}, "a machine may be busy"
    assert set(answer["backends"]) == {"web-0", "web-1"}  # type: ignore[call-overload]


def test_packets_of_the_guest_reach_the_host(lab: Lab) -> None:
    file = str(lab.user.folder / f"{lab.name}.pcapng")
    syns = "tcp[tcpflags] == tcp-syn and dst port 30080"  # and nobody's probes
    options = ("all", "-w", file, "-c", "2", "--duration", "300s", syns)
    process = lab.user.start("capture", lab.name, *options)
    with process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("listening on all")
        node = lab.json("inspect")["nodes"][0]  # type: ignore[index]
        url = f"http://{node['addresses'][0]}:30080/hostname"
        assert lab.run("exec", "client", "--", "curl", "-s", url).stdout.startswith("web-")
        assert process.wait(300) == 0
    seen = [interface.machine for interface, _ in frames(Path(file))]
    assert seen == ["client", "n1"]


@once
def test_outputs_that_are_one_file_keep_their_order(lab: Lab) -> None:
    line = "for i in 1 2 3 4 5 6 7 8; do echo $i; echo $i >&2; done"
    argv = lab.user.argv("exec", lab.name, "n1", "--", "sh", "-c", line)
    done = subprocess.run(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        check=False,
        text=True,
        env=lab.user.env,
    )
    assert done.stdout.split() == [str(number) for i in range(1, 9) for number in (i, i)]


@once
def test_megabytes_go_both_ways_unharmed(lab: Lab) -> None:
    text = "".join(f"{number:07d}\n" for number in range(400_000))
    assert lab.run("exec", "n1", "--", "cat", stdin=text).stdout == text


@once
def test_a_command_ends_with_its_caller(lab: Lab) -> None:
    process = lab.user.start("exec", lab.name, "n1", "--", "sh", "-c", "echo here; exec sleep 4321")
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.kill()
    line = "while pgrep -f 'sleep 4[3]21' >&2; do sleep 0.1; done"
    assert lab.run("exec", "n1", "--", "timeout", "100", "sh", "-c", line).returncode == 0


@once
def test_the_rules_are_those_of_the_guest_s_kernel(lab: Lab) -> None:
    assert "KUBE-NODE-PORT-TCP" in lab.run("rules", "n1").stdout
    assert "30080 rr" in lab.run("exec", "n1", "--", "ipvsadm", "-Ln").stdout


@once
def test_a_request_is_traced_through_the_rules_of_the_guest_s_kernel(lab: Lab) -> None:
    """IPVS, and the rules of iptables-legacy around it."""
    node = lab.json("inspect")["nodes"][0]  # type: ignore[index]
    told = lab.json("trace", "client", f"{node['addresses'][0]}:30080", "--timeout", "60s")
    assert (told["disagreements"], told["unheard"], told["agrees"]) == ([], {}, True)
    (entry,) = told["ipvs"]  # type: ignore[misc]
    assert entry["virtual"] == told["request"]["dst"]  # type: ignore[index]
    rules = [one["rule"] for row in told["rules"] for one in row["met"]]  # type: ignore[union-attr, index]
    assert any("--match-set KUBE-NODE-PORT-TCP dst" in rule for rule in rules)


RECORDED = """
import sys
from testbed.lab.client import Lab
from testbed.traffic.accept_log import read_accept_log
from testbed.traffic.conntrack import read_entries
from testbed.traffic.spec import LoadSpec

lab = Lab.attach(sys.argv[1])
before = lab.now_ns()
lab.start_recording()
address = lab.inspect()["nodes"][0]["addresses"][0]
spec = LoadSpec(source="client", url=f"http://{address}:30080", rate_rps=20.0, duration_s=2.0)
load = lab.load(spec)
recording = lab.stop_recording()
accepted = sum(len(read_accept_log(path).rows) for path in recording.accept_logs.values())
assert before < load.started_ns < lab.now_ns()
print(load.summary["requests"], accepted, len(read_entries(recording.entries)))
"""


@once
def test_what_servers_and_the_kernel_noted_of_a_load_reaches_the_host(lab: Lab) -> None:
    done = subprocess.run(
        [*lab.user.prefix, sys.executable, "-c", RECORDED, lab.name],
        capture_output=True,
        text=True,
        check=False,
        env=lab.user.env,
    )
    assert done.returncode == 0, done.stderr
    requests, accepted, entries = map(int, done.stdout.split())
    assert requests > 0
    assert accepted >= requests
    assert entries >= requests


@once
def test_clients_of_kubernetes_reach_a_lab_in_a_guest(lab: Lab) -> None:
    config_map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: '1'}}"
    assert lab.run("apply", "-f", "-", stdin=config_map).stdout == "configmap/a created\n"
    wait = ("wait", "--for=condition=Ready", "pod", "--all", "--timeout=300s")
    for arguments in (wait, ("get", "--raw", "/api/v1/namespaces/default/configmaps/a")):
        done = lab.run("kubectl", "--", *arguments)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"] == {"x": "1"}
    # It came into being with the first who asked: rules may follow a second later.
    curl = ("curl", "-sk", "-m", "60", "--retry", "30", "--retry-delay", "1", "--retry-all-errors")
    asked = lab.run("exec", "web-0", "--", *curl, "https://10.96.0.1/livez")
    assert asked.stdout == "ok", asked.stderr


@once
def test_a_fault_is_effective_there(lab: Lab) -> None:
    done = lab.run("fault", "crash", "web-1")
    assert done.returncode == 0, done.stderr
    assert "effective" in done.stdout + done.stderr


@pytest.mark.parametrize("victim", ["the world's init", "the guest kernel"])
def test_a_killed_lab_leaves_nothing(myself: User, victim: str) -> None:
    lab = Lab(myself, unique_name())
    up(lab, SMALL)
    folder = registry.folder(lab.name)
    init = int((folder / "pid").read_text())
    kernels = [
        process.pid
        for process in marked()
        if process.lab == lab.name and "linux" in process.command.split()[0]
    ]
    over = os.pidfd_open(init)
    os.kill(init if victim == "the world's init" else min(kernels), signal.SIGKILL)
    assert select.select([over], [], [], 300)[0]
    os.close(over)
    assert not survivors(lab)
    rows = json.loads(myself.testbed("ls", "-o", "json").stdout)
    assert lab.name not in [row["name"] for row in rows]
    assert not folder.exists()


def test_a_mode_that_the_guest_lacks_is_refused_with_the_remedy(myself: User) -> None:
    file = myself.file("nftables.yaml", TOPOLOGY.replace("MODE", "nftables"))
    done = myself.testbed("up", file, "--name", unique_name())
    assert done.returncode == 3
    assert "packaged guest kernel" in done.stderr
    assert "lacks nftables" in done.stderr
    assert "testbed kernel build" in done.stderr
