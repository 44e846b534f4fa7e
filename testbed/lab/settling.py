"""Waiting until a cluster is what its topology says: every pod answers, every node's rules are in place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from testbed.clock import now_s
from testbed.controllers.pod_deletion import TERMINAL_PHASES
from testbed.errors import OutOfTimeOrRoom
from testbed.ip import IPAddress
from testbed.lab import proof
from testbed.lab.cluster import Cluster
from testbed.lab.node import LabNode
from testbed.lab.node_proxy import NodeProxy
from testbed.lab.proxies import EXTERNAL
from testbed.lab.settled import missing
from testbed.model.objects.pods import Pod

PROXY_PATIENCE_S = 1.0
"""A new node's proxy waits for all pods to be ready before it writes its first rules, until nothing has moved
for this long."""
_REST = 9.0
"""After a look at what is missing comes a rest of this many times as long: the pods need the CPU more."""
Progress = Callable[[str], None]


async def settle(cluster: Cluster, timeout_s: float, progress: Progress) -> None:
    """Return when every pod answers a packet and every node's rules are in place.

    Raises OutOfTimeOrRoom that says what is still missing.
    """
    deadline_s = now_s() + timeout_s
    lacking = ""

    def say(what: str) -> None:
        nonlocal lacking
        lacking = what
        progress(what)

    try:
        async with asyncio.timeout(timeout_s):
            await _control_plane_settled(cluster, say)
            say(f"the pod network{_pod_network_trouble(cluster)}")
            await cluster.pod_network.settled(say)
            _start_proxies(cluster)
            say(_what_proxies_promise(cluster))
            version = cluster.store.resource_version
            await asyncio.gather(*(proxy.synced(version) for _, proxy in _proxies(cluster)))
            if cluster.ingress.running:
                say("what the ingress controllers serve")
                await cluster.ingress.synced(version)
            await cluster.load_balancers.settled(say)
    except TimeoutError:
        raise OutOfTimeOrRoom(
            f"not ready after {timeout_s:g} s: {lacking}{_proxy_trouble(cluster)}",
            "give it longer with --timeout, or see why with `testbed inspect`",
        ) from None
    progress("a packet from every pod")
    silent = await proof.unanswered(_pings(cluster), max(1.0, deadline_s - now_s()))
    if silent:
        shown = ", ".join(map(str, sorted(silent, key=str)[:5]))
        raise OutOfTimeOrRoom(f"{len(silent)} addresses answer no packet: {shown}")
    if cluster.topology.network.cni.conflist is not None:
        progress("the CNI plug-ins' own CHECK of every pod")
        nodes = cluster.nodes.values()
        for found in await asyncio.gather(*(node.runtime.check_links() for node in nodes)):
            for trouble in found:
                progress(f"CHECK: {trouble} (disableCheck: true in the list: not asked)")


async def _control_plane_settled(cluster: Cluster, progress: Progress) -> None:
    """Return when every pod is ready and no controller has anything to write."""
    # Rules that change with every pod that starts are work for nothing; but a pod may need a service to
    # become ready.
    later = asyncio.get_running_loop().call_later
    patience = later(PROXY_PATIENCE_S, _start_proxies, cluster)
    told = ""
    try:
        while True:
            cluster.changed.clear()
            began_s = now_s()
            lacking = missing(cluster.store.snapshot(), cluster.controllers, began_s)
            if not lacking:
                return
            if lacking != told:
                patience.cancel()
                patience = later(PROXY_PATIENCE_S, _start_proxies, cluster)
                told = lacking
                progress(lacking)
            await asyncio.sleep(_REST * (now_s() - began_s))
            await cluster.changed.wait()
    finally:
        patience.cancel()


def _start_proxies(cluster: Cluster) -> None:
    for node in cluster.nodes.values():
        node.start_proxy()


def _proxies(cluster: Cluster) -> Iterator[tuple[LabNode, NodeProxy]]:
    for node in cluster.nodes.values():
        for proxy in node.proxies.values():
            yield node, proxy


def _pod_network_trouble(cluster: Cluster) -> str:
    return f": {cluster.pod_network.trouble}" if cluster.pod_network.trouble else ""


def _proxy_trouble(cluster: Cluster) -> str:
    """What the first proxy whose rules were refused says; "" when all are well."""
    errors = (f"; {node.name}: {proxy.error}" for node, proxy in _proxies(cluster) if proxy.error)
    return next(errors, "")


def _what_proxies_promise(cluster: Cluster) -> str:
    proxy = cluster.topology.proxy
    if proxy.mode != EXTERNAL:
        return "rules on every node"
    if proxy.external.ready is None:
        return "the external proxy runs on every node (without proxy.external.ready: no more than that)"
    return "the external proxy is ready on every node"


def _pings(cluster: Cluster) -> dict[int, list[IPAddress]]:
    """Whom each namespace asks: every pod is asked by one, every node by every outside host."""
    by_node: dict[str, list[IPAddress]] = {}
    for pod in cluster.store.list(Pod):
        over = pod.status.phase in TERMINAL_PHASES
        addresses = map(ip_address, () if over else pod.status.pod_ips)
        by_node.setdefault(pod.spec.node_name, []).extend(addresses)
    pings = {
        cluster.nodes[name].namespace: targets
        for name, targets in proof.sources(list(cluster.nodes), by_node).items()
    }
    machines = [ip for node in cluster.nodes.values() for ip in node.addresses]
    hosts = [name for name, kind in cluster.machines().items() if kind == "host"]
    return pings | {cluster.namespace(host): machines for host in hosts}
