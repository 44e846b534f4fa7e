#!/usr/bin/env python3
"""Checks an artifact: its files are whole, its analysis gives the stored figures, its experiment runs.

    python3 check.py [--no-run]

Needs `testbed` on the search path, and nothing else. Ends with 0 when all holds, 1 when something does
not, 3 when `testbed` is not there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
TOLERANCE = 1e-6
"""Relative: another processor's arithmetic may differ in the last digits."""


def main() -> int:
    """Check by check, each with a line."""
    parser = argparse.ArgumentParser(description="check this artifact")
    parser.add_argument("--no-run", action="store_true", help="do not run the experiment again")
    args = parser.parse_args()
    meta = json.loads((RESULTS / "run.json").read_text())
    if shutil.which("testbed") is None:
        print(f"`testbed` is not installed: version {meta['environment']['testbed']} made this run")
        return 3
    checks = {"files": whole, "analysis": analysed}
    if not args.no_run:
        checks["experiment"] = ran
    failed = 0
    for name, check in checks.items():
        problem = check(meta)
        failed += bool(problem)
        print(f"{name}: {problem or 'ok'}", flush=True)
    return 1 if failed else 0


def whole(meta: dict[str, Any]) -> str:
    """What is wrong with the files; "" for nothing."""
    listed: dict[str, str] = {}
    for line in (HERE / "SHA256SUMS").read_text().splitlines():
        digest, _, path = line.partition("  ")
        listed[path] = digest
    changed = [path for path, digest in listed.items() if _digest(HERE / path) != digest]
    return f"not as they were packed: {', '.join(changed)}" if changed else ""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def analysed(meta: dict[str, Any]) -> str:
    """Analyse a copy of the stored samples: what comes out otherwise; "" for nothing."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "results"
        shutil.copytree(RESULTS, copy)
        (copy / "summary.json").unlink(missing_ok=True)
        if own := _own(meta):
            (copy / "run.json").write_text(json.dumps({**meta, "module": str(own)}))
        done = subprocess.run(
            ["testbed", "report", str(copy)], cwd=HERE, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return f"`testbed report` ended with {done.returncode}: {done.stderr.strip()}"
        for file, key in (("summary.json", ""), ("run.json", "findings")):
            was, now = (json.loads((where / file).read_text()) for where in (RESULTS, copy))
            difference = differing(was[key], now[key], key) if key else differing(was, now, file)
            if difference:
                return difference
    return ""


def _own(meta: dict[str, Any]) -> Path | None:
    """The experiment's file, where it is none of those that come with the testbed."""
    is_shipped = meta.get("module", meta["experiment"]) == meta["experiment"]
    return None if is_shipped else HERE / "experiment" / Path(meta["module"]).name


def differing(was: Any, now: Any, where: str) -> str:
    """The first place where two JSON values differ by more than rounding; "" for none."""
    if isinstance(was, dict) and isinstance(now, dict) and set(was) == set(now):
        return next(filter(None, (differing(was[k], now[k], f"{where}.{k}") for k in was)), "")
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        pairs = enumerate(zip(was, now, strict=True))
        return next(filter(None, (differing(a, b, f"{where}[{i}]") for i, (a, b) in pairs)), "")
    if isinstance(was, float | int) and isinstance(now, float | int):
        same = math.isclose(was, now, rel_tol=TOLERANCE, abs_tol=1e-12)
    else:
        same = was == now
    return "" if same else f"{where} was {was!r}, is {now!r}"


def ran(meta: dict[str, Any]) -> str:
    """Run one block again, elsewhere: what goes wrong; "" for nothing."""
    words = shlex.split(meta["command"])
    if own := _own(meta):
        words[2] = str(own)
    with tempfile.TemporaryDirectory() as folder:
        words += ["--repeat", "1", "-d", folder]
        done = subprocess.run(words, cwd=HERE, stdout=subprocess.PIPE, text=True, check=False)
    return f"{shlex.join(words)} ended with {done.returncode}" if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
