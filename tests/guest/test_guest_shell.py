"""A guest kernel that runs single commands: what it is, what it can, what it cannot touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.sandbox.errand import GuestShell
from tests.guest.conftest import InGuest

pytestmark = pytest.mark.guest


def test_commands_run_on_the_guest_s_kernel_as_its_root(
    in_guest: InGuest, packaged_guest: GuestShell
) -> None:
    done = in_guest("import os; print(os.uname().release, os.getuid())")
    assert done.stdout.split() == [packaged_guest.kernel.release, "0"]


def test_ipvs_and_legacy_iptables_work_there(in_guest: InGuest) -> None:
    lines = "ipvsadm -A -t 10.0.0.1:80 -s mh && iptables-legacy -t nat -A OUTPUT -j RETURN"
    done = in_guest(["sh", "-c", f"{lines} && ipvsadm -Ln && iptables-legacy-save -t nat"])
    assert done.returncode == 0, done.stderr
    assert "TCP  10.0.0.1:80 mh" in done.stdout
    assert "-A OUTPUT -j RETURN" in done.stdout


def test_a_module_is_loaded_when_something_asks_for_it(in_guest: InGuest) -> None:
    done = in_guest(["ip", "link", "add", "v0", "type", "vxlan", "id", "1", "dstport", "4789"])
    assert done.returncode == 0, done.stderr


def test_the_host_s_files_are_read_and_never_written(in_guest: InGuest, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("the host's")
    done = in_guest(["sh", "-c", f"cat {file}; echo guest > {file}; touch /etc/testbed"])
    assert done.stdout == "the host's"
    assert "Read-only file system" in done.stderr
    assert file.read_text() == "the host's"


def test_the_guest_s_own_folder_is_seen_on_both_sides(packaged_guest: GuestShell) -> None:
    packaged_guest.run(["sh", "-c", f"echo hello > {packaged_guest.folder}/note"])
    assert (packaged_guest.folder / "note").read_text() == "hello\n"
