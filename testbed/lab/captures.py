"""Packets of a place on request: a capture process, whose output goes to whoever asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from testbed.errors import NotFound, OutOfTimeOrRoom, UsageError
from testbed.lab.cluster import Cluster
from testbed.lab.control import Call
from testbed.lab.places import Place, Places
from testbed.model.objects.pods import Pod
from testbed.podnet.link import POD_INTERFACE
from testbed.runtime.netns import path_of
from testbed.runtime.processes import LabProcess, Processes

EVERYWHERE = "all"
_END_S = 30.0
"""What has been captured is written first, however busy the machine is."""


class Captures:
    """Starts captures; each ends with its caller at the latest."""

    def __init__(self, cluster: Cluster, places: Places, processes: Processes) -> None:
        self._cluster = cluster
        self._places = places
        self._processes = processes
        self._running: dict[tuple[int, int], LabProcess] = {}

    async def capture(self, call: Call) -> dict[str, Any]:
        """params: where (places, or `all`), interface, program, count, duration_s; two file descriptors, of
        which the second takes the pcapng stream. {frames, lost} at the end. Raises NotFound, UsageError.
        """
        if len(call.fds) != 2:
            raise UsageError("capture needs a place to write to")
        params = call.params
        config = {
            name: params.get(name) for name in ("interface", "program", "count", "duration_s")
        }
        config["output"] = path_of(call.fds[1])
        said: dict[str, Any] = {}
        process = await self.start(params["where"], config, said)
        if "error" in said:
            done(said, process)
        key = (id(call.client), call.ident)
        self._running[key] = process
        call.progress({"started": True})
        try:
            await process.ended.wait()
        finally:
            del self._running[key]
            await process.end(_END_S)
        return done(said, process)

    async def stop(self, call: Call) -> None:
        """params: id of the capture call. What has come by now is still written."""
        process = self._running.get((id(call.client), call.params["id"]))
        if process is None or process.channel is None:
            raise NotFound("that capture has ended")
        process.channel.send({"stop": True})

    async def start(
        self, where: Iterable[str], config: dict[str, Any], said: dict[str, Any]
    ) -> LabProcess:
        """A capture process that listens; `said` takes what it says."""
        config["places"] = [self._described(place) for place in self._find(where)]
        return await self._processes.spawn("capture", config, on_message=said.update)

    def _find(self, where: Iterable[str]) -> list[Place]:
        names = list(dict.fromkeys(where))
        if names == [EVERYWHERE] and EVERYWHERE not in self._cluster.places():
            pods = [
                pod
                for pod in self._cluster.store.list(Pod)
                if pod.status.pod_ip
                and pod.spec.node_name in self._cluster.nodes
                and not pod.spec.host_network  # it is its node
            ]
            names = [
                *(one for one in self._cluster.machines() if one not in self._cluster.power.off),
                *(f"{p.meta.namespace}/{p.meta.name}" for p in pods),
            ]
        return [self._places.find(name) for name in names]

    def _described(self, place: Place) -> dict[str, Any]:
        name = place.name.removeprefix("default/")
        return {"name": name, "netns": place.netns, "about": self._about(place)}

    def _about(self, place: Place) -> dict[str, str]:
        """What hangs on an interface, where its name does not say so."""
        if place.pod is not None:
            return {POD_INTERFACE: f"pod {place.name} on {place.node}"}
        if place.kind != "node":
            return {}
        runtime = self._cluster.node(place.name).runtime
        links = runtime.links()
        return {
            links[pod.meta.uid]: f"link to pod {pod.meta.namespace}/{pod.meta.name}"
            for pod in self._cluster.store.list(Pod)
            if pod.meta.uid in links
        }


def done(said: dict[str, Any], process: LabProcess) -> dict[str, Any]:
    """{frames, lost} of a capture that has ended. Raises UsageError, OutOfTimeOrRoom."""
    if "error" in said:
        raise UsageError(said["error"], "`testbed exec LAB WHERE -- ip link` lists them")
    if "done" not in said:
        raise OutOfTimeOrRoom(f"the capture ended with code {process.code}")
    answer: dict[str, Any] = said["done"]
    return answer


async def ended(process: LabProcess) -> None:
    """Ask a capture to end, and wait until it has written everything."""
    if process.channel is not None:
        process.channel.send({"stop": True})
    try:
        await asyncio.wait_for(process.ended.wait(), _END_S)
    except TimeoutError:
        await process.end()
