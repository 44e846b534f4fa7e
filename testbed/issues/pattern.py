"""Starts `testbed.issues.probe` in a place of the lab."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from testbed.claims.stage import PATIENCE_S, Asked, Stage

PROBE = Path(__file__).with_name("probe.py")


def begin(stage: Stage, where: str, **jobs: Any) -> Asked:
    """Start the jobs, one after the other; `answers` has theirs by name."""
    argv = [sys.executable, "-S", "-E", str(PROBE), json.dumps(jobs)]
    return Asked(where, stage.lab.begin(where, argv, PATIENCE_S))
