"""`testbed exec` as root and as an ordinary user: where it runs, what it sees, how it ends."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from testbed.lab.leftovers import marked
from tests.lab.conftest import User, unique_name

pytestmark = pytest.mark.lab

TOPOLOGY = """
name: exec
nodes: {n1: {}, n2: {}}
hosts: {outside: {}}
dns: {replicas: 1}
workloads: {web: {replicas: 1, port: 8080}}
"""

OWN_ADDRESS = "ip -o -4 address show dev eth0 | sed 's/.*inet //; s/[/].*//'"


@dataclass(frozen=True, slots=True)
class Place:
    """A running lab and who works in it."""

    user: User
    lab: str

    def exec(self, where: str, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.user.testbed("exec", self.lab, where, "--", *command, stdin=stdin)

    def out(self, where: str, *command: str) -> str:
        """What a command that must succeed prints."""
        done = self.exec(where, *command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def place(user: User) -> Iterator[Place]:
    lab = unique_name()
    done = user.testbed("up", user.file("exec.yaml", TOPOLOGY), "--name", lab)
    assert done.returncode == 0, done.stderr
    yield Place(user, lab)
    user.testbed("down", lab)


@pytest.mark.parametrize(("line", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_the_exit_code_is_the_commands_own(place: Place, line: str, code: int) -> None:
    assert place.exec("web-0", "sh", "-c", line).returncode == code


def test_a_command_that_is_not_there_is_127_as_in_a_shell(place: Place) -> None:
    done = place.exec("n1", "no-such-command")
    assert done.returncode == 127
    assert "no-such-command" in done.stderr


def test_standard_streams_are_the_callers(place: Place) -> None:
    text = "line\n" * 20_000  # more than a pipe holds
    done = place.exec("web-0", "sh", "-c", "cat; echo complaint >&2", stdin=text)
    assert (done.stdout, done.stderr) == (text, "complaint\n")


@pytest.mark.parametrize(
    ("where", "hostname"),
    [
        ("n1", "n1"),
        ("outside", "outside"),
        ("web-0", "web-0"),
        ("default/web-0", "web-0"),
    ],
)
def test_where_is_a_node_a_host_or_a_pod(place: Place, where: str, hostname: str) -> None:
    assert place.out(where, "uname", "-n") == hostname


def test_a_pod_of_another_namespace_is_found_with_and_without_it(place: Place) -> None:
    pods = place.user.testbed("inspect", place.lab, "-o", "json").stdout
    name = pods.split('"namespace": "kube-system"')[1].split('"name": "')[1].split('"')[0]
    assert place.out(f"kube-system/{name}", "uname", "-n") == name
    assert place.out(name, "uname", "-n") == name
    assert place.exec(f"default/{name}", "true").returncode == 4


@pytest.mark.parametrize(
    ("where", "hint"),
    [
        ("web-O", "did you mean web-0"),
        ("outsid", "did you mean outside"),
        ("zzz", "there is n1, n2"),
    ],
)
def test_an_unknown_place_is_code_4_and_names_the_nearest(
    place: Place, where: str, hint: str
) -> None:
    done = place.exec(where, "true")
    assert done.returncode == 4
    assert hint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_lab_that_does_not_exist_is_code_4(user: User) -> None:
    done = user.testbed("exec", unique_name(), "n1", "--", "true")
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1


def test_a_pod_has_its_own_name_files(place: Place) -> None:
    resolv_conf = place.out("web-0", "cat", "/etc/resolv.conf")
    assert "nameserver 10.96.0.10" in resolv_conf
    assert "search default.svc.cluster.local svc.cluster.local cluster.local" in resolv_conf
    assert "ndots:5" in resolv_conf
    (address,) = place.out("web-0", "sh", "-c", OWN_ADDRESS).splitlines()
    hosts = place.out("web-0", "cat", "/etc/hosts").splitlines()
    assert hosts == ["127.0.0.1 localhost", f"{address} web-0"]


def test_the_hosts_own_name_files_stay_as_they_are(place: Place) -> None:
    with open("/etc/hosts", encoding="utf-8") as hosts:
        before = hosts.read()
    place.out("web-0", "sh", "-c", "cat /etc/hosts")
    with open("/etc/hosts", encoding="utf-8") as hosts:
        assert hosts.read() == before


def test_a_command_sees_the_labs_processes_only(place: Place) -> None:
    namespace, first = place.out(
        "n1", "sh", "-c", "readlink /proc/self/ns/pid; tr '\\0' ' ' < /proc/1/cmdline"
    ).splitlines()
    assert namespace != os.readlink("/proc/self/ns/pid")
    assert "testbed.lab.supervisor" in first


def test_ctrl_c_ends_the_command_inside(place: Place) -> None:
    token = unique_name()
    with place.user.start("exec", place.lab, "n1", "--", *sleeper(token)) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "started\n"
        assert token in processes(place)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Traceback" not in said
    # The call was cancelled before we were told; the supervisor waits for the process itself.
    for _ in range(200):
        if token not in processes(place):
            return
    raise AssertionError("the command outlives its caller")


def test_a_command_dies_with_its_lab(user: User) -> None:
    lab, token = unique_name(), unique_name()
    small = user.file("small.yaml", "name: small\ndns: {replicas: 0}\nnodes: {n1: {}}\n")
    assert user.testbed("up", small, "--name", lab).returncode == 0
    with user.start("exec", lab, "n1", "--", *sleeper(token)) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "started\n"
        assert user.testbed("down", lab).returncode == 0
        _, said = running.communicate(timeout=120)
    assert running.returncode == 4
    assert "Traceback" not in said
    assert [process for process in marked() if process.lab == lab] == []


def test_on_a_terminal_the_command_has_one_too(place: Place) -> None:
    look = "import sys; print(all(s.isatty() for s in (sys.stdin, sys.stdout, sys.stderr)))"
    code, shown = on_terminal(place, [sys.executable, "-c", look], b"")
    assert (code, shown.strip()) == (0, b"True")


def test_ctrl_c_typed_on_the_terminal_goes_to_the_command(place: Place) -> None:
    code, shown = on_terminal(place, sleeper("typed"), b"\x03")
    assert code == 130
    assert b"started" in shown
    assert b"Traceback" not in shown


def sleeper(token: str) -> list[str]:
    """A command that says `started` and then does nothing; `token` marks its command line."""
    program = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); print('started')"
    return [sys.executable, "-u", "-c", f"{program}; signal.pause()", token]


def processes(place: Place) -> str:
    """The command lines of the lab's processes."""
    return place.out("n1", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def on_terminal(place: Place, command: list[str], typed: bytes) -> tuple[int, bytes]:
    """Run `testbed exec` on a terminal of its own, type something once it has printed something.

    Returns its exit code and all that it showed.
    """
    argv = place.user.argv("exec", place.lab, "web-0", "--", *command)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, dict(place.user.env))
    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
            if typed and b"started" in shown:
                os.write(terminal, typed)
                typed = b""
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown
