"""How long every experiment takes in its smoke profile, one after the other."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory

from bench.measure import Comparison, Goal, Side
from bench.sandbox import TESTBED
from testbed.experiment.module import names

LIMIT_S = 15 * 60.0
INVALID = 1
"""`testbed run` ends so where trials were invalid: on a busy machine a smoke run may."""


def suite(repeats: int) -> Iterator[Comparison]:
    """`testbed run` of all experiments, once, whatever `repeats`: against what is allowed."""
    with TemporaryDirectory(prefix="bench-suite-") as folder:
        words = (str(TESTBED), "run", *names(), "--profile", "smoke", "--seed", "1", "-d", folder)
        began = time.monotonic()
        done = subprocess.run(words, stdout=sys.stderr, check=False)
        took_s = time.monotonic() - began
    if done.returncode not in {0, INVALID}:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}")
    yield Comparison(
        f"all {len(names())} experiments, --profile smoke",
        "s",
        Side("testbed run", "a lab per trial", (took_s,)),
        Side("limit", "nothing", (LIMIT_S,)),
        Goal(1.0, at_most=True),
        note="Some trials were invalid and run again." if done.returncode else "",
    )
