"""Traffic on request: a generator process in the place that the load comes from."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from testbed.clock import now_ns
from testbed.errors import NotFound, OutOfTimeOrRoom, TestbedError, UsageError
from testbed.events import Event, Record
from testbed.lab.control import Call
from testbed.lab.places import Place, Places
from testbed.lab.targets import backends_of
from testbed.runtime.processes import LabProcess, Processes
from testbed.store import Snapshot
from testbed.traffic.spec import LoadSpec

_PORTS = 28_000
"""Of a client address: net.ipv4.ip_local_port_range, 32768 to 60999."""
_TIME_WAIT_S = 60.0
_CLOSED_LOOP_RPS = 15_000.0
"""More than one generator opens a second."""
_MOST_ADDRESSES = 64
_END_S = 2.0


class Loads:
    """Starts generators and passes on what they say. `snapshot` is the cluster's state now."""

    def __init__(
        self,
        places: Places,
        processes: Processes,
        folder: Path,
        record: Record,
        snapshot: Callable[[], Snapshot],
    ) -> None:
        self._snapshot = snapshot
        self._places = places
        self._processes = processes
        self._folder = folder / "loads"
        self._folder.mkdir(exist_ok=True)
        self._record = record
        self._count = 0
        self._stops: dict[tuple[int, int], asyncio.Event] = {}
        """Set when a load is to end early; by client and call."""

    async def load(self, call: Call) -> dict[str, Any]:
        """params: spec. What the generator reports, `samples` (the path of its file), and `backends`: the
        pods that could have answered when the load began.
        """
        spec = LoadSpec.from_json(call.params["spec"])
        place = self._places.find(spec.source)
        spec = replace(spec, source_addresses=self._addresses(spec, place))
        namespace = place.pod.meta.namespace if place.pod else "default"
        backends = backends_of(spec.target, namespace, self._snapshot())
        self._count += 1
        output = self._folder / str(self._count)
        config = {
            "spec": spec.to_json(),
            "output": str(output),
            "resolv_conf": place.resolver,
        }
        report: dict[str, Any] = {}

        def hear(message: dict[str, Any]) -> None:
            report.update(message)
            call.progress(message)

        self._note("start", place, {"spec": spec.to_json()})
        stop = asyncio.Event()
        key = (id(call.client), call.ident)
        self._stops[key] = stop
        process = await self._processes.spawn("generator", config, place.netns, hear)
        stopping = asyncio.create_task(_pass_on(stop, process))
        try:
            await process.ended.wait()
        finally:
            stopping.cancel()
            del self._stops[key]
            await process.end(_END_S)
            self._note("end", place, {"label": spec.label})
        if "error" in report:
            raise _error(report)
        if "done" not in report:
            raise TestbedError(f"the generator in {place.name} ended with code {process.code}")
        return {**report, "samples": str(output), "backends": backends}

    async def stop(self, call: Call) -> None:
        """params: id of the load call, which may not have begun yet. Ends it early."""
        stop = self._stops.get((id(call.client), call.params["id"]))
        if stop is None:
            raise NotFound("that load has ended")
        stop.set()

    def _addresses(self, spec: LoadSpec, place: Place) -> tuple[str, ...]:
        if place.pod is None or spec.source_addresses:
            return spec.source_addresses
        runtime = self._places.node_of(place.pod).runtime
        addresses = runtime.client_addresses(place.pod.meta.uid, addresses_needed(spec))
        return tuple(str(ip) for ips in addresses for ip in ips) if len(addresses) > 1 else ()

    def _note(self, kind: str, place: Place, detail: dict[str, Any]) -> None:
        self._record(Event(now_ns(), "load", place.node, kind, place.name, 0, detail))


async def _pass_on(stop: asyncio.Event, process: LabProcess) -> None:
    await stop.wait()
    if process.channel is not None:
        process.channel.send({"stop": True})


def addresses_needed(spec: LoadSpec) -> int:
    """How many addresses keep what lies in TIME_WAIT under half of the ports. Pure."""
    if spec.target.protocol == "udp" or spec.close == "rst":
        return 1
    rate_rps = spec.rate_rps or _CLOSED_LOOP_RPS
    connections = rate_rps * min(spec.duration_s, _TIME_WAIT_S) / spec.reuse
    return min(_MOST_ADDRESSES, max(1, math.ceil(connections / (_PORTS / 2))))


def _error(report: dict[str, Any]) -> TestbedError:
    kinds = {UsageError.exit_code: UsageError, OutOfTimeOrRoom.exit_code: OutOfTimeOrRoom}
    return kinds.get(report.get("exit_code", 1), TestbedError)(report["error"])
