"""`up`, `down`, `ls` and `inspect` by the command line, as root and as an ordinary user; and their trouble."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.cli.main import main as command_line
from testbed.lab.leftovers import marked
from tests.lab.conftest import User, unique_name
from tests.lab.fingerprint import fingerprint, left_over
from tests.lab.outer import TESTBED, ordinary_world, root_world, run

pytestmark = pytest.mark.lab

TOPOLOGY = """
name: small
dns: {replicas: 0}
nodes: {n1: {}, n2: {}}
workloads: {web: {replicas: 2, port: 8080}}
services: {web: {port: 80, targetPort: 8080}}
"""
NEVER_READY = """
name: never
dns: {replicas: 0}
nodes: {n1: {}}
workloads: {web: {port: 8080, readinessProbe: {httpGet: {path: /none, port: 1}, periodSeconds: 1}}}
"""


class Labs:
    """Labs of one user, by name; all are ended after the test."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.file = user.file("small.yaml", TOPOLOGY)
        self._names: list[str] = []

    def name(self) -> str:
        self._names.append(unique_name())
        return self._names[-1]

    def up(self, name: str, *more: str, file: str = "") -> subprocess.CompletedProcess[str]:
        return self.user.testbed("up", file or self.file, "--name", name, *more)

    def must_up(self, name: str, *more: str, file: str = "") -> None:
        done = self.up(name, *more, file=file)
        assert done.returncode == 0, done.stderr

    def json(self, *arguments: str) -> Any:
        done = self.user.testbed(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def names(self) -> list[str]:
        """The labs of this test that run."""
        return [row["name"] for row in self.json("ls") if row["name"] in self._names]

    def uids(self, name: str) -> dict[str, str]:
        return {pod["name"]: pod["uid"] for pod in self.json("inspect", name)["pods"]}

    def end(self) -> None:
        if running := self.names():
            self.user.testbed("down", *running)


@pytest.fixture
def labs(user: User) -> Iterator[Labs]:
    found = Labs(user)
    yield found
    found.end()


def test_a_lab_comes_up_is_listed_and_goes(labs: Labs) -> None:
    name = labs.name()
    labs.must_up(name)
    (row,) = [row for row in labs.json("ls") if row["name"] == name]
    assert (row["nodes"], row["pods"]) == (2, 2)
    assert set(row) >= {"name", "topology", "kernel", "nodes", "pods", "since"}
    assert labs.user.testbed("down", name).returncode == 0
    assert labs.names() == []
    assert [process for process in marked() if process.lab == name] == []
    assert labs.user.testbed("down", name).returncode == 4


def test_inspect_shows_nodes_pods_services_and_endpoints(labs: Labs) -> None:
    name = labs.name()
    labs.must_up(name)
    shown = labs.json("inspect", name)
    assert [(node["name"], node["ready"]) for node in shown["nodes"]] == [
        ("n1", True),
        ("n2", True),
    ]
    pods = {pod["name"]: pod for pod in shown["pods"]}
    assert {pod["node"] for pod in pods.values()} == {"n1", "n2"}
    (service,) = shown["services"]
    assert service["clusterIP"].startswith("10.96.")
    assert {(end["ip"], end["port"], end["pod"], end["ready"]) for end in service["endpoints"]} == {
        (pod["ip"], 8080, pod["name"], True) for pod in pods.values()
    }
    table = labs.user.testbed("inspect", name).stdout
    assert all(pod in table for pod in pods)


def test_rules_are_the_tool_s_own_text_in_every_format(labs: Labs) -> None:
    name = labs.name()
    labs.must_up(name)
    text = labs.user.testbed("rules", name, "n2").stdout
    assert "*nat" in text
    assert '--comment "default/web' in text
    shown = labs.json("rules", name, "n2")
    assert (shown["node"], "*nat" in shown["rules"]) == ("n2", True)


def test_nobody_s_living_lab_is_left_over(labs: Labs, capsys: pytest.CaptureFixture[str]) -> None:
    name = labs.name()
    labs.must_up(name)
    command_line(["doctor", "--leftovers", "-o", "json"])
    assert name not in {row["lab"] for row in json.loads(capsys.readouterr().out)}


def test_labs_with_the_same_addresses_live_side_by_side(labs: Labs) -> None:
    first, second = labs.name(), labs.name()
    for name in (first, second):
        labs.must_up(name)
    ask = ("web-0", "--", "hostname")
    addresses = [
        {pod["ip"] for pod in labs.json("inspect", name)["pods"]} for name in (first, second)
    ]
    assert addresses[0] == addresses[1]
    assert labs.user.testbed("down", first).returncode == 0
    assert labs.names() == [second]
    assert labs.user.testbed("exec", second, *ask).stdout == "web-0\n"


def test_up_of_a_running_lab_that_is_as_it_should_be_changes_nothing(labs: Labs) -> None:
    name = labs.name()
    labs.must_up(name)
    before = labs.json("inspect", name)
    labs.must_up(name)
    assert labs.json("inspect", name) == before


def test_up_applies_only_the_differences(labs: Labs) -> None:
    name = labs.name()
    labs.must_up(name)
    two = labs.uids(name)
    labs.must_up(name, "--set", "workloads.web.replicas=4")
    four = labs.uids(name)
    assert set(four) == {"web-0", "web-1", "web-2", "web-3"}
    assert two.items() <= four.items()
    labs.must_up(name, "--set", "workloads.web.replicas=1")
    assert labs.uids(name).items() <= four.items()
    assert len(labs.uids(name)) == 1


def test_a_file_that_is_broken_is_code_2_with_its_line(labs: Labs) -> None:
    file = labs.user.file("broken.yaml", "name: broken\nnodes: {n1: {}\n")
    done = labs.up(labs.name(), file=file)
    assert done.returncode == 2
    assert f"{file}:" in done.stderr
    assert "Traceback" not in done.stderr
    assert labs.names() == []


def test_a_file_that_is_not_there_is_code_2(labs: Labs) -> None:
    done = labs.up(labs.name(), file="/nowhere.yaml")
    assert done.returncode == 2
    assert "/nowhere.yaml" in done.stderr


def test_what_is_never_ready_is_code_5_says_who_and_leaves_nothing(labs: Labs) -> None:
    name = labs.name()
    done = labs.up(name, "--timeout", "8s", file=labs.user.file("never.yaml", NEVER_READY))
    assert done.returncode == 5
    assert "default/web-0" in done.stderr
    assert labs.names() == []
    assert [process for process in marked() if process.lab == name] == []


def test_a_change_that_is_never_ready_is_code_5_and_the_lab_stays(labs: Labs) -> None:
    name = labs.name()
    labs.must_up(name)
    more = NEVER_READY.replace("{n1: {}}", "{n1: {}, n2: {}}")
    done = labs.up(name, "--timeout", "1500ms", file=labs.user.file("never.yaml", more))
    assert done.returncode == 5
    assert labs.names() == [name]


def test_ctrl_c_during_up_is_130_and_leaves_nothing(labs: Labs) -> None:
    name = labs.name()
    file = labs.user.file("never.yaml", NEVER_READY)
    with labs.user.start("up", file, "--name", name) as running:
        while not any(process.lab == name for process in marked()):
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Traceback" not in said
    assert labs.names() == []
    assert [process for process in marked() if process.lab == name] == []


def test_two_ups_of_one_name_at_once_make_one_lab(labs: Labs) -> None:
    name = labs.name()
    both = [labs.user.start("up", labs.file, "--name", name) for _ in range(2)]
    said = [running.communicate(timeout=300)[1] for running in both]
    assert [running.returncode for running in both] == [0, 0], said
    assert labs.names() == [name]
    assert len({process.pid_namespace for process in marked() if process.lab == name} - {""}) == 1


def test_a_lab_that_does_not_answer_is_named_and_can_be_ended(labs: Labs) -> None:
    name = labs.name()
    labs.must_up(name)
    for process in marked():
        if process.lab == name:
            os.kill(process.pid, signal.SIGSTOP)
    done = labs.user.testbed("ls")
    assert done.returncode == 0
    assert f"lab '{name}' did not answer" in done.stderr
    assert labs.user.testbed("down", name).returncode == 0


def test_a_runtime_folder_that_cannot_be_written_is_code_5(user: User) -> None:
    if not user.prefix and os.geteuid() == 0:
        pytest.skip("root's folder is /run/testbed")
    file = user.file("small.yaml", TOPOLOGY)
    for folder in ("/proc", "/nowhere/at/all"):
        done = user.testbed("up", file, env={"XDG_RUNTIME_DIR": folder})
        assert done.returncode == 5
        assert len(done.stderr.splitlines()) == 1


def test_a_name_that_no_lab_can_have_is_code_2(user: User) -> None:
    file = user.file("small.yaml", TOPOLOGY)
    for name in ("Upper", "../up", "Two/parts"):
        for command in (("down", name), ("up", file, "--name", name)):
            done = user.testbed(*command)
            assert done.returncode == 2, done.stderr
            assert "is no name for a lab" in done.stderr


# Worlds that lack something


def test_a_tool_that_is_not_installed_is_code_3_and_names_its_package(shared_folder: Path) -> None:
    file = shared_folder / "small.yaml"
    file.write_text(TOPOLOGY)
    hide = 'mount -t tmpfs tmpfs /usr/sbin && exec "$@"'
    up = [*TESTBED, "up", str(file)]
    done = run(root_world(["sh", "-c", hide, "sh", *up]), shared_folder)
    assert done.returncode == 3
    assert "iptables-legacy is not installed" in done.stderr
    assert "apt-get install --no-install-recommends conntrack iptables" in done.stderr


def test_a_kernel_that_refuses_the_rules_is_code_3(shared_folder: Path) -> None:
    file = shared_folder / "small.yaml"
    file.write_text(TOPOLOGY)
    refuse = 'mount --bind /usr/bin/false "$(readlink -f /usr/sbin/iptables-legacy)" && exec "$@"'
    up = [*TESTBED, "up", str(file), "--set", "kernel=host"]
    done = run(root_world(["sh", "-c", refuse, "sh", *up]), shared_folder)
    assert done.returncode == 3
    assert "iptables-legacy does not work here" in done.stderr


def test_a_host_that_refuses_user_namespaces_is_code_3_with_the_remedy(shared_folder: Path) -> None:
    """The host that refuses is a user namespace of an ordinary user in which there may be none."""
    file = shared_folder / "small.yaml"
    file.write_text(TOPOLOGY)
    refuse = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    become = ["unshare", "-U", "--map-user=1000", "--keep-caps"]
    up = [*TESTBED, "up", str(file)]
    done = run(root_world([*become, "sh", "-c", refuse, "sh", *up]), shared_folder)
    assert done.returncode == 3
    assert "max_user_namespaces" in done.stderr


@pytest.mark.parametrize("world", [root_world, ordinary_world])
def test_the_host_is_as_before(world: Any, shared_folder: Path) -> None:
    file = shared_folder / "small.yaml"
    file.write_text(TOPOLOGY)
    argv = ["python", "-m", "tests.lab.test_up", str(file)]
    done = run(world([TESTBED[0], *argv[1:]]), shared_folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"during": [], "after": []}


def main(file: str) -> None:
    """In a world of its own: what a lab changes outside itself, while it runs and afterwards."""
    before = fingerprint()
    subprocess.run([*TESTBED, "up", file], check=True, capture_output=True)
    changed = fingerprint() ^ before
    during = [line for line in changed if line.split()[0] not in {"process", "namespace"}]
    subprocess.run([*TESTBED, "down", "small"], check=True, capture_output=True)
    print(json.dumps({"during": during, "after": left_over(before)}))


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
