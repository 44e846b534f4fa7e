"""How long one waits for `testbed` to say anything."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from bench.measure import Comparison, Goal, Side, in_turns
from bench.sandbox import PYTHON, TESTBED

_REPEATS = 15  # each takes a blink


def version(repeats: int) -> Iterator[Comparison]:
    """`testbed --version` beside a Python that does nothing."""
    ours, nothing = in_turns(
        lambda: _seconds(TESTBED, "--version"),
        lambda: _seconds(PYTHON, "-c", "pass"),
        max(repeats, _REPEATS),
    )
    bare = Side("python -c pass", "1 process", nothing)
    yield Comparison(
        "testbed --version",
        "s",
        Side("testbed", "1 process", ours),
        None,
        Goal(0.15, at_most=True),
        note=f"An empty Python takes {bare.median:.3g} s of it.",
    )


def _seconds(*argv: str) -> float:
    start = time.monotonic()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - start
