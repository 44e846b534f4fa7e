"""The cluster's DNS server beside dnsmasq and unbound: the same names, one CPU each, one run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from bench.dns_race import CHANGES_PER_S, SHARE, Seen
from bench.measure import Comparison, Goal, Side
from bench.sandbox import PYTHON, output

SIZES = (1_000, 10_000)
OURS, PEERS = "testbed", ("dnsmasq", "unbound")
_SLOWEST = 2.0
"""How many times theirs the p99 of ours may be."""


def answers(repeats: int) -> Iterator[Comparison]:
    """Answers a second and the 99th percentile of their latency, still and while services change."""
    for services in SIZES:
        lines = output([PYTHON, "-m", "bench.dns_race", str(services), str(repeats)]).splitlines()
        seen = [Seen(**json.loads(line)) for line in lines]
        for changing in (False, True):
            rows = [one for one in seen if one.changing is changing]
            what = f"DNS, {services:,} services" + f", {CHANGES_PER_S} change a second" * changing
            yield from compared(what, rows)


def compared(what: str, rows: Sequence[Seen]) -> Iterator[Comparison]:
    """The figures of ours beside each peer's."""
    slow = Goal(_SLOWEST, at_most=True)
    for peer in PEERS:
        note = _note(rows, peer)

        def sides(figure: Callable[[Seen], float], peer: str = peer) -> tuple[Side, Side]:
            return _side(rows, OURS, figure), _side(rows, peer, figure)

        enough = Goal(1.0, at_most=False) if peer == "dnsmasq" else None
        rates = sides(lambda one: one.rate_rps)
        yield Comparison(f"{what}: answers", "/s", *rates, enough, note=note)
        loaded, saturated = (
            sides(lambda one: one.loaded_p99_us),
            sides(lambda one: one.saturated_p99_us),
        )
        share = f"{SHARE:.0%} of the slowest's rate"
        yield Comparison(f"{what}: p99 at {share}", "µs", *loaded, slow)
        yield Comparison(f"{what}: p99 at saturation", "µs", *saturated, slow)


def _side(rows: Sequence[Seen], server: str, figure: Callable[[Seen], float]) -> Side:
    own = [one for one in rows if one.server == server]
    return Side(server, own[0].made_of, tuple(map(figure, own)))


def _note(rows: Sequence[Seen], peer: str) -> str:
    """What an answer costs whoever the machine is shared with, and how much memory ours took."""
    said = []
    for name in (OURS, peer):
        own = [one for one in rows if one.server == name]
        lost, denied = sum(one.lost for one in own), sum(one.denied for one in own)
        cpu_us = median(one.cpu_us for one in own)
        said.append(f"{name}: {cpu_us:.2f} µs of CPU an answer, {lost} lost, {denied} denied")
    peak_mb = max(one.peak_mb for one in rows if one.server == OURS)
    return f"{'; '.join(said)}; {OURS} held {peak_mb:.0f} MB at most."
