"""Rows: traffic policies, session affinity, topology hints."""

from __future__ import annotations

from tests.flow import DROPPED, LOST, Deviation, Flow
from tests.flows_cluster_ip import KEPT

_FALLS_BACK = "without a local endpoint IPVS takes them all"
_LOST_REPLY = Deviation(
    "without a local endpoint IPVS takes them all, and a remote pod answers past the node",
    otherwise=LOST,
    issue="75262",
)
_LOCAL_FOR_ALL = "one virtual server has one list: pods and nodes get the local endpoints, too"


_OWN_ADDRESS = Deviation(
    "a node dials from the address that it dials, and a remote pod's node has that address, too",
    otherwise=LOST,
)


def _falls_back(source: str, *pods: str) -> dict[str, Deviation]:
    return {"ipvs": Deviation(_FALLS_BACK, dict.fromkeys(pods, source), issue="93456")}


def _only_local(pod: str, source: str) -> dict[str, Deviation]:
    return {"ipvs": Deviation(_LOCAL_FOR_ALL, {pod: source}, issue="66062")}


INTERNAL_POLICY_FLOWS = (
    Flow(
        "internal policy Local leads to this node's pods",
        "dialer-1",
        "internal:80",
        {"web-0": "dialer-1"},
        blind="web-0 web-1",
    ),
    Flow(
        "internal policy Local drops where the node has none",
        "dialer-3",
        "internal:80",
        otherwise=DROPPED,
        deviates=_falls_back("dialer-3", "web-0", "web-1"),
        blind="web-0 web-1",
    ),
    Flow(
        "internal policy Local leads a node to its pods",
        "n1",
        "internal:80",
        {"web-0": "n1"},
        blind="web-0 web-1",
    ),
    Flow(
        "internal policy Local drops a node's packets where it has none",
        "n3",
        "internal:80",
        otherwise=DROPPED,
        deviates=_falls_back("n3", "web-0", "web-1"),
        blind="web-0 web-1",
    ),
    Flow(
        "internal policy Local holds for packets from outside to the cluster IP",
        "client",
        "internal:80",
        {"web-1": "n2"},
        via="n2",
        blind="web-0 web-1",
    ),
    Flow(
        "internal policy Local leads UDP to this node's pods",
        "dialer-1",
        "datagram-in:53",
        {"web-0": "dialer-1"},
        protocol="udp",
        blind="web-0 web-1",
    ),
    Flow(
        "internal policy Local drops UDP where the node has none",
        "dialer-3",
        "datagram-in:53",
        otherwise=DROPPED,
        protocol="udp",
        deviates=_falls_back("dialer-3", "web-0", "web-1"),
        blind="web-0 web-1",
    ),
    Flow(
        "internal policy Local falls back on a terminating pod of the node",
        "dialer-1",
        "draining-in:80",
        {"web-0": "dialer-1"},
        blind="web-1",
    ),
    Flow(
        "internal policy Local drops where not even a terminating pod is local",
        "dialer-3",
        "draining-in:80",
        otherwise=DROPPED,
        deviates=_falls_back("dialer-3", "web-1"),
        blind="web-1",
    ),
    Flow(
        "internal policy Local does not touch the external IP",
        "dialer-3",
        "empty-in-ip:80",
        {"web-1": "n3"},
    ),
    Flow(
        "beside it the cluster IP drops",
        "dialer-3",
        "empty-in:80",
        otherwise=DROPPED,
        deviates=_falls_back("dialer-3", "web-1"),
        blind="web-1",
    ),
)

EXTERNAL_POLICY_FLOWS = (
    Flow(
        "external policy Local keeps the outside client's address",
        "client",
        "n1:30083",
        {"web-0": "client"},
        blind="web-0 web-1",
    ),
    Flow(
        "external policy Local leads to the dialled node's pods",
        "client",
        "n2:30083",
        {"web-1": "client"},
        blind="web-0 web-1",
    ),
    Flow(
        "external policy Local drops where the node has none",
        "client",
        "n3:30083",
        otherwise=DROPPED,
        deviates={"ipvs": _LOST_REPLY},
        blind="web-0 web-1",
    ),
    Flow(
        "external policy Local gives a pod all backends, its address kept",
        "dialer-3",
        "n3:30083",
        KEPT,
    ),
    Flow(
        "external policy Local gives a pod beside a backend all of them",
        "dialer-1",
        "n1:30083",
        {"web-0": "dialer-1", "web-1": "dialer-1"},
        deviates=_only_local("web-0", "dialer-1"),
    ),
    Flow(
        "on another node's port a pod of a third node answers past the one that was dialled",
        "dialer-3",
        "n1:30083",
        {"web-0": "dialer-3"},
        otherwise=LOST,
        deviates=_only_local("web-0", "dialer-3"),
        blind="web-0 web-1",
        masqueraded={"web-0": "n3"},
    ),
    Flow(
        "external policy Local gives a node all backends",
        "n3",
        "n3:30083",
        {"web-0": "n3", "web-1": "n3"},
    ),
    Flow(
        "external policy Local gives a node beside a backend all of them",
        "n1",
        "n1:30083",
        {"web-0": "n1", "web-1": "n1"},
        deviates=_only_local("web-0", "n1"),
    ),
    Flow(
        "to another node's port a node is an outside client",
        "n3",
        "n1:30083",
        {"web-0": "n3"},
        blind="web-0 web-1",
    ),
    Flow(
        "external policy Local does not touch the cluster IP",
        "dialer-3",
        "external:80",
        KEPT,
    ),
    Flow(
        "a load balancer's address with policy Local keeps the client's address",
        "client",
        "external-lb:80",
        {"web-1": "client"},
        via="n2",
        blind="web-0 web-1",
    ),
    Flow(
        "a load balancer's address with policy Local drops where the node has none",
        "client",
        "external-lb:80",
        otherwise=DROPPED,
        via="n3",
        deviates={"ipvs": _LOST_REPLY},
        blind="web-0 web-1",
    ),
    Flow(
        "a load balancer's address with policy Local gives a pod all backends",
        "dialer-3",
        "external-lb:80",
        KEPT,
    ),
    Flow(
        "a load balancer's address with policy Local gives a pod beside a backend all of them",
        "dialer-1",
        "external-lb:80",
        {"web-0": "dialer-1", "web-1": "dialer-1"},
        deviates=_only_local("web-0", "dialer-1"),
    ),
    Flow(
        "a load balancer's address with policy Local gives a node all backends",
        "n3",
        "external-lb:80",
        {"web-0": "n3", "web-1": "n3"},
        deviates={"ipvs": _OWN_ADDRESS},
    ),
    Flow(
        "an external IP with policy Local keeps the client's address",
        "client",
        "outward-in-ip:80",
        {"web-0": "client"},
        via="n1",
        blind="web-0 web-1",
    ),
    Flow(
        "an external IP with policy Local drops where the node has none",
        "client",
        "outward-in-ip:80",
        otherwise=DROPPED,
        via="n3",
        deviates={"ipvs": _LOST_REPLY},
        blind="web-0 web-1",
    ),
    Flow(
        "an external IP with policy Local gives a pod all backends",
        "dialer-3",
        "outward-in-ip:80",
        KEPT,
    ),
    Flow(
        "external policy Local falls back on a terminating pod of the node",
        "client",
        "n1:30088",
        {"web-0": "client"},
        blind="web-1",
    ),
    Flow(
        "beside a ready one on another node it is not used there",
        "client",
        "n2:30088",
        {"web-1": "client"},
    ),
    Flow(
        "nor by policy Cluster, which decides by itself",
        "dialer-1",
        "draining-out:80",
        {"web-1": "dialer-1"},
    ),
    Flow(
        "external policy Local drops where not even a terminating pod is local",
        "client",
        "n3:30088",
        otherwise=DROPPED,
        deviates={"ipvs": _LOST_REPLY},
        blind="web-1",
    ),
    Flow(
        "a load balancer's address falls back on a terminating pod of the node",
        "client",
        "draining-out-lb:80",
        {"web-0": "client"},
        via="n1",
        blind="web-1",
    ),
    Flow(
        "both policies Local: a pod gets its node's backends at the cluster IP",
        "dialer-1",
        "inward:80",
        {"web-0": "dialer-1"},
        blind="web-0 web-1",
    ),
    Flow(
        "both policies Local: the cluster IP drops where the node has none",
        "dialer-3",
        "inward:80",
        otherwise=DROPPED,
        deviates=_falls_back("dialer-3", "web-0", "web-1"),
        blind="web-0 web-1",
    ),
    Flow(
        "both policies Local: an outside client keeps its address",
        "client",
        "n1:30087",
        {"web-0": "client"},
        blind="web-0 web-1",
    ),
    Flow(
        "both policies Local: the node port drops where the node has none",
        "client",
        "n3:30087",
        otherwise=DROPPED,
        deviates={"ipvs": _LOST_REPLY},
        blind="web-0 web-1",
    ),
    Flow(
        "both policies Local: a pod gets all backends at its node's port",
        "dialer-3",
        "n3:30087",
        KEPT,
    ),
    Flow(
        "both policies Local: a pod gets all backends at the load balancer's address",
        "dialer-3",
        "inward-lb:80",
        KEPT,
    ),
)

AFFINITY_FLOWS = (
    Flow(
        "a client of a sticky service gets any backend, and keeps it",
        "dialer-3",
        "sticky:80",
        KEPT,
        sticks=True,
    ),
    Flow(
        "a node that is a client keeps its backend",
        "n1",
        "sticky:80",
        {"web-0": "n1", "web-1": "n1"},
        sticks=True,
    ),
    Flow(
        "a pod that is its own client keeps its backend",
        "web-0",
        "sticky:80",
        {"web-0": "n1", "web-1": "web-0"},
        sticks=True,
    ),
    Flow(
        "a client that pauses longer than the timeout is free again",
        "dialer-3",
        "brief:80",
        {"web-0": "dialer-3", "web-1": "dialer-3", "web-2": "dialer-3", "web-3": "dialer-3"},
        expires=True,
        deviates={
            "ipvs": Deviation(
                "connections in TIME_WAIT keep the client's template",
                {
                    "web-0": "dialer-3",
                    "web-1": "dialer-3",
                    "web-2": "dialer-3",
                    "web-3": "dialer-3",
                },
                issue="89358",
                documented=True,
                kept=True,
            )
        },
    ),
    Flow(
        "a sticky service's first port",
        "dialer-3",
        "sticky-ports:80",
        KEPT,
        sticks=True,
    ),
    Flow(
        "affinity is each port's own",
        "dialer-3",
        "sticky-ports:81",
        {"web-2": "dialer-3"},
        sticks=True,
    ),
    Flow(
        "a sticky service with external policy Local keeps an outside client's address",
        "client",
        "n1:30093",
        {"web-0": "client"},
        sticks=True,
        blind="web-0 web-1",
    ),
    Flow(
        "a sticky load balancer's address gives a pod any backend, and keeps it",
        "dialer-3",
        "sticky-out-lb:80",
        KEPT,
        sticks=True,
    ),
)

TOPOLOGY_FLOWS = (
    Flow(
        "hints lead a pod to the backend of its zone",
        "dialer-1",
        "zoned:80",
        {"web-0": "dialer-1"},
        blind="web-0 web-1",
    ),
    Flow(
        "and a pod of the other zone to the other",
        "dialer-3",
        "zoned:80",
        {"web-1": "dialer-3"},
        blind="web-0 web-1",
    ),
    Flow(
        "hints hold for nodes",
        "n1",
        "zoned:80",
        {"web-0": "n1"},
        blind="web-0 web-1",
    ),
    Flow(
        "hints hold for the node port of policy Cluster",
        "client",
        "n1:30096",
        {"web-0": "n1"},
        blind="web-0 web-1",
    ),
    Flow(
        "on a node of the other zone, too",
        "client",
        "n3:30096",
        {"web-1": "n3"},
        blind="web-0 web-1",
    ),
    Flow(
        "where all have hints for nodes, these come before zones",
        "dialer-3",
        "node-zoned:80",
        {"web-1": "dialer-3"},
        blind="web-0 web-1",
    ),
    Flow(
        "a hint may name several nodes",
        "n2",
        "node-zoned:80",
        {"web-0": "n2"},
        blind="web-0 web-1",
    ),
    Flow(
        "one ready endpoint without a hint, and no hint counts", "dialer-3", "part-zoned:80", KEPT
    ),
    Flow("no hint names this zone: all endpoints", "dialer-3", "far-zoned:80", KEPT),
    Flow(
        "hints do not count for policy Local",
        "dialer-1",
        "zoned-in:80",
        {"web-0": "dialer-1"},
        blind="web-0 web-1",
    ),
    Flow(
        "a terminating endpoint needs no hint",
        "dialer-1",
        "zoned-draining:80",
        {"web-0": "dialer-1"},
        blind="web-0 web-1",
    ),
)
