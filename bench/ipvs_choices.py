"""How often IPVS has chosen each destination, looked at again and again on a node while a soak runs.

IPVS counts a connection where it chooses a destination, and not where it still knows the client's port from an
earlier connection and goes on with that one's. So where a count stood still, nobody was chosen.

Runs as a program on the node until its input ends. A line of output is a `Look` as JSON.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from time import monotonic_ns

_EVERY_S = 0.5

Counts = dict[str, int | None]
"""`server destination`, each `ip:port` -> connections that IPVS chose it for; None: it is not there."""


@dataclass(frozen=True, slots=True)
class Look:
    """The counts that differ from those of the look before. They were read between the two times."""

    began_ns: int
    ended_ns: int
    changed: Mapping[str, int | None]


def parse(text: str) -> Counts:
    """What `ipvsadm --list -n --stats --exact` printed."""
    found: Counts = {}
    server = ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] in (["TCP"], ["UDP"], ["SCTP"]):
            server = words[1]
        elif words[:1] == ["->"] and words[2:3] and words[2].isdigit():
            found[f"{server} {words[1]}"] = int(words[2])
    return found


def read(lines: Iterable[str]) -> list[Look]:
    """The looks of one node, as its program printed them."""
    return [Look(**json.loads(line)) for line in lines]


def stood_still(looks: Sequence[Look], key: str, start_ns: int, end_ns: int) -> bool:
    """Whether looks before and after this time prove that nobody was chosen in it."""
    count: int | None = None
    at_start: list[int | None] = []
    for look in looks:
        count = look.changed.get(key, count)
        if look.ended_ns <= start_ns:
            at_start = [count]
        elif look.began_ns >= end_ns:
            return at_start == [count]
    return False


def _looks() -> Iterator[Look]:
    have: Counts = {}
    ended = False
    while not ended:
        readable, _, _ = select.select([sys.stdin], [], [], _EVERY_S)
        ended = bool(readable)
        began_ns = monotonic_ns()
        argv = ["ipvsadm", "--list", "-n", "--stats", "--exact"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        now = parse(done.stdout)
        changed = {key: now.get(key) for key in {*have, *now} if have.get(key) != now.get(key)}
        yield Look(began_ns, monotonic_ns(), changed)
        have = now


if __name__ == "__main__":
    for one in _looks():
        print(json.dumps(asdict(one)), flush=True)
