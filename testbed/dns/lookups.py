"""Looks names up from a pod as its C library would, many times, and prints what became of each.

`python -m testbed.dns.lookups JOBS`, run inside the pod's network namespace; the one argument is a JSON object:

- `batches`: one after the other, each `{"library", "name", "lookups"}`, one look-up at a time;
- `counters`: `{"servers": [[host, port], …], "metrics": [name, …]}`, read before the first batch and after
  each; a name may go on with labels, as in `coredns_dns_requests_total{type="A"}`;
- `streams`: side by side, each `{"library", "name", "rate_rps"}`, until standard input ends; then what is under
  way has `drain_s`;
- `resolv_conf`, a file: its settings are those of all jobs that have no `ndots`, `timeout_s`, `attempts` or
  `nameservers` of their own; `port`: where the servers listen.

`{n}` in a name is another number each time: a name that nobody has asked for, and that no cache holds.

Printed: a line `started` where there are streams, at the end a JSON object with the same two lists, each job
with its `rows` (of `COLUMNS`) and, of batches, by how much the servers' counters rose meanwhile (`counted`).
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from testbed.clock import now_ns, now_s
from testbed.dns.libc import LIBRARIES, LookedUp
from testbed.dns.resolving import DNS_PORT, Resolving
from testbed.dns.search import ResolvConf, parse_resolv_conf
from testbed.errors import UsageError

COLUMNS = ("start_ns", "took_ns", "outcome", "sent", "rounds", "address")
"""Of a row: `address` is the first one, empty where there is none. Look-ups are in the order of their ends."""
UNFINISHED = "unfinished"
"""The outcome of a look-up that was still under way."""
STARTED = "started"
PATIENCE_S = 10.0
_NUMBERS = count()
_CONF = ("ndots", "timeout_s", "attempts", "nameservers")
Job = Mapping[str, Any]


def main(argv: Sequence[str]) -> int:
    """Carry the jobs out. Raises UsageError for one that is none."""
    jobs = json.loads(argv[0])
    path = Path(jobs.get("resolv_conf", "/etc/resolv.conf"))
    conf = parse_resolv_conf(path.read_text(encoding="utf-8"))
    counters = Counters(**jobs["counters"]) if "counters" in jobs else None
    port = int(jobs.get("port", DNS_PORT))
    found: dict[str, Any] = {
        "batches": batches(Resolving(port), jobs.get("batches", ()), conf, counters)
    }
    if "streams" in jobs:
        over = threading.Event()
        threading.Thread(target=_await_end_of_input, args=(over,), daemon=True).start()
        print(STARTED, flush=True)
        wait = Wait(over, float(jobs.get("drain_s", 0.0)))
        found["streams"] = streams(Resolving(port), jobs["streams"], conf, wait)
    print(json.dumps(found))
    return 0


def _await_end_of_input(over: threading.Event) -> None:
    while os.read(0, 1):
        pass
    over.set()


class Counters:
    """What servers count, read as Prometheus would."""

    def __init__(self, servers: Iterable[Sequence[Any]], metrics: Iterable[str]) -> None:
        self._servers = [(str(host), int(port)) for host, port in servers]
        self._metrics = tuple(metrics)

    def read(self) -> dict[str, dict[str, float]]:
        """By server (its host), and metric: the sum over all other labels. Raises OSError."""
        return {host: totals(_page(host, port), self._metrics) for host, port in self._servers}


def totals(page: str, metrics: Iterable[str]) -> dict[str, float]:
    """The sum of each metric's samples on a page of Prometheus' text format that have its labels, if it names
    any; 0 where there is none.
    """
    found = dict.fromkeys(metrics, 0.0)
    wanted = [(metric, *_selector(metric)) for metric in found]
    for line in page.splitlines():
        series, _, value = line.rpartition(" ")
        name, labels = _selector(series)
        for metric, its_name, its_labels in wanted:
            if name == its_name and its_labels <= labels:
                found[metric] += float(value)
    return found


def _selector(text: str) -> tuple[str, frozenset[str]]:
    """The name, and its labels as they are written: no value of ours holds a comma."""
    name, _, labels = text.removesuffix("}").partition("{")
    return name, frozenset(labels.split(",")) - {""}


def _page(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=PATIENCE_S) as sock:
        sock.sendall(f"GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        parts = []
        while data := sock.recv(1 << 16):
            parts.append(data)
    head, _, body = b"".join(parts).decode().partition("\r\n\r\n")
    if " 200 " not in head.partition("\r\n")[0] + " ":
        raise OSError(f"{host}:{port}/metrics: {head.partition(chr(13))[0] or 'no answer'}")
    return body


def batches(
    resolving: Resolving, jobs: Iterable[Job], conf: ResolvConf, counters: Counters | None = None
) -> list[Job]:
    """One look-up at a time. Raises UsageError, OSError."""
    before = counters.read() if counters else {}
    done: list[Job] = []
    for job in jobs:
        rows: list[list[Any]] = []
        for _ in range(int(job["lookups"])):
            _begin(resolving, job, conf, rows)
            while resolving.under_way:
                resolving.turn(now_s() + 1.0)
        counted: dict[str, dict[str, float]] = {}
        if counters:
            after = counters.read()
            counted = {host: _risen(after[host], before[host]) for host in after}
            before = after
        done.append({**job, "rows": rows, "counted": counted})
    return done


def _risen(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in after}


@dataclass(frozen=True, slots=True)
class Wait:
    """How long streams go on: until `over` is set, and what is under way then for `drain_s`."""

    over: threading.Event
    drain_s: float


def streams(resolving: Resolving, jobs: Sequence[Job], conf: ResolvConf, wait: Wait) -> list[Job]:
    """Each at its own rate, the first look-ups spread over one interval. Raises UsageError."""
    begun_s = now_s()
    intervals_s = [1.0 / float(job["rate_rps"]) for job in jobs]
    due_s = [begun_s + at / len(jobs) * each for at, each in enumerate(intervals_s)]
    rows: list[list[list[Any]]] = [[] for _ in jobs]
    begun: list[list[int]] = [[] for _ in jobs]
    while not wait.over.is_set():
        for at, job in enumerate(jobs):
            while due_s[at] <= now_s():
                begun[at].append(_begin(resolving, job, conf, rows[at]))
                due_s[at] += intervals_s[at]
        resolving.turn(min(due_s))
    end_s = now_s() + wait.drain_s
    while resolving.under_way and now_s() < end_s:
        resolving.turn(end_s)
    resolving.close()
    now = now_ns()
    for at in range(len(jobs)):
        ended = {row[0] for row in rows[at]}
        left = [start_ns for start_ns in begun[at] if start_ns not in ended]
        rows[at] += [[start_ns, now - start_ns, UNFINISHED, 0, 0, ""] for start_ns in left]
    return [{**job, "rows": rows[at]} for at, job in enumerate(jobs)]


def _begin(resolving: Resolving, job: Job, conf: ResolvConf, rows: list[list[Any]]) -> int:
    """Start a look-up, which will add its row; when it was. Raises UsageError."""
    library = LIBRARIES.get(job["library"])
    if library is None:
        raise UsageError(f"no C library {job['library']!r}", f"there is {', '.join(LIBRARIES)}")
    changes = {name: job[name] for name in _CONF if name in job}
    if "nameservers" in changes:
        changes["nameservers"] = tuple(changes["nameservers"])
    start_ns = now_ns()
    done = partial(_add_row, rows, start_ns)
    name = str(job["name"]).replace("{n}", str(next(_NUMBERS)))
    resolving.begin(library, name, replace(conf, **changes), done)
    return start_ns


def _add_row(rows: list[list[Any]], start_ns: int, ended: LookedUp) -> None:
    address = next(iter(ended.addresses), "")
    took_ns = now_ns() - start_ns
    rows.append([start_ns, took_ns, ended.outcome, ended.sent, ended.rounds, address])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
