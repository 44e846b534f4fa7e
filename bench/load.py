"""Our generator beside wrk: a new connection per request, through the same service, to one server."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import Comparison, Goal, Side, in_turns
from bench.sandbox import ROOT
from testbed.clock import now_ns
from testbed.errors import TestbedError
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec

_CONNECTIONS = 50
_DURATION_S = 5
_SERVER_CPU, _CLIENT_CPU = 0, 1
_PORT = 9090
_HEADROOM = 1.5
"""How much more than it is asked the server must be able to answer, or the figure is the server's."""
_NGINX = ROOT / ".cache/nginx/usr/sbin/nginx"
_CONFIG = ROOT / "bench/nginx.conf"

_TOPOLOGY = {
    "name": "bench-load",
    "nodes": {"n1": {}, "n2": {}},
    "dns": {"replicas": 0},
    "workloads": {"web": {"node": "n1"}, "client": {"node": "n2"}},
    "services": {"web": {"port": 80, "targetPort": _PORT}},
}


def generator(repeats: int) -> Iterator[Comparison]:
    """Requests per second of one client process; ours until its samples are on disk."""
    capacities: list[float] = []
    with Lab.up(Topology.model_validate(_TOPOLOGY), ephemeral=True, pin=True) as lab, _server(lab):
        url = f"http://{lab.inspect()['services'][0]['clusterIP']}/"
        _wrk(lab, url, capacities)  # warm-up
        ours, theirs = in_turns(
            lambda: _ours(lab, url), lambda: _wrk(lab, url, capacities), repeats
        )
    headroom = min(capacities) / max(median(ours), median(theirs))
    verdict = "" if headroom >= _HEADROOM else f", not {_HEADROOM}: the figure is not the client's"
    yield Comparison(
        "generator, new connection per request",
        "requests/s",
        Side("testbed", f"1 process, {_CONNECTIONS} connections, samples stored", ours),
        Side("wrk", f"1 thread, {_CONNECTIONS} connections, Connection: close", theirs),
        Goal(0.9, at_most=False),
        note=f"nginx on a CPU of its own could answer {headroom:.2g} times as many{verdict}.",
    )


@contextmanager
def _server(lab: Lab) -> Iterator[None]:
    """nginx in web-0, on the CPU that the client does not have."""
    with tempfile.TemporaryDirectory() as prefix:
        argv = [
            *_pinned(_SERVER_CPU),
            str(_NGINX),
            "-e",
            "stderr",
            "-p",
            prefix,
            "-c",
            str(_CONFIG),
        ]
        server = threading.Thread(target=lambda: Lab.attach(lab.name).exec("web-0", argv))
        server.start()
        check = ["curl", "-sf", "--retry", "20", "--retry-connrefused", "--retry-delay", "0"]
        ready = lab.exec("web-0", [*check, f"http://127.0.0.1:{_PORT}/"])
        if ready.returncode != 0:
            raise TestbedError(f"nginx does not answer in the pod: {ready.stderr}")
        yield
        pid = (Path(prefix) / "nginx.pid").read_text().strip()
        lab.exec("web-0", ["kill", pid])
        server.join()


def _pinned(cpu: int) -> list[str]:
    return ["taskset", "--cpu-list", str(cpu)]


def _ours(lab: Lab, url: str) -> float:
    """Requests answered per second, from the first one to the last sample on disk."""
    _forget_connections(lab)
    done_ns: list[int] = []

    def hear(message: dict[str, Any]) -> None:
        if "done" in message:
            done_ns.append(now_ns())

    spec = LoadSpec(
        "client-0", url, connections=_CONNECTIONS, duration_s=_DURATION_S, cpu=_CLIENT_CPU
    )
    result = lab.load(spec, hear)
    answered: int = result.summary["outcomes"]["ok"]
    return answered / ((done_ns[0] - result.started_ns) / 1e9)


def _wrk(lab: Lab, url: str, capacities: list[float]) -> float:
    """Requests per second as wrk says; notes how many the server's CPU had had time for."""
    _forget_connections(lab)
    wrk = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{_DURATION_S}s", "-H", "Connection: close", url]
    before = _ticks(_SERVER_CPU)
    done = lab.exec("client-0", [*_pinned(_CLIENT_CPU), *wrk])
    busy, idle = (now - then for now, then in zip(_ticks(_SERVER_CPU), before, strict=True))
    found = re.search(r"Requests/sec: *([\d.]+)", done.stdout)
    if found is None:
        raise TestbedError(f"wrk said nothing of requests: {done.stdout}{done.stderr}")
    rate = float(found[1])
    capacities.append(rate * (busy + idle) / busy)
    return rate


def _forget_connections(lab: Lab) -> None:
    """The table of the last run, in TIME_WAIT for two minutes, would fill up."""
    for node in _TOPOLOGY["nodes"]:
        lab.exec(node, ["conntrack", "--flush"])


def _ticks(cpu: int) -> tuple[int, int]:
    """(busy, idle) clock ticks of a CPU since boot."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{cpu}":
            user, nice, system, idle, iowait, irq, softirq, *_ = map(int, fields)
            return user + nice + system + irq + softirq, idle + iowait
    raise TestbedError(f"this machine has no CPU {cpu}")
