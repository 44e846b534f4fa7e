"""Pods wired behind the CNI seam: by the testbed's own links, beside raw netlink; by plug-ins, executed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bench import dismantle
from bench.measure import Comparison, Goal, Side, in_turns
from bench.sandbox import PYTHON, output

_MANY = ("10", "100")
_FEW = ("1", "50")


def wiring(repeats: int) -> Iterator[Comparison]:
    """1,000 pods by the built-in links; for information 50 by a chain of processes each."""
    ours, raw = in_turns(
        partial(_seconds, "bench.our_wiring", *_MANY),
        partial(_seconds, "bench.raw_netlink", *_MANY),
        repeats,
    )
    yield Comparison(
        "CNI: 1,000 pods on 10 nodes by built-in links",
        "s",
        Side("testbed", "1 process in all, 1 namespace per pod", ours),
        Side("raw netlink loop", "1 process in all, 1 namespace per pod", raw),
        Goal(2, at_most=True),
    )
    for kind, made_of in (
        ("ptp", "2 processes per pod: ptp, host-local"),
        ("testbed-routed", "2 processes per pod: testbed-routed, testbed-local (Python)"),
    ):
        plugged, built_in = in_turns(
            partial(_seconds, "bench.plugged_wiring", _FEW[1], kind),
            partial(_seconds, "bench.our_wiring", *_FEW),
            repeats,
        )
        yield Comparison(
            f"CNI: 50 pods on a node by {kind}",
            "s",
            Side("the testbed as a runtime", made_of, plugged),
            Side("built-in links", "no process per pod", built_in),
            None,
        )


def _seconds(module: str, *arguments: str) -> float:
    dismantle.wait()
    return float(output([PYTHON, "-m", module, *arguments]))
