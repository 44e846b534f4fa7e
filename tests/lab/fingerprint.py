"""What a lab could leave behind on its host, as a set of lines that can be subtracted."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_SAVES = (("iptables-legacy-save",), ("iptables-nft-save",), ("nft", "list", "ruleset"))
_PATIENCE_S = 120.0
_LOOK_S = 0.05


def fingerprint() -> frozenset[str]:
    """Links, routes, rules, mounts, processes and namespaces of the world that we are in."""
    return frozenset((*_network(), *_mounts(), *_processes()))


def left_over(before: frozenset[str]) -> list[str]:
    """What differs from `before`, after the kernel had time to take things back."""
    deadline = time.monotonic() + _PATIENCE_S
    while (differs := fingerprint() ^ before) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    return sorted(differs)


def _network() -> Iterator[str]:
    for line in Path("/proc/net/dev").read_text().splitlines()[2:]:
        yield f"link {line.split(':')[0].strip()}"
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        yield f"route {' '.join(line.split()[:4])}"
    if os.geteuid() != 0:
        return
    for command in _SAVES:
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            for line in done.stdout.splitlines():
                if not line.startswith("#"):
                    yield f"{command[0]} {line}"


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield f"mount {line}"


def _processes() -> Iterator[str]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        yield f"process {entry.name} {command}"
        with contextlib.suppress(OSError):  # one that is about to end has none any more
            for namespace in os.listdir(entry / "ns"):
                yield f"namespace {os.readlink(entry / 'ns' / namespace)}"
