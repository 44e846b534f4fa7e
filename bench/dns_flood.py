"""A client of the cluster's DNS server beside one that floods it, and beside an ordinary one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.dns_peers import Peer, all_serving, name_of
from bench.dns_race import in_namespaces, measured, pinned_dnsperf
from bench.measure import Comparison, Goal, Side
from bench.sandbox import PYTHON, output

SERVICES = 1_000
ORDINARY = "an ordinary client"
_NEIGHBOUR = "127.0.0.2"
_ASKED_RPS = 1_000
_OUTSTANDING = 5_000
"""Of a flood; what has no answer after 0.1 s is asked anew."""
_SLOWEST = 2.0


def floods(repeats: int) -> Iterator[Comparison]:
    """The 99th percentile of a modest client's answers."""
    seen: dict[str, list[tuple[float, int]]] = {}
    for line in output([PYTHON, "-m", "bench.dns_flood", str(repeats)]).splitlines():
        for neighbour, figures in json.loads(line).items():
            seen.setdefault(neighbour, []).append(tuple(figures))
    for neighbour, figures in seen.items():
        if neighbour != ORDINARY:
            sides = (_side(neighbour, seen), _side(ORDINARY, seen))
            lost = sum(lost for _, lost in figures)
            note = f"{_ASKED_RPS} queries/s were asked; {lost} of all were lost."
            what = f"DNS, p99 of a client beside {neighbour}"
            yield Comparison(what, "µs", *sides, Goal(_SLOWEST, at_most=True), note=note)


def _side(neighbour: str, seen: Mapping[str, list[tuple[float, int]]]) -> Side:
    return Side("testbed", f"beside {neighbour}", tuple(p99_us for p99_us, _ in seen[neighbour]))


def measure(repeats: int, folder: Path) -> Iterator[dict[str, tuple[float, int]]]:
    """By neighbour: the p99 in µs, and how many queries were lost."""
    known, unknown = folder / "known", folder / "unknown"
    known.write_text("".join(f"{name_of(number)} A\n" for number in range(SERVICES)))
    unknown.write_text("".join(f"{n}.default.svc.cluster.local A\n" for n in range(200_000)))
    flood = ("-q", str(_OUTSTANDING), "-c", "100", "-t", "0.1")
    neighbours = {
        ORDINARY: ("-d", str(known)),
        "a flood of names that exist": ("-d", str(known), *flood),
        "a flood of names that do not": ("-d", str(unknown), *flood),
    }
    with all_serving(SERVICES, folder) as (ours, *_):
        measured(ours, known)  # every name once
        for _ in range(repeats):
            yield {what: _beside(ours, known, words) for what, words in neighbours.items()}


def _beside(server: Peer, questions: Path, neighbour: tuple[str, ...]) -> tuple[float, int]:
    with _asking(server, neighbour):
        return measured(server, questions, "-Q", str(_ASKED_RPS))


@contextmanager
def _asking(server: Peer, words: tuple[str, ...]) -> Iterator[None]:
    argv = pinned_dnsperf(server, "-a", _NEIGHBOUR, "-O", "suppress=timeout", *words)
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def main() -> None:
    with in_namespaces() as folder:
        for seen in measure(int(sys.argv[1]), folder):
            print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
