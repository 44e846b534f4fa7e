"""A stream of requests and a sample of each: one epoll loop of its own.

asyncio makes two thirds of the connections a second. Latency is counted from the scheduled time, so
that a stall of this loop shows as latency (and as lag), never as requests that were not made.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import select
import socket
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from testbed.clock import now_ns
from testbed.dns.search import parse_resolv_conf
from testbed.errors import TestbedError, UsageError
from testbed.ip import FAMILY_NAMES, family_of
from testbed.traffic.channel import Channel
from testbed.traffic.connection import Connection, Expiring
from testbed.traffic.exchange import Answer, Exchange
from testbed.traffic.samples import OUTCOME_NUMBERS, SampleFile
from testbed.traffic.schedule import arrivals_ns
from testbed.traffic.spec import LoadSpec

_BURST = 64
"""Requests started before answers are looked at."""
_LOOK = 8192
"""Descriptors that one look finds ready."""
_PROGRESS_NS = 1_000_000_000
_FOR_EVER_NS = 1 << 62


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Make the load of `config["spec"]` (`LoadSpec.to_json`), samples into `config["output"]`.

    `config["resolv_conf"]`: text of the pod's, or null. Says {"ready": true}, {"started_ns": t},
    every second {"progress": {"elapsed_s": s, "requests": n}}, and {"done": true, "requests": n,
    "ended_ns": t, "stopped": early, "max_lag_ns": t} or {"error": text, "exit_code": n}.
    {"stop": true}, SIGTERM, SIGINT or the closed channel end the load early.
    """
    line = Channel(channel)
    try:
        _run(config, line)
    except TestbedError as error:
        line.say({"error": str(error), "exit_code": error.exit_code})
    except OSError as error:
        line.say({"error": f"the load broke off: {error}", "exit_code": 5})


def _run(config: dict[str, Any], line: Channel) -> None:
    """Raises UsageError, and OSError where the samples cannot be written."""
    spec = LoadSpec.from_json(config["spec"])
    resolv_conf = config.get("resolv_conf") or ""
    if spec.target.address is None and not resolv_conf:
        problem = f"{spec.source} has no name server to ask for {spec.target.host!r}"
        raise UsageError(problem, "write an address in the URL, or give it a zone: dns.outside")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if spec.cpu is not None:
        os.sched_setaffinity(0, {spec.cpu})
    times = _arrivals(spec)
    samples = SampleFile(Path(config["output"]))
    load = Load(spec, resolv_conf, samples, line)
    gc.collect()
    gc.disable()  # a collection would be a latency
    line.say({"ready": True})
    started_ns = now_ns()
    line.say({"started_ns": started_ns})
    load.run(started_ns, times)
    ended_ns = now_ns()
    samples.close()
    done = {"done": True, "requests": samples.rows, "ended_ns": ended_ns}
    line.say(done | {"stopped": load.stopped, "max_lag_ns": load.max_lag_ns})


def _arrivals(spec: LoadSpec) -> list[int]:
    """Nanoseconds from the start; none in a closed loop."""
    if spec.rate_rps is None:
        return []
    chance = random.Random(spec.seed)
    return arrivals_ns(chance, spec.arrivals, spec.rate_rps, spec.duration_s)


class Load:
    """The loop, and what all its connections share."""

    def __init__(
        self, spec: LoadSpec, resolv_conf: str, samples: SampleFile, line: Channel
    ) -> None:
        target = spec.target
        self.spec = spec
        self.host, self.port, self.address = target.host, target.port, target.address
        self.address_until_ns = _FOR_EVER_NS
        """Until when `address` may be dialled without asking again."""
        self.datagrams = target.protocol == "udp"
        self.reset = spec.close == "rst" and not self.datagrams
        self.timeout_ns = int(spec.timeout_s * 1e9)
        self.resolv_conf = parse_resolv_conf(resolv_conf)
        self.sources = {
            family: [ip for ip in spec.source_addresses if family_of(ip) == family]
            for family in FAMILY_NAMES
        }
        """Addresses to dial from, by IP family."""
        self.exchange = Exchange(target)
        self.known: dict[bytes, Answer] = {}
        self.samples = samples
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self.idle: deque[Connection] = deque()
        self.in_flight: set[Connection] = set()
        self.deadlines: deque[tuple[int, Expiring]] = deque()
        """As all requests have the same timeout, the first to start is the first to expire."""
        self.dns_deadlines: deque[tuple[int, Expiring]] = deque()
        self.open = 0
        self.vacant = 0
        """Requests that have ended; a closed loop starts as many anew."""
        self.max_lag_ns = 0
        self._opened = 0
        self._line = line
        self.stopped = False
        self._started_ns = self._progress_ns = 0
        for fd in line.fds:
            self.handlers[fd] = self._obey
            self.epoll.register(fd, select.EPOLLIN)

    def run(self, started_ns: int, arrivals: Iterable[int]) -> None:
        """Every request, until the duration is over or somebody says stop; then the drain."""
        self._started_ns = started_ns
        self._progress_ns = started_ns + _PROGRESS_NS
        end_ns = started_ns + int(self.spec.duration_s * 1e9)
        if self.spec.open_loop:
            self._open_loop(started_ns, arrivals)
        else:
            self._closed_loop(end_ns)
        while not self.stopped and now_ns() < end_ns:
            self._turn(end_ns)
        drained_ns = now_ns() + int(self.spec.drain_s * 1e9)
        while self.in_flight and now_ns() < drained_ns:
            self._turn(drained_ns)
        self._turn(0)  # what has come is no less there because this process was late to look
        for connection in tuple(self.in_flight):
            connection.end(OUTCOME_NUMBERS["censored"])

    def _open_loop(self, started_ns: int, arrivals: Iterable[int]) -> None:
        burst = 0
        for offset_ns in arrivals:
            scheduled_ns = started_ns + offset_ns
            while not self.stopped and (burst == _BURST or now_ns() < scheduled_ns):
                self._turn(scheduled_ns)
                burst = 0
            if self.stopped:
                return
            self.max_lag_ns = max(self.max_lag_ns, now_ns() - scheduled_ns)
            self._start(scheduled_ns)
            burst += 1

    def _closed_loop(self, end_ns: int) -> None:
        self.vacant = self.spec.connections
        # A duration that is over before this process has had its turn is no reason for no request at all.
        while True:
            for _ in range(min(self.vacant, _BURST)):
                self.vacant -= 1
                self._start(0)
            self._turn(0 if self.vacant else end_ns)
            if self.stopped or now_ns() >= end_ns:
                return

    def keep_address(self, address: str, ttl_s: int) -> None:
        """A name has been resolved: as long as the spec says, it is not asked for again."""
        if self.spec.resolve != "each":
            self.address = address
            until_ns = now_ns() + ttl_s * 1_000_000_000
            self.address_until_ns = until_ns if self.spec.resolve == "ttl" else _FOR_EVER_NS

    def _start(self, scheduled_ns: int) -> None:
        """On an idle connection, or a new one: never waits for one."""
        if self.idle and self.open >= self.spec.connections:
            self.idle.popleft().send_again(scheduled_ns)
        else:
            self.open += 1
            self._opened += 1
            Connection(self, self._opened, scheduled_ns)

    def _turn(self, until_ns: int) -> None:
        """Handle what happens; return soon after it, and at `until_ns` at the latest."""
        now = now_ns()
        if now >= self._progress_ns:
            self._say_progress(now)
        until_ns = min(until_ns, self._progress_ns)
        for queue in (self.deadlines, self.dns_deadlines):
            if queue and queue[0][0] < until_ns:
                until_ns = queue[0][0]
        if until_ns > now:
            # epoll's own timeout knows milliseconds only.
            select.select((self.epoll,), (), (), (until_ns - now) / 1e9)
        # What was there before the look is no timeout, however late the look was.
        now = now_ns()
        handlers = self.handlers
        came = self.epoll.poll(0, _LOOK)
        for fd, events in came:
            handlers[fd](events)
        if len(came) == _LOOK:
            return  # perhaps not all that was there
        for queue in (self.deadlines, self.dns_deadlines):
            while queue and queue[0][0] <= now:
                deadline_ns, waiting = queue.popleft()
                if waiting.deadline_ns == deadline_ns:  # else: it ended in time
                    waiting.expire()

    def _say_progress(self, now: int) -> None:
        elapsed_s = round((now - self._started_ns) / 1e9, 1)
        self._line.say({"progress": {"elapsed_s": elapsed_s, "requests": self.samples.rows}})
        self._progress_ns = now + _PROGRESS_NS

    def _obey(self, _: int) -> None:
        watched = set(self._line.fds)
        self.stopped |= any(message.get("stop") for message in self._line.receive())
        for fd in watched.difference(self._line.fds):  # the supervisor has closed its end
            self.epoll.unregister(fd)
            del self.handlers[fd]
