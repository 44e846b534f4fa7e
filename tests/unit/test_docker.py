"""What is known of containers without a daemon: the pause program, whose daemon is asked, what is pulled."""

from __future__ import annotations

import io
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from testbed.errors import MissingFeature
from testbed.model.containers import Container
from testbed.runtime.docker import daemon, pause
from testbed.runtime.docker.labels import Owner


def test_the_pause_program_waits_and_leaves_no_zombies(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(pause.program())
    program.chmod(0o755)
    # A shell that becomes the program hands it a child that ends under it.
    line = f"sleep 0.01 & echo $!; exec {program}"
    with subprocess.Popen(["sh", "-c", line], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        while Path(f"/proc/{child}").exists():
            time.sleep(0.001)
        assert process.poll() is None
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_the_pause_program_is_a_static_executable_of_one_segment(machine: str, number: int) -> None:
    elf = pause.program(machine)
    assert (elf[:4], elf[16], elf[18]) == (b"\x7fELF", 2, number)
    assert (elf[56], len(elf) < 256) == (1, True)
    with tarfile.open(fileobj=io.BytesIO(pause.archive(machine))) as tar:
        (entry,) = tar.getmembers()
        assert (f"/{entry.name}", entry.mode, entry.size) == (pause.PATH, 0o755, len(elf))


def test_a_machine_without_a_pause_program_is_refused() -> None:
    with pytest.raises(MissingFeature, match="riscv64"):
        pause.program("riscv64")


@pytest.mark.parametrize("url", ["tcp://10.0.0.1:2375", "ssh://me@elsewhere"])
def test_a_daemon_of_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    with pytest.raises(MissingFeature, match="may be another machine"):
        daemon.host()


def test_a_daemon_that_does_not_listen_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFeature, match=f"no Docker daemon listens at unix://{tmp_path}"):
        daemon.connect(f"unix://{tmp_path}/docker.sock")
    (tmp_path / "docker.sock").touch()
    with pytest.raises(MissingFeature, match="does not answer"):
        daemon.connect(f"unix://{tmp_path}/docker.sock")


def test_labels_say_whose_and_what() -> None:
    assert Owner("shop", "f00", "here:/run/testbed").labels(node="n1") == {
        "testbed.lab": "shop",
        "testbed.instance": "f00",
        "testbed.home": "here:/run/testbed",
        "testbed.node": "n1",
    }


@pytest.mark.parametrize(
    ("image", "said", "policy"),
    [
        ("nginx", "", "Always"),
        ("nginx:latest", "", "Always"),
        ("nginx:1.27", "", "IfNotPresent"),
        ("registry:5000/nginx", "", "Always"),
        ("nginx@sha256:00", "", "IfNotPresent"),
        ("nginx", "Never", "Never"),
    ],
)
def test_what_is_pulled_goes_by_the_tag(image: str, said: str, policy: str) -> None:
    assert Container("server", image, image_pull_policy=said).pull_policy == policy
