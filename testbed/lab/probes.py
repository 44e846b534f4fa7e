"""Measuring from the namespaces of several places at once: who reaches whom, and how fast ways are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from testbed.controllers.pod_deletion import TERMINAL_PHASES
from testbed.errors import TestbedError, UsageError
from testbed.lab.cluster import Cluster
from testbed.lab.control import Call
from testbed.lab.places import Place, Places
from testbed.model.objects.pods import Pod
from testbed.runtime.processes import Processes

MOST_PAIRS = 50_000
"""Of a matrix: more would take minutes, and are better asked for in parts."""


class Probes:
    """Each probe is a process of its own, which ends with its work, or its caller."""

    def __init__(self, cluster: Cluster, places: Places, processes: Processes) -> None:
        self._cluster = cluster
        self._places = places
        self._processes = processes

    async def reachability(self, call: Call) -> list[dict[str, Any]]:
        """params: sources, targets (places; none: all that have a network), timeout_s. The fields of
        `traffic.reachability.Reach` of every pair. Raises NotFound, UsageError.
        """
        params = call.params
        everybody = [] if params["sources"] and params["targets"] else self._everybody()
        asking, asked = params["sources"] or everybody, params["targets"] or everybody
        if len(asking) * len(asked) > MOST_PAIRS:
            raise UsageError(
                f"a matrix of {len(asking)} x {len(asked)} places is too large",
                f"name sources or targets: at most {MOST_PAIRS:,} pairs",
            )
        sources, targets = self._named(asking), self._named(asked)
        config = {
            "places": {
                name: {"netns": place.netns, "addresses": self._addresses(place)}
                for name, place in {**sources, **targets}.items()
            },
            "sources": list(sources),
            "targets": list(targets),
            "timeout_s": params["timeout_s"],
        }
        parts = await self._heard("reachability", config, "reaches")
        return [row for part in parts for row in part]

    async def paths(self, call: Call) -> list[dict[str, Any]]:
        """params: client (a place), paths ({name: {dial, serve: a place, port}}) and the rest of what
        `traffic.paths.main` is told. Its rows. Raises NotFound, TestbedError where a way leads nowhere.
        """
        client = self._places.find(call.params["client"]).netns
        paths = {
            name: {**path, "serve": self._places.find(path["serve"]).netns}
            for name, path in call.params["paths"].items()
        }
        mtu = self._cluster.topology.network.mtu
        config = {**call.params, "client": client, "paths": paths, "mtu": mtu}
        return await self._heard("paths", config, "round")

    async def _heard(self, main: str, config: dict[str, Any], key: str) -> list[Any]:
        """Everything that a probe says under that key, until it is done. Raises TestbedError."""
        said: list[dict[str, Any]] = []
        process = await self._processes.spawn(main, config, on_message=said.append)
        try:
            await process.ended.wait()
        finally:
            await process.end()
        if not said or "done" not in said[-1]:
            trouble = next((one["error"] for one in said if "error" in one), "")
            raise TestbedError(trouble or f"the {main} probe ended with code {process.code}")
        return [message[key] for message in said if key in message]

    def _everybody(self) -> list[str]:
        """Nodes that have power, outside hosts, and the pods that have a network of their own."""
        cluster = self._cluster
        machines = [name for name in cluster.machines() if name not in cluster.power.off]
        pods = [
            pod
            for pod in cluster.store.list(Pod)
            if pod.spec.node_name in cluster.nodes
            and pod.status.pod_ips
            and pod.status.phase not in TERMINAL_PHASES
            and not pod.spec.host_network
        ]
        return [*machines, *(f"{pod.meta.namespace}/{pod.meta.name}" for pod in pods)]

    def _named(self, names: Sequence[str]) -> dict[str, Place]:
        """Places by the name that WHERE takes. Raises NotFound."""
        places = map(self._places.find, names)
        return {place.name.removeprefix("default/"): place for place in places}

    def _addresses(self, place: Place) -> list[str]:
        if place.pod is not None:
            return list(place.pod.status.pod_ips)
        return list(map(str, self._cluster.addresses(place.name)))
