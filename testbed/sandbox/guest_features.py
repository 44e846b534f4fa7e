"""What a guest kernel can do, found by trying each thing in a boot of it; once, then remembered."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from testbed.errors import TestbedError
from testbed.kernel import features, guests
from testbed.kernel.features import TRIALS, Feature
from testbed.kernel.guests import GuestKernel
from testbed.sandbox.errand import GuestShell

_FILE = "features.json"
_PROBE = (sys.executable, "-m", "testbed.kernel.features")


def features_of(
    kernel: GuestKernel, say: Callable[[str], None] = lambda text: None
) -> frozenset[Feature]:
    """The features that work on a guest kernel with the tools of this host."""
    file = guests.cache_folder() / _FILE
    known = _read(file)
    key = _key(kernel)
    if key not in known:
        say(f"trying what the {kernel.name} guest kernel can do (once)")
        known = {**known, key: _try(kernel)}
        _write(file, known)
    return frozenset(map(Feature, known[key]))


def _try(kernel: GuestKernel) -> list[str]:
    with GuestShell(kernel) as shell:
        done = shell.run(_PROBE)
    rows = json.loads(done.stdout) if done.returncode == 0 else []
    works = sorted(row["feature"] for row in rows if row["available"])
    if (
        Feature.NETWORK_NAMESPACES not in works
    ):  # every kernel has them: it is the trying that failed
        said = done.stderr or "\n".join(row["detail"] for row in rows)
        raise TestbedError(f"the guest kernel {kernel.binary} cannot be tried: {said}")
    return works


def _key(kernel: GuestKernel) -> str:
    """The kernel's file as it is now, what is tried, and the tools that there are to try it with."""
    status = kernel.binary.stat()
    tried = [(trial.line, features.missing_package(name)) for name, trial in TRIALS.items()]
    digest = hashlib.sha256(repr(tried).encode()).hexdigest()[:16]
    return f"{kernel.binary} {status.st_mtime_ns} {status.st_size} {digest}"


def _read(file: Path) -> dict[str, list[str]]:
    try:
        known: dict[str, list[str]] = json.loads(file.read_text())
    except (OSError, ValueError):  # not there yet
        return {}
    return known


def _write(file: Path, known: dict[str, list[str]]) -> None:
    """Whole or not at all: others may read it meanwhile."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{_FILE}.{os.getpid()}")
    fresh.write_text(json.dumps(known, indent=1))
    fresh.rename(file)
