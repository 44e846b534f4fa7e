"""The supervisor's working half: the control plane behind the control socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed.clock import now_ns
from testbed.errors import NotFound, UsageError
from testbed.kernel.guests import label_here
from testbed.lab import control, views
from testbed.lab.assembly import Parts, assembled
from testbed.lab.cluster import Cluster
from testbed.lab.control import Call, Method
from testbed.lab.injecting import injected
from testbed.lab.journal import Journal, lab_event
from testbed.lab.lazy_api import asked_for
from testbed.lab.names import find
from testbed.lab.settling import settle
from testbed.model.manifest import to_manifest
from testbed.model.objects.kinds import KINDS
from testbed.model.topology import Topology
from testbed.runtime.processes import Processes
from testbed.store import Update

_NEWS_S = 30.0
"""Longest wait of one `next_events` call."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The supervisor's ends of sockets to processes that were forked before it was the control plane."""

    zygote: socket.socket
    outside: socket.socket | None
    """In a lab with containers."""


def run(folder: Path, listener: socket.socket, beside: Beside, patience_s: float) -> int:
    """Be the lab until it is ended; returns the exit code."""
    return asyncio.run(_serve(folder, listener, beside, patience_s))


async def _serve(folder: Path, listener: socket.socket, beside: Beside, patience_s: float) -> int:
    loop = asyncio.get_running_loop()
    service = Service(folder, Processes(beside.zygote, beside.outside))
    loop.add_signal_handler(signal.SIGTERM, service.over.set)
    control.serve(listener, service.methods())
    loop.call_later(patience_s, service.leave_if_alone)
    await service.over.wait()
    # Nothing is closed in order: with this process ends the world that it made.
    os._exit(0)


class Service:
    """One lab, from the first `up` on."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self.over = asyncio.Event()
        self._folder = folder
        self._processes = processes
        self._journal = Journal()
        self._source = ""
        self._since_ns = now_ns()
        self._up = asyncio.Lock()
        self._built: Parts | None = None
        self._life: asyncio.Task[None] | None = None

    def methods(self) -> dict[str, Method]:
        """What the control socket answers to."""
        return {
            "up": self.up,
            "keep": self.keep,
            "inspect": self.inspect,
            "describe": self.describe,
            "topology": self.topology,
            "objects": self.objects,
            "rules": self.rules,
            "ca_certificate": self.ca_certificate,
            "fault": self.fault,
            "label": self.label,
            "now_ns": self.now_ns,
            "events": self.events,
            "next_events": self.next_events,
            "watch": self.watch,
            "picks": self.picks,
            "start_recording": self.start_recording,
            "stop_recording": self.stop_recording,
            "exec": self.execute,
            "signal": self.signal,
            "load": self.load,
            "stop_load": self.stop_load,
            "capture": self.capture,
            "stop_capture": self.stop_capture,
            "trace": self.trace,
            "reachability": self.reachability,
            "paths": self.paths,
            "api": self.api,
            "listen_api": self.listen_api,
        }

    async def up(self, call: Call) -> None:
        """params: topology, source, timeout_s, pin. Returns when the lab is as the topology says."""
        topology = Topology.model_validate(call.params["topology"])
        async with self._up:
            if self._built is None:
                if call.params["pin"]:
                    _leave_last_cpu()
                self._life = asyncio.create_task(self._end_with(call.client))
                self._built = assembled(topology, self._folder, self._processes, self._journal)
            cluster = self._built.cluster
            self._source = call.params["source"] or self._source
            self._journal.record(lab_event("up", topology=topology.name))
            if asked_for(topology):
                await self._built.api.opened()
            await cluster.apply(topology)
            await settle(cluster, call.params["timeout_s"], call.progress)
            self._journal.record(lab_event("ready"))

    async def keep(self, call: Call) -> None:
        """From now on the lab stays until it is ended, and not only as long as who started it."""
        if self._life is not None:
            self._life.cancel()

    async def _end_with(self, client: control.Client) -> None:
        await client.gone.wait()
        self.over.set()

    def leave_if_alone(self) -> None:
        """End if nobody has asked for anything yet."""
        if self._built is None:
            self.over.set()

    async def inspect(self, call: Call) -> dict[str, Any]:
        """DESIGN's JSON of `inspect`."""
        cluster = self._running()
        head = {
            "name": self._folder.name,
            "kernel": label_here(),
            "proxy": cluster.proxy_label,
            "podNetwork": cluster.pod_network.view(),
            "loadBalancer": cluster.load_balancers.view(),
        }
        view = views.inspect(cluster.store.snapshot(), cluster.power.off, cluster.touch.lost)
        return {**head, **view, **cluster.link_faults.view()}

    async def describe(self, call: Call) -> dict[str, Any]:
        """A row of `ls`; `since` is seconds ago."""
        cluster = self._running()
        return {
            "name": self._folder.name,
            "topology": self._source or cluster.topology.name,
            "kernel": label_here(),
            **views.numbers(cluster.store.snapshot()),
            "missingImages": cluster.docker.missing_images(),
            "since_s": (now_ns() - self._since_ns) / 1e9,
        }

    async def topology(self, call: Call) -> dict[str, Any]:
        """The topology, resolved, as JSON."""
        topology = self._running().topology
        return topology.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def objects(self, call: Call) -> list[dict[str, Any]]:
        """Every object of the store as its manifest, a kind after the other."""
        tables = self._running().store.snapshot().tables
        return [to_manifest(item) for kind in KINDS for item in tables.get(kind, {}).values()]

    async def rules(self, call: Call) -> str:
        """params: node. What the rule tool prints there now."""
        return await self._running().node(call.params["node"]).rules()

    async def ca_certificate(self, call: Call) -> str:
        """Of the lab's own authority (PEM)."""
        return self._running().ingress.authority.ca_pem

    async def fault(self, call: Call) -> dict[str, Any]:
        """params: kind, where (a list), options. The event of the fault."""
        params = call.params
        event = await injected(
            self._running(), params["kind"], tuple(params["where"]), params["options"]
        )
        self._journal.record(event)
        return event.to_json()

    async def label(self, call: Call) -> None:
        """params: where (a pod), labels. They are added to what it has, as by `kubectl label --overwrite`."""
        cluster = self._running()
        kind, name, pod = find(call.params["where"], cluster.store.snapshot(), cluster.machines())
        if pod is None:
            raise UsageError(f"{name} is a {kind}", "only pods are relabelled")
        labels = {**pod.meta.labels, **call.params["labels"]}
        cluster.store.apply([Update(replace(pod, meta=replace(pod.meta, labels=labels)))])

    async def now_ns(self, call: Call) -> int:
        """CLOCK_MONOTONIC of the kernel that carries the lab."""
        return now_ns()

    async def events(self, call: Call) -> list[dict[str, Any]]:
        """params: since_ns."""
        return [event.to_json() for event in self._journal.since_ns(call.params["since_ns"])]

    async def next_events(self, call: Call) -> dict[str, Any]:
        """params: since (a number), timeout_s. Events from that number on, and the next number."""
        timeout_s = min(_NEWS_S, call.params["timeout_s"])
        events, following = await self._journal.after(call.params["since"], timeout_s)
        return {"events": [event.to_json() for event in events], "next": following}

    async def watch(self, call: Call) -> dict[str, Any]:
        """params: since (a number of `next_events`, or None: the last `last` ones). What changes while
        somebody looks: connections are counted from the first call on, until its client hangs up.
        """
        meter = self._parts().meter
        await meter.watch(call.client)
        since = call.params["since"]
        if since is None:
            since = max(0, self._journal.count - call.params["last"])
        events, following = await self._journal.after(since, 0.0)
        return {
            "now_ns": now_ns(),
            "resource_version": self._running().store.resource_version,
            "picks": meter.picks(),
            "lost": meter.lost,
            "events": [event.to_json() for event in events],
            "next": following,
        }

    async def picks(self, call: Call) -> list[list[Any]]:
        """See `Meter.picks`: what was counted so far."""
        return self._parts().meter.picks()

    async def execute(self, call: Call) -> int:
        """See `Execution.execute`."""
        return await self._parts().execution.execute(call)

    async def signal(self, call: Call) -> None:
        """See `Execution.signal`."""
        await self._parts().execution.signal(call)

    async def load(self, call: Call) -> dict[str, Any]:
        """See `Loads.load`."""
        return await self._parts().loads.load(call)

    async def stop_load(self, call: Call) -> None:
        """See `Loads.stop`."""
        await self._parts().loads.stop(call)

    async def capture(self, call: Call) -> dict[str, Any]:
        """See `Captures.capture`."""
        return await self._parts().captures.capture(call)

    async def stop_capture(self, call: Call) -> None:
        """See `Captures.stop`."""
        await self._parts().captures.stop(call)

    async def trace(self, call: Call) -> dict[str, Any]:
        """See `Traces.trace`."""
        return await self._parts().traces.trace(call)

    async def reachability(self, call: Call) -> list[dict[str, Any]]:
        """See `Probes.reachability`."""
        return await self._parts().probes.reachability(call)

    async def paths(self, call: Call) -> list[dict[str, Any]]:
        """See `Probes.paths`."""
        return await self._parts().probes.paths(call)

    async def api(self, call: Call) -> dict[str, Any]:
        """See `LazyApi.access`: who asks first opens it."""
        return await self._parts().api.access()

    async def listen_api(self, call: Call) -> dict[str, Any]:
        """params: address; a listening socket. See `LazyApi.listen`."""
        return await self._parts().api.listen(call)

    async def start_recording(self, call: Call) -> None:
        """Note connections from now on."""
        await self._parts().recordings.start()

    async def stop_recording(self, call: Call) -> dict[str, Any]:
        """What was noted."""
        return await self._parts().recordings.stop()

    def _running(self) -> Cluster:
        return self._parts().cluster

    def _parts(self) -> Parts:
        if self._built is None or not self._built.cluster.applied:
            raise NotFound(f"lab {self._folder.name!r} is only starting")
        return self._built


def _leave_last_cpu() -> None:
    """Keep the control plane and the servers off the generators' CPU, where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        for task in os.listdir("/proc"):
            if task.isdigit():
                os.sched_setaffinity(int(task), set(cpus[:-1]))
