"""Starting a lab: a supervisor, and the word that it listens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.kernel.features import KNOWN
from testbed.kernel.search_path import with_tools
from testbed.lab import registry, wire
from testbed.lab.ending import end
from testbed.lab.kernels import Carrier

_SWITCHED_OFF = "reboot: System halted"
"""What a guest kernel says at its end, whatever the lab said before."""


def start(name: str, carrier: Carrier, env: Mapping[str, str]) -> Path:
    """Start a supervisor; returns its folder when it listens. Leaves nothing behind when it fails.

    `env`: variables for it alone.
    """
    folder = registry.make_folder(name)
    kernel = [carrier.guest.name] if carrier.guest else []
    try:
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "testbed.lab.supervisor", str(folder), *kernel],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={
                    **with_tools(os.environ),
                    registry.MARKER: name,
                    KNOWN: " ".join(sorted(carrier.known)),
                    "OPENBLAS_NUM_THREADS": "1",
                    **env,
                },
                start_new_session=True,
            )
        assert process.stdout is not None
        with process.stdout as handshake:
            _shake_hands(handshake, folder)
        process.wait()
    except BaseException:
        end(folder)
        raise
    return folder


def _shake_hands(handshake: Any, folder: Path) -> None:
    for line in handshake:
        word, _, rest = line.decode().strip().partition(" ")
        if word == "listening":
            return
        if word == "error":
            raise wire.error_of(json.loads(rest))
    raise TestbedError(f"the lab did not start: {_last_words(folder)}")


def _last_words(folder: Path) -> str:
    """The last line of a lab's log."""
    lines = (folder / "log").read_text(errors="replace").split("\n")
    said = (line for line in reversed(lines) if line.strip() and line.strip() != _SWITCHED_OFF)
    return next(said, "it said nothing")
