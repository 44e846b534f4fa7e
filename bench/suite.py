"""How long every experiment takes in its smoke profile, one after the other."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory

from bench.measure import Comparison, Goal, Side
from bench.sandbox import TESTBED
from testbed.experiment.module import load, names

LIMIT_S = 15 * 60.0
JOBS = 2
INVALID = 1
"""`testbed run` ends so where a block stayed invalid: on a busy machine a smoke run's may."""


def suite(repeats: int) -> Iterator[Comparison]:
    """`testbed run` of all experiments, once, whatever `repeats`: against what is allowed. Where no times
    are measured, two trials at a time.
    """
    timing = [name for name in names() if load(name).timing]
    others = [name for name in names() if name not in timing]
    began = time.monotonic()
    with TemporaryDirectory(prefix="bench-suite-") as folder:
        codes = [
            _run(*timing, "-d", folder),
            _run(*others, "--jobs", str(JOBS), "-d", folder),
        ]
    took_s = time.monotonic() - began
    yield Comparison(
        f"all {len(names())} experiments, --profile smoke",
        "s",
        Side("testbed run", "a lab per trial", (took_s,)),
        Side("limit", "nothing", (LIMIT_S,)),
        Goal(1.0, at_most=True),
        note="Some blocks stayed invalid." if INVALID in codes else "",
    )


def _run(*words: str) -> int:
    """Raises RuntimeError where the run did not come to its end."""
    argv = (str(TESTBED), "run", "--profile", "smoke", "--seed", "1", *words)
    done = subprocess.run(argv, stdout=sys.stderr, check=False)
    if done.returncode not in {0, INVALID}:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}")
    return done.returncode
