"""Which packages testbed names, and that set-up, doctor and container speak of the same ones."""

from __future__ import annotations

import subprocess

from testbed.kernel.features import TRIALS
from testbed.kernel.packages import absent, listing, wanted
from tests.lab.outer import ROOT

LISTING = """\
# what for
iptables             # rules
wrk          bench   # a peer
kmod
"""
NOT_FOR_LABS = {"docker.io", "mininet", "kubernetes-client"}
ESSENTIAL = {"util-linux"}
"""On every Debian, and so in no listing."""


def test_what_only_another_target_needs_is_not_asked_for() -> None:
    assert wanted(LISTING) == ("iptables", "kmod")


def test_removed_and_unknown_packages_are_absent() -> None:
    answer = "iptables installed\nkmod config-files\n"
    assert absent(("iptables", "kmod", "ipset"), answer) == ("kmod", "ipset")


def test_doctor_asks_for_no_package_that_set_up_does_not_install() -> None:
    packages = {trial.package for trial in TRIALS.values() if trial.package}  # CoreDNS has none
    named = packages - NOT_FOR_LABS - ESSENTIAL
    assert named <= set(wanted(listing().read_text()))


def test_the_container_has_the_packages_of_a_checkout() -> None:
    """It reads the same file, by a line of shell."""
    text = (ROOT / "Containerfile").read_text()
    (line,) = (line for line in text.splitlines() if "awk" in line)
    assert "COPY scripts/packages.txt /tmp/packages.txt" in text
    shell = line.strip("& \\").replace("/tmp/packages.txt", str(listing()))
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert tuple(done.stdout.split()) == wanted(listing().read_text())


def test_the_container_copies_all_that_the_wheel_is_made_of() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split("*\n", 1)[1].splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = [
        word
        for line in (ROOT / "Containerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    ]
    assert set(copied) == kept
