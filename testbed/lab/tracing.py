"""The evidence of one traced request: packets everywhere, the rules that the kernel says it met, the rules as
they were. What it means is `testbed.trace`'s affair.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from testbed.clock import now_ns
from testbed.command import Command
from testbed.errors import CommandFailed, OutOfTimeOrRoom, TestbedError, UsageError
from testbed.ip import IPAddress, family_of
from testbed.lab import captures, views
from testbed.lab.captures import EVERYWHERE, Captures
from testbed.lab.cluster import Cluster
from testbed.lab.control import Call
from testbed.lab.node import LabNode
from testbed.lab.places import Place, Places
from testbed.lab.targets import endpoints_of
from testbed.runtime.netns import path_of
from testbed.runtime.processes import LabProcess, Processes
from testbed.trace.marking import Request, count, marks, unmarks
from testbed.trace.tools import IPTABLES_LEGACY, IPTABLES_NFT, NFT, Tool, tool_of

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_ANSWER_S = 10.0
_LOOKUP_S = 60.0
_CONNECTIONS = Command(("ipvsadm", "-lnc"))


class Traces:
    """One trace at a time: its rules are the only ones of their kind."""

    def __init__(
        self, cluster: Cluster, places: Places, processes: Processes, taking: Captures, folder: Path
    ) -> None:
        self._cluster = cluster
        self._places = places
        self._processes = processes
        self._captures = taking
        self._folder = folder / "traces"
        self._folder.mkdir(exist_ok=True)
        self._count = 0
        self._lock = asyncio.Lock()

    async def trace(self, call: Call) -> dict[str, Any]:
        """params: source, request (what `traffic.marked` takes). See `trace.evidence` for the answer.

        Raises NotFound, UsageError.
        """
        place = self._places.find(call.params["source"])
        if place.kind in {"router", "switch"}:
            raise UsageError(
                f"{place.name} is a {place.kind}",
                "a trace begins at a pod, a node or an outside host",
            )
        async with self._lock:
            self._count += 1
            path = self._folder / f"{self._count}.pcapng"
            said: dict[str, Any] = {}
            recording = await self._captures.start([EVERYWHERE], {"output": str(path)}, said)
            try:
                evidence = await self._requested(place, call.params["request"])
            finally:
                await captures.ended(recording)
            lost = captures.done(said, recording)["lost"]
            evidence["lost"] += lost
            gateways = await self._gateways()
            return {**evidence, **self._world(place, gateways), "capture": str(path)}

    async def _requested(self, place: Place, request: Mapping[str, Any]) -> dict[str, Any]:
        """Look the name up, mark the request, let it go, and gather what nodes tell."""
        heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        resolv_conf = place.resolver
        config = {**request, "resolv_conf": resolv_conf}
        offsets = [_realtime_offset_ns()]
        process = await self._processes.spawn("marked", config, place.netns, heard.put_nowait)
        try:
            begun = await _next(heard, process, _LOOKUP_S)
            if "error" in begun:
                kind = UsageError if begun["exit_code"] == UsageError.exit_code else TestbedError
                hint = "give an IP address, or a service by its name alone, as in web or web:80"
                raise kind(begun["error"], hint)
            found: dict[str, Any] = {**begun, "report": None, "told": {}, "deaf": {}, "lost": 0}
            if begun["bound"]:
                found |= await self._marked(begun["bound"], request, heard, process)
        finally:
            await process.end()
        offsets.append(_realtime_offset_ns())
        return {**found, "protocol": request["protocol"], "realtime_offset_ns": offsets}

    async def _marked(
        self,
        bound: Mapping[str, Any],
        request: Mapping[str, Any],
        heard: asyncio.Queue[dict[str, Any]],
        process: LabProcess,
    ) -> dict[str, Any]:
        family = family_of(bound["dst"])
        snapshot = self._cluster.store.snapshot()
        protocol = request["protocol"]
        dialled = (bound["dst"], bound["dport"])
        there = endpoints_of(snapshot, *dialled, protocol)
        if (
            self._cluster.topology.network.masquerades
        ):  # its own node may hide it on the way to another
            there = (dialled, *there)
        wanted = Request(protocol, bound["src"], bound["sport"], there)
        nodes = dict(self._cluster.nodes)
        rules = await _of_each(nodes, lambda node: _rules(node, family))
        tools = {name: tool_of(text) for name, text in rules.items()}
        handles = await _of_each(nodes, lambda node: _handles(node, tools[node.name], family))
        async with (
            self._watching(nodes, tools, family) as watch,
            self._marking(nodes, tools, wanted, watch),
        ):
            assert process.channel is not None
            deaf = {name: nodes[name] for name in watch.deaf}
            before = await _of_each(deaf, lambda node: _counters(node, tools[node.name], family))
            process.channel.send({"go": True})
            report = await _next(heard, process, request["timeout_s"] + _ANSWER_S)
            after = await _of_each(deaf, lambda node: _counters(node, tools[node.name], family))
            is_ipvs = self._cluster.proxy_label.startswith("ipvs")
            connections = await _of_each(nodes, _connections) if is_ipvs else {}
            told = await watch.flush()
        return {
            "report": report.get("report"),
            "deaf": watch.deaf,
            "lost": told["lost"],
            "told": {
                name: {
                    "rules": rules[name],
                    "tool": tools[name],
                    "handles": handles[name],
                    "counters": [before[name], after[name]] if name in deaf else None,
                    "marks": count(tools[name], wanted),
                    "hits": told["hits"].get(name, []),
                    "connections": connections.get(name, ""),
                }
                for name in nodes
            },
        }

    @asynccontextmanager
    async def _watching(
        self, nodes: Mapping[str, LabNode], tools: Mapping[str, Tool], family: int
    ) -> AsyncIterator[_Watch]:
        told = {
            name: {
                "netns": path_of(node.namespace),
                "tool": "legacy" if tools[name] == IPTABLES_LEGACY else "nft",
            }
            for name, node in nodes.items()
            if tools[name]
        }
        watch = _Watch()
        config = {"nodes": told, "family": int(_FAMILIES[family])}
        watch.process = await self._processes.spawn("rulewatch", config, on_message=watch.hear)
        assert watch.process.ready is not None
        watch.deaf = watch.process.ready.result().get("deaf", {})
        try:
            yield watch
        finally:
            await watch.process.end(_ANSWER_S)

    @asynccontextmanager
    async def _marking(
        self,
        nodes: Mapping[str, LabNode],
        tools: Mapping[str, Tool],
        wanted: Request,
        watch: _Watch,
    ) -> AsyncIterator[None]:
        """Rules that have the kernel tell; whatever happens, they go again. Where there can be none, the node
        counts as deaf.
        """

        async def mark(node: LabNode) -> None:
            try:
                await node.shell.run_all(marks(tools[node.name], wanted))
            except CommandFailed as error:
                watch.deaf[node.name] = error.message

        async def unmark(node: LabNode) -> None:
            with suppress(CommandFailed):  # where they could not be set
                await node.shell.run_all(unmarks(tools[node.name], wanted))

        marked = {name: node for name, node in nodes.items() if tools[name]}
        try:
            await _of_each(marked, mark)
            yield
        finally:
            await asyncio.shield(_of_each(marked, unmark))

    async def _gateways(self) -> dict[str, list[str]]:
        """Each node's own addresses on the links to its own pods, where pods see it under these."""
        cni = self._cluster.topology.network.cni
        network, nodes = self._cluster.pod_network, dict(self._cluster.nodes)
        if cni.conflist is None:
            bridged = nodes if cni.routes == "weave" else {}
            return {name: list(map(str, network.addresses(name))) for name in bridged}
        found = await _of_each(nodes, _addresses)
        return {
            name: [
                str(ip)
                for ip in dict.fromkeys(ips)
                if any(ip in cidr for cidr in network.of(name).pod_cidrs)
                and ip not in network.addresses(name)
            ]
            for name, ips in found.items()
        }

    def _world(self, place: Place, gateways: Mapping[str, list[str]]) -> dict[str, Any]:
        """Who has which address."""
        cluster = self._cluster
        machines = cluster.machines()
        view = views.inspect(cluster.store.snapshot())
        kind, name = place.kind, place.name.removeprefix("default/")
        if place.pod is not None and place.pod.spec.host_network:
            kind, name = "node", place.node
        of_nodes = {ip for node in view["nodes"] for ip in node["addresses"]}
        return {
            "proxy": cluster.proxy_label,
            "from": {"kind": kind, "name": name, "node": place.node},
            "machines": {
                name: {
                    "kind": kind,
                    "addresses": [str(ip) for ip in cluster.addresses(name)],
                    "overlay": [str(ip) for ip in cluster.pod_network.addresses(name)],
                    "gateways": gateways.get(name, []),
                }
                for name, kind in machines.items()
            },
            "balanced": cluster.load_balancers.led_to,
            "stopped": sorted(cluster.power.off),
            **view,
            "nodes": [node for node in view["nodes"] if not node["fake"]],
            # With hostNetwork a pod has its node's addresses: to a packet it is the node.
            "pods": [pod for pod in view["pods"] if pod["ip"] not in of_nodes],
        }


class _Watch:
    """What rule_watch says."""

    def __init__(self) -> None:
        self.process: LabProcess
        self.deaf: dict[str, str] = {}
        """Nodes whose kernel does not tell, and why."""
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def hear(self, message: dict[str, Any]) -> None:
        self._told.put_nowait(message)

    async def flush(self) -> dict[str, Any]:
        """hits per node so far, lost."""
        assert self.process.channel is not None
        self.process.channel.send({"flush": 1})
        return await _next(self._told, self.process, _ANSWER_S)


async def _next(
    heard: asyncio.Queue[dict[str, Any]], process: LabProcess, timeout_s: float
) -> dict[str, Any]:
    """The next message of a process. Raises OutOfTimeOrRoom, TestbedError where it has ended without one."""
    getting = asyncio.create_task(heard.get())
    ending = asyncio.create_task(process.ended.wait())
    done, pending = await asyncio.wait(
        {getting, ending}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
    )
    for task in pending:
        task.cancel()
    if getting in done:
        return getting.result()
    if ending in done:
        raise TestbedError(f"a process of the trace ended with code {process.code}")
    raise OutOfTimeOrRoom(f"the trace said nothing for {timeout_s:g} s")


async def _of_each(nodes: Mapping[str, LabNode], ask: Any) -> dict[str, Any]:
    """What each node answers, all asked at once."""
    answers = await asyncio.gather(*(ask(node) for node in nodes.values()))
    return dict(zip(nodes, answers, strict=True))


async def _rules(node: LabNode, family: int) -> str:
    proxy = node.proxies.get(family)
    return await proxy.observed() if proxy is not None else ""


async def _handles(node: LabNode, tool: Tool, family: int) -> str:
    """Every rule of nf_tables with its number; iptables-nft's save does not say it."""
    if tool not in (NFT, IPTABLES_NFT):
        return ""
    ip = "ip6" if family == 6 else "ip"
    return await node.shell.output(Command(("nft", "-a", "-y", "-s", "list", "ruleset", ip)))


async def _counters(node: LabNode, tool: Tool, family: int) -> str:
    """Every rule with its packets so far; "" where rules are not counted."""
    if tool not in (IPTABLES_LEGACY, IPTABLES_NFT):
        return ""
    ip = "ip6" if family == 6 else "ip"
    return await node.shell.output(Command((f"{tool.replace('ip', ip, 1)}-save", "-c")))


async def _addresses(node: LabNode) -> list[IPAddress]:
    """All that the kernel has, of CNI plug-ins' bridges and links, too."""
    said = json.loads(await node.shell.output(Command(("ip", "-json", "address"))))
    return [ip_address(one["local"]) for link in said for one in link["addr_info"]]


async def _connections(node: LabNode) -> str:
    """IPVS's own table of connections."""
    return await node.shell.output(_CONNECTIONS)


def _realtime_offset_ns() -> int:
    """CLOCK_REALTIME minus CLOCK_MONOTONIC."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME) - now_ns()
