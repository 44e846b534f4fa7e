"""Full rule syncs beside the raw load of the same text; one changed endpoint beside its raw load, and in a
large cluster beside a small one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench import dismantle
from bench.measure import Comparison, Goal, Side
from bench.sandbox import PYTHON, ROOT, output
from testbed.kernel import guests
from testbed.sandbox.errand import GuestShell

_SIZES = (1000, 5000)
_LIMITS = {"iptables-nft": 1.3, "iptables-legacy": 2.5, "nftables": 1.3}
"""Full sync / raw load of the same text."""
_ONE_ENDPOINT = 1.3
"""One endpoint / raw load of the same text, in iptables."""
_SMALL, _LARGE, _GROWTH = 100, 20_000, 3.0
"""One endpoint of so many services / of so few, in modes that look services up."""
_GUEST = " Both in the packaged guest kernel, which has IPVS wherever it runs."
_GUEST_PATIENCE_S = 600.0
_NODE = "1 proxy loop, 1 node's namespace, no pods"
_RAW = "the same commands, 1 namespace, no pods"


def syncs(repeats: int) -> Iterator[Comparison]:
    """From a proxy's start on an empty node to rules in force; then from one changed slice."""
    for mode, limit in _LIMITS.items():
        for services in _SIZES:
            runs = [_run(mode, services) for _ in range(repeats)]
            yield _compared(
                f"full sync, {services:,} services x 3 endpoints, {mode}", "full", runs, limit
            )
            yield _compared(
                f"one changed endpoint of {services:,} services, {mode}",
                "one",
                runs,
                _ONE_ENDPOINT if mode.startswith("iptables") else None,
            )


def growth(repeats: int) -> Iterator[Comparison]:
    """One changed endpoint of many services beside one of few. The full sync of many takes minutes."""
    for mode in ("nftables", "ipvs"):
        small = [_run(mode, _SMALL) for _ in range(repeats)]
        large = [_run(mode, _LARGE)]
        yield Comparison(
            f"one changed endpoint of {_LARGE:,} services, {mode}",
            "s",
            Side("testbed", _NODE, tuple(run["one_s"] for run in large)),
            Side(f"testbed, {_SMALL} services", _NODE, tuple(run["one_s"] for run in small)),
            Goal(_GROWTH, at_most=True),
            note="Each value is a median of nine changes." + _GUEST * (mode == "ipvs"),
        )


def _compared(what: str, key: str, runs: list[dict[str, float]], limit: float | None) -> Comparison:
    return Comparison(
        what,
        "s",
        Side("testbed", _NODE, tuple(run[f"{key}_s"] for run in runs)),
        Side("raw load", _RAW, tuple(run[f"raw_{key}_s"] for run in runs)),
        Goal(limit, at_most=True) if limit else None,
    )


def _run(mode: str, services: int) -> dict[str, float]:
    dismantle.wait()
    argv = [PYTHON, "-m", "bench.our_sync", mode, str(services)]
    answer: dict[str, float] = json.loads(_in_guest(argv) if mode == "ipvs" else output(argv))
    return answer


def _in_guest(argv: list[str]) -> str:
    """Standard output of a program that has to succeed, in the distribution's guest kernel."""
    with GuestShell(guests.named(guests.PACKAGED)) as shell:
        done = shell.run(["env", f"PYTHONPATH={ROOT}", *argv], timeout_s=_GUEST_PATIENCE_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed in the guest: {done.stderr}")
    return done.stdout
