"""`Lab`: a running lab as users and trials see it.

Most commands only attach to a lab: what starting one takes (topologies, kernels) is imported by who starts one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from types import TracebackType
from typing import TYPE_CHECKING, Any

from testbed import clock
from testbed.errors import OutOfTimeOrRoom, TestbedError
from testbed.events import Event
from testbed.kernel.search_path import with_tools
from testbed.lab import docker_side, registry
from testbed.lab.api_access import Access, access
from testbed.lab.captured import Fds, captured
from testbed.lab.ending import end
from testbed.lab.load_handle import LoadHandle, LoadResult, Progress, quiet
from testbed.lab.recording import Recording
from testbed.lab.wire import Connection
from testbed.sandbox.guest import JOB
from testbed.traffic.reachability import Reach
from testbed.traffic.spec import LoadSpec

if TYPE_CHECKING:
    from testbed.lab.kernels import Carrier
    from testbed.model.topology import Topology
    from testbed.store import Snapshot


class Lab:
    """A lab that runs. Use as a context manager to have it taken down at the end."""

    def __init__(self, name: str, folder: Path, connection: Connection) -> None:
        self.name = name
        self.folder = folder
        self._connection = connection

    @classmethod
    def up(
        cls,
        topology: Path | str | Topology,
        *,
        name: str | None = None,
        settings: Sequence[str] = (),
        timeout_s: float = 60.0,
        ephemeral: bool = False,
        pin: bool = False,
        carrier: Carrier | None = None,
        on_progress: Progress = quiet,
    ) -> Lab:
        """Bring a lab to what a topology says; returns when every pod answers a packet and every node's
        rules are in place. A lab of that name that runs is changed, only where it differs.

        `settings` are `--set` assignments, for a topology that is a file. An `ephemeral` lab ends with this
        process. `pin` keeps the lab off the last CPU, which is then the generators'. `carrier` is the
        kernel where it has been chosen already. Raises TopologyError,
        MissingFeature, OutOfTimeOrRoom (and then a lab that was started here is taken down).
        """
        from testbed.lab.checks import checks
        from testbed.lab.kernels import choose
        from testbed.lab.starting import start
        from testbed.model.loader import load as load_topology
        from testbed.model.topology import Topology

        source = "" if isinstance(topology, Topology) else str(Path(topology).resolve())
        if not isinstance(topology, Topology):
            topology = load_topology(Path(topology), tuple(settings), checks)
        name = name or topology.name
        sent = _as_sent(topology)
        params = {"topology": sent, "source": source, "timeout_s": timeout_s, "pin": pin}
        with registry.starting(name):
            fresh = not registry.is_alive(registry.folder(name))
            carrier = carrier or (choose([topology], on_progress) if fresh else None)
            env = docker_side.wanted(topology, name) if fresh else {}
            folder = start(name, carrier, env) if fresh and carrier else registry.find(name)
            lab = cls(name, folder, Connection(folder))
            try:
                lab._connection.call("up", params, on_progress=on_progress)
            except BaseException:
                if fresh:
                    lab.down()
                raise
            if fresh and not ephemeral:
                lab._connection.call("keep")
        return lab

    @classmethod
    def attach(cls, name: str) -> Lab:
        """A lab that runs already. Raises NotFound."""
        folder = registry.find(name)
        return cls(name, folder, Connection(folder))

    def another(self) -> Lab:
        """The same lab on a connection of its own, for a thread of its own: a connection takes one call at a
        time. End with `close`.
        """
        return Lab(self.name, self.folder, Connection(self.folder))

    def close(self) -> None:
        """Hang up; the lab goes on."""
        self._connection.close()

    def change(self, topology: Topology, timeout_s: float = 60.0) -> None:
        """Bring the lab to what another topology says, as `up` does where it runs already."""
        sent = _as_sent(topology)
        params = {"topology": sent, "source": "", "timeout_s": timeout_s, "pin": False}
        self._connection.call("up", params)

    def label(self, where: str, labels: Mapping[str, str]) -> None:
        """Give a running pod these labels beside those that it has. Raises NotFound, UsageError."""
        self._connection.call("label", {"where": where, "labels": dict(labels)})

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    def down(self) -> None:
        """End the lab; returns when none of its processes is left. Idempotent."""
        self._connection.close()
        end(self.folder)

    def inspect(self) -> dict[str, Any]:
        """nodes, pods, services, endpoints and ingresses: DESIGN's JSON of `inspect`."""
        result: dict[str, Any] = self._connection.call("inspect")
        return result

    def describe(self, timeout_s: float = 60.0) -> dict[str, Any]:
        """A row of `ls`. Raises OutOfTimeOrRoom where the lab is too busy to say."""
        with self._connection.within(timeout_s):
            result: dict[str, Any] = self._connection.call("describe")
        return result

    def topology(self) -> dict[str, Any]:
        """The topology as the lab has it, resolved."""
        result: dict[str, Any] = self._connection.call("topology")
        return result

    def snapshot(self) -> Snapshot:
        """Every object of the lab's store, as values of this process; versions are not the lab's."""
        from testbed.model.manifest import from_client
        from testbed.store import Create, Store

        store = Store(clock.now_s, self.name)
        manifests = self._connection.call("objects")
        store.apply([Create(from_client(manifest)) for manifest in manifests])
        return store.snapshot()

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC of the kernel that carries the lab: this machine's or a guest's."""
        if not (self.folder / JOB).exists():
            return clock.now_ns()
        now: int = self._connection.call("now_ns")
        return now

    def rules(self, node: str) -> str:
        """The service rules in a node's kernel now, as the tool's save command prints them."""
        text: str = self._connection.call("rules", {"node": node})
        return text

    def ca_certificate(self) -> str:
        """PEM of the lab's own authority, which signs the certificates that `ingress.certificates` asks for."""
        text: str = self._connection.call("ca_certificate")
        return text

    def kubernetes(self) -> Access:
        """Where the lab's Kubernetes API is for clients on this machine, and what lets them in."""
        return access(self._connection)

    def resolve(self, where: str, name: str, rtype: str = "") -> dict[str, Any]:
        """What a pod resolves a name to: DESIGN's JSON of `resolve`. `rtype`: of the records; "": addresses."""
        argv = [sys.executable, "-m", "testbed.dns.client", "-o", "json"]
        argv += ["--resolv-conf", "/etc/resolv.conf", "--type", rtype, "--", name]
        done = self.exec(where, argv, timeout_s=60.0)
        try:
            result: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise TestbedError(f"no answer from the resolver in {where}: {done.stderr}") from None
        return result

    def fault(self, kind: str, *where: str, **options: Any) -> Event:
        """Make something go wrong; returns when it is effective, with the instant in `t_ns`.

        `where` as on the command line: `fault("cut", "n1", "tor1")`, `fault("partition", "n1,n2", "n3")`.
        """
        params = {"kind": kind, "where": list(where), "options": options}
        return Event(**self._connection.call("fault", params))

    def heal(self, *where: str) -> Event:
        """Undo what was done to a pod, a node or a link; `heal("partition")` ends a partition."""
        return self.fault("heal", *where)

    def events(self, since_ns: int = 0) -> list[Event]:
        """What has happened since an instant, in order."""
        rows = self._connection.call("events", {"since_ns": since_ns})
        return [Event(**row) for row in rows]

    def wait_event(self, predicate: Callable[[Event], bool], timeout_s: float) -> Event:
        """The first event, from now on or in the past, that the predicate takes. Raises OutOfTimeOrRoom."""
        deadline = time.monotonic() + timeout_s
        since = 0
        while True:
            left = deadline - time.monotonic()
            params = {"since": since, "timeout_s": max(0.0, left)}
            answer = self._connection.call("next_events", params)
            for row in answer["events"]:
                event = Event(**row)
                if predicate(event):
                    return event
            since = answer["next"]
            if left <= 0:
                raise OutOfTimeOrRoom(f"nothing like it happened within {timeout_s:g} s")

    def watch(
        self, since: int | None = None, last: int = 100, timeout_s: float = 60.0
    ) -> dict[str, Any]:
        """What changes while somebody looks: picks (rows of node, protocol's number, service address,
        endpoint, new connections), lost, events (from number `since`, or the `last` ones), next,
        resource_version, now_ns. Connections are counted from the first call until this connection closes.

        Raises OutOfTimeOrRoom when the lab does not answer.
        """
        with self._connection.within(timeout_s):
            result: dict[str, Any] = self._connection.call("watch", {"since": since, "last": last})
        return result

    def picks(self) -> list[list[Any]]:
        """Rows of `watch` that have been counted so far; counts nothing itself."""
        rows: list[list[Any]] = self._connection.call("picks")
        return rows

    def exec(
        self,
        where: str,
        argv: Sequence[str],
        timeout_s: float | None = None,
        *,
        inside: bool = False,
    ) -> CompletedProcess[str]:
        """Run a command on a node, pod or host with no input; returns its code and what it printed. `inside`:
        see `execute`.

        Raises NotFound, OutOfTimeOrRoom (and then the command was killed).
        """
        env = dict(os.environ)

        def run(fds: Fds) -> int:
            return self.execute(where, argv, fds, env, timeout_s=timeout_s, inside=inside)

        return captured(argv, run)

    def execute(
        self,
        where: str,
        argv: Sequence[str],
        fds: Fds,
        env: Mapping[str, str],
        *,
        timeout_s: float | None = None,
        tty: bool = False,
        inside: bool = False,
    ) -> int:
        """Run a command on these file descriptors; its exit code. It ends with this process at the latest.

        It is a program of this machine, in the place's network and with its names; `inside`: where the place
        is a container of the Docker daemon's, a program of its image, and with its files.
        """
        params = {
            "where": where,
            "argv": list(argv),
            "env": with_tools(env),
            "tty": tty,
            "timeout_s": timeout_s,
            "inside": inside,
        }
        code: int = self._connection.call("exec", params, fds)
        return code

    def reachability(
        self, sources: Sequence[str] = (), targets: Sequence[str] = (), timeout_s: float = 3.0
    ) -> tuple[Reach, ...]:
        """Who reaches whom: every source's attempt at every address of every target, by TCP and by the
        largest UDP packets that their ways take. Left out: every node, outside host and pod that runs.

        A pair that is silent for `timeout_s` does not reach. Raises NotFound, UsageError.
        """
        params = {"sources": list(sources), "targets": list(targets), "timeout_s": timeout_s}
        return tuple(Reach(**row) for row in self._connection.call("reachability", params))

    def paths(
        self, client: str, ways: Mapping[str, Mapping[str, Any]], **settings: Any
    ) -> list[dict[str, Any]]:
        """Latency and throughput of ways from one place, in turn with two plain namespaces: rows of
        `traffic.paths`, whose `main` says what `ways` and `settings` are. Raises NotFound, TestbedError.
        """
        params = {"client": client, "paths": {name: dict(way) for name, way in ways.items()}}
        rows: list[dict[str, Any]] = self._connection.call("paths", {**params, **settings})
        return rows

    def start_load(self, spec: LoadSpec) -> LoadHandle:
        """Begin traffic; it goes on beside this process. Raises NotFound or UsageError at `wait`."""
        return LoadHandle(spec, Connection(self.folder))

    def load(self, spec: LoadSpec, on_progress: Progress = quiet) -> LoadResult:
        """Traffic from beginning to end."""
        return self.start_load(spec).wait(on_progress)

    def start_recording(self) -> None:
        """Note every new connection of every node from now on."""
        self._connection.call("start_recording")

    def stop_recording(self) -> Recording:
        """What was noted since `start_recording`."""
        answer = self._connection.call("stop_recording")
        return Recording(
            Path(answer["entries"]),
            {pod: Path(path) for pod, path in answer["accept_logs"].items()},
            answer["lost"],
            answer["counters"],
            tuple((node, Path(path)) for node, path in answer["picks"]),
        )


def _as_sent(topology: Topology) -> Any:
    """A topology as it passes the control socket."""
    return topology.model_dump(mode="json", by_alias=True, exclude_none=True)
