"""A lab that answers at once: one service, two backends, a client; no kernel in it."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from testbed.errors import OutOfTimeOrRoom, TestbedError
from testbed.events import Event
from testbed.experiment.trial_lab import Lab, LoadHandle
from testbed.traffic import conntrack, ctnetlink
from testbed.traffic.samples import SampleFile
from testbed.traffic.spec import LoadSpec

POD = {"namespace": "default", "phase": "Running", "ready": True}
VIEW: dict[str, Any] = {
    "name": "fake",
    "proxy": "iptables-nft",
    "nodes": [{"name": "n1", "ready": True}, {"name": "n2", "ready": True}],
    "pods": [
        POD | {"name": "web-0", "uid": "u0", "node": "n1", "ip": "10.0.1.2"},
        POD | {"name": "web-1", "uid": "u1", "node": "n2", "ip": "10.0.2.2"},
        POD | {"name": "client-n1-0", "uid": "u2", "node": "n1", "ip": "10.0.1.3"},
        POD | {"name": "client-n2-0", "uid": "u3", "node": "n2", "ip": "10.0.2.3"},
    ],
    "services": [
        {
            "namespace": "default",
            "name": "web",
            "type": "ClusterIP",
            "clusterIP": "10.1.0.1",
            "ports": [{"port": 80}],
            "endpoints": [
                {"ip": "10.0.1.2", "port": 8080, "pod": "web-0", "node": "n1", "ready": True},
                {"ip": "10.0.2.2", "port": 8080, "pod": "web-1", "node": "n2", "ready": True},
            ],
        }
    ],
}


def entry(t_ns: int, port: int, backend: str) -> bytes:
    """What the kernel of n1 notes of the client's connection to the service."""
    client, service, pod = (IPv4Address(ip).packed for ip in ("10.0.1.3", "10.1.0.1", backend))
    source, http, served = (number.to_bytes(2, "big") for number in (port, 80, 8080))
    tcp = 6
    forward, reply = (client, service, tcp, source, http), (pod, client, tcp, served, source)
    return conntrack.record(t_ns, 0, ctnetlink.NEW, (*forward, *reply))


@dataclass
class Labs:
    """Starts fake labs. `before(number)` may raise, to stand for a lab that does not come up."""

    folder: Path
    before: Callable[[int], None] = lambda number: None
    started: list[str] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)

    def up(self, topology: Any, name: str) -> Lab:
        self.started.append(name)
        self.before(len(self.started))
        self.alive.add(name)
        return FakeLab(name, self)


@dataclass
class Result:
    samples: Path
    summary: dict[str, Any] = field(default_factory=dict)
    started_ns: int = 0


@dataclass
class Handle:
    result: Result

    def wait(self, on_progress: Callable[[Any], None] = lambda progress: None) -> Result:
        on_progress({"started_ns": 1})
        return self.result

    def stop(self) -> None:
        return


@dataclass
class Records:
    entries: Path
    accept_logs: dict[str, Path] = field(default_factory=dict)
    picks: tuple[tuple[str, Path], ...] = ()
    lost: int = 0
    counters: dict[str, dict[str, int]] = field(default_factory=dict)


class FakeLab:
    """Every load makes ten requests, all answered by web-0."""

    def __init__(self, name: str, labs: Labs) -> None:
        self._name = name
        self._labs = labs
        self._clock = itertools.count(1_000, 1_000)
        self._loads = itertools.count()

    def inspect(self) -> dict[str, Any]:
        return VIEW

    def now_ns(self) -> int:
        return next(self._clock)

    def start_load(self, spec: LoadSpec) -> LoadHandle:
        path = self._labs.folder / f"{self._name}-{next(self._loads)}.samples"
        file = SampleFile(path)
        names = ("10.0.1.3", "10.1.0.1:80", "web-0")
        source, target, web_0 = (file.name(name) for name in names)
        for number in range(1, 11):
            t_ns = number * 100
            port, ok = 40_000 + number, 1
            row = (number, 5, source, port, target, web_0, 200, ok)
            file.add(t_ns, t_ns, 0, t_ns, t_ns, t_ns, *row)
        file.close()
        return Handle(Result(path))

    def fault(self, kind: str, *where: str, **options: Any) -> Event:
        return Event(self.now_ns(), "fault", "n1", kind, f"default/{where[0]}")

    def heal(self, *where: str) -> Event:
        return self.fault("heal", *where)

    def events(self, since_ns: int = 0) -> list[Event]:
        return [
            *(
                Event(1, "store", pod["node"], "endpoint-ready", "default/web", 5, {"pod_ip": ip})
                for pod in VIEW["pods"]
                if (ip := pod["ip"]) in ("10.0.1.2", "10.0.2.2")
            ),
            Event(2, "proxy", "n2", "sync", "", 6, {"ip_family": "IPv4"}),
            Event(350, "proxy", "n1", "sync", "", 7, {"ip_family": "IPv4"}),
            Event(650, "proxy", "n1", "sync", "", 9, {"ip_family": "IPv4"}),
            Event(700, "proxy", "n1", "sync", "", 10, {"ip_family": "IPv4", "error": "no"}),
        ]

    def wait_event(self, predicate: Callable[[Event], bool], timeout_s: float) -> Event:
        for event in self.events():
            if predicate(event):
                return event
        raise OutOfTimeOrRoom("nothing like it happened")

    def rules(self, node: str) -> str:
        return f"# {node}\n*nat\nCOMMIT\n"

    def ca_certificate(self) -> str:
        return ""

    def exec(
        self, where: str, argv: Sequence[str], timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(list(argv), 0, "", "")

    def start_recording(self) -> None:
        return

    def stop_recording(self) -> Records:
        """The kernel picked web-0 for the first nine requests of a load, and web-1 for the tenth."""
        path = self._labs.folder / f"{self._name}.entries"  # labs run side by side
        entries = (
            entry(number * 100, 40_000 + number, "10.0.1.2" if number < 10 else "10.0.2.2")
            for number in range(1, 11)
        )
        path.write_bytes(b"".join([conntrack.header(["n1", "n2"]), *entries]))
        return Records(path)

    def down(self) -> None:
        if self._name not in self._labs.alive:
            raise TestbedError(f"{self._name} was taken down twice")
        self._labs.alive.remove(self._name)
