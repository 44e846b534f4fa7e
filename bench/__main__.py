"""`python -m bench [ITEM …]`: measures, prints a table, keeps every value in results/bench/."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import Comparison, markdown
from bench.sandbox import ROOT

ITEMS = {
    "startup": ("bench.startup", "version"),
    "wiring": ("bench.scale", "wiring"),
    "cni": ("bench.cni", "wiring"),
    "lives": ("bench.scale", "lives"),
    "load": ("bench.load", "generator"),
    "rules": ("bench.rules", "syncs"),
    "growth": ("bench.rules", "growth"),
    "planning": ("bench.planning", "plans"),
    "report": ("bench.report", "reports"),
    "fakes": ("bench.fakes", "ready"),
    "listing": ("bench.listing", "lists"),
    "watchers": ("bench.watchers", "spread"),
    "endpoints": ("bench.watchers", "endpoints"),
    "podnets": ("bench.podnets", "ratios"),
    "bgp": ("bench.bgp", "convergence"),
    "dns": ("bench.dns", "answers"),
    "dns-flood": ("bench.dns_flood", "floods"),
    "ingress": ("bench.ingress", "requests"),
    "suite": ("bench.suite", "suite"),
}
_REPEATS = 5
_QUIET = 0.5
"""Load average above which figures say more about the neighbours."""


def main() -> int:
    """0 where every goal is met, else 1."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("items", nargs="*", metavar="ITEM", help=f"{', '.join(ITEMS)} (all)")
    parser.add_argument("--repeats", type=int, default=_REPEATS, help=f"each side ({_REPEATS})")
    args = parser.parse_args()
    if unknown := set(args.items) - set(ITEMS):
        parser.error(f"no item {', '.join(sorted(unknown))}; there are {', '.join(ITEMS)}")
    if os.geteuid() != 0:
        parser.error("the bench compares what root can do: run it as root")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # labs go down, children end
    busy = os.getloadavg()[0]
    if busy > _QUIET:
        print(
            f"bench: load average {busy:.2g}: others are at work, do not trust it", file=sys.stderr
        )
    rows: list[Comparison] = []
    for item in args.items or ITEMS:
        print(f"bench: {item} …", file=sys.stderr, flush=True)
        module, function = ITEMS[item]
        rows += getattr(importlib.import_module(module), function)(args.repeats)
    machine = f"Kernel {platform.release()}, {os.cpu_count()} CPUs"
    print(f"{machine}, load before {busy:.2g}, Python {platform.python_version()}")
    print(f"\n{markdown(rows)}")
    print(f"\nkept: {_keep(rows, busy)}", file=sys.stderr)
    return 0 if all(row.met for row in rows) else 1


def _keep(rows: list[Comparison], busy: float) -> Path:
    """Write every value; returns the file."""
    now = datetime.now(UTC)
    path = ROOT / "results/bench" / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = {
        "time": now.isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load_before": busy,
        "python": platform.python_version(),
        "rows": [row.to_json() for row in rows],
    }
    path.write_text(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    return path


if __name__ == "__main__":
    raise SystemExit(main())
