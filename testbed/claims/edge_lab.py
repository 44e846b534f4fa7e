"""The edge matrix in a lab: the topology of a setting, and what its rows get when they are dialled."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.edge.doors import (
    ADDRESS,
    APART,
    BACKENDS,
    BALANCER,
    BESIDE,
    CONTROLLERS,
    NODES,
    OUTSIDE,
    ROWS,
    Row,
)
from testbed.edge.matrix import Attempt, attempts_of
from testbed.edge.promises import NOBODY, Setting, promise
from testbed.errors import TestbedError
from testbed.experiment.trial_lab import TrialLab
from testbed.fabric.plan import plan
from testbed.model.cloud import Program
from testbed.model.ingress import Ingress
from testbed.model.ingress_objects import HEALTH_PORT, IMAGE, NAMESPACE

PROBE = Path(__file__).with_name("way_probe.py")
PROGRAMS: tuple[Program, ...] = ("haproxy", "nftables", "ipvs")
PROVIDERS = ("l2", "bgp", *PROGRAMS)
"""Of a load balancer's address; a cloud's balancer is named after its program."""
ATTEMPTS = 4
"""Of each row: enough that nearly always both endpoints have their turn."""
_SILENT = 1
"""Where nobody should answer, each attempt is waited for to its end."""
SILENCE_S, PATIENCE_S = 1.5, 20.0
"""How long is waited where nobody should answer, and where somebody should: a machine may be busy."""
_ADDRESSES = "172.18.255.200-172.18.255.219"
_ROUTED = "192.0.2.0/28"
_ROUTER = "r1"


def topology(provider: str, profile: str = "documented") -> dict[str, Any]:
    """Two services with the same endpoints on two of three nodes, a service for each policy; callers beside an
    endpoint, on the node without, and outside. With BGP the outside client is behind a router.
    """
    found: dict[str, Any] = {
        "name": "edge",
        "dns": {"replicas": 0},
        # An HAProxy outside knows no way back to pods, which therefore come as their nodes.
        "network": {"ipMasq": True},
        "nodes": {node: {} for node in NODES},
        "hosts": {OUTSIDE: {}},
        "loadBalancer": balancer(provider),
        # In mode ipvs every node has the balancers' addresses, and would answer ARP for them, too.
        "proxy": {"profile": profile, "ipvs": {"strictARP": True}},
        "workloads": {
            **{
                pod.rpartition("-")[0]: {"node": node, "labels": {"serves": "web"}}
                for pod, node in BACKENDS.items()
            },
            **{f"caller-{node}": {"node": node} for node in (BESIDE, APART)},
        },
        "services": {
            policy.lower(): _service(policy, {"targetPort": 8080, "selector": {"serves": "web"}})
            for policy in ("Cluster", "Local")
        },
    }
    if provider == "bgp":
        found["routers"] = {_ROUTER: {"asn": 64500}}
        found["links"] = [
            *({"endpoints": [node, "tor1"]} for node in NODES),
            {"endpoints": ["tor1", _ROUTER]},
            {"endpoints": [_ROUTER, OUTSIDE]},
        ]
    return found


def with_ingress(topology: Mapping[str, Any]) -> dict[str, Any]:
    """That with ingress controllers: one at a node's own address, two behind services of each policy."""
    spec = {"defaultBackend": {"service": {"name": "cluster", "port": {"number": 80}}}}
    ready = {"httpGet": {"path": "/healthz", "port": HEALTH_PORT}, "periodSeconds": 1}
    controllers = {
        pod.rpartition("-")[0]: {
            "namespace": NAMESPACE,
            "node": node,
            "image": IMAGE,
            "port": 80,
            "labels": {"serves": "ingress"},
            "readinessProbe": ready,
        }
        for pod, node in CONTROLLERS.items()
    }
    own = {"namespace": NAMESPACE, "targetPort": 80, "selector": {"serves": "ingress"}}
    return {
        **topology,
        "ingress": {"nodeSelector": {"kubernetes.io/hostname": BESIDE}},
        "workloads": topology["workloads"] | controllers,
        "services": topology["services"]
        | {f"ingress-{policy.lower()}": _service(policy, own) for policy in ("Cluster", "Local")},
        "manifests": [
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": "web"},
                "spec": spec,
            }
        ],
    }


def _service(policy: str, own: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "LoadBalancer", "port": 80, "externalTrafficPolicy": policy, **own}


def balancer(provider: str) -> dict[str, Any]:
    """The topology's `loadBalancer`."""
    if provider in PROGRAMS:
        check = {"like": "gce", "interval": "1s"}
        cloud = {"program": provider, "host": BALANCER, "healthCheck": check}
        return {"provider": "cloud", "addresses": [_ADDRESSES], "cloud": cloud}
    return {"provider": provider, "addresses": [_ROUTED if provider == "bgp" else _ADDRESSES]}


def setting(provider: str, mode: str, profile: str = "documented") -> Setting:
    """Of the topologies above."""
    return Setting(mode, provider, 1 if provider == "bgp" else 0, profile)


def dialled(
    lab: TrialLab, here: Setting, rows: Sequence[Row] = ROWS
) -> dict[str, tuple[Attempt, ...]]:
    """What each row gets, by its name; all callers dial at the same time."""
    view = lab.inspect()
    callers = list(dict.fromkeys(row.caller for row in rows))
    mine = {caller: [row for row in rows if row.caller == caller] for caller in callers}
    started = {
        caller: lab.begin(
            caller,
            [
                sys.executable,
                "-S",
                "-E",
                str(PROBE),
                json.dumps([_target(view, row, here) for row in some]),
            ],
            timeout_s=120.0,
        )
        for caller, some in mine.items()
    }
    ips, macs = names(lab, view)
    found: dict[str, tuple[Attempt, ...]] = {}
    for caller, running in started.items():
        done = running.result()
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise TestbedError(f"the probe on {caller} ended with {done.returncode}: {last}")
        for row, answers in zip(mine[caller], json.loads(done.stdout), strict=True):
            found[row.name] = attempts_of(answers, ips, macs)
    return found


def _target(view: Mapping[str, Any], row: Row, here: Setting) -> dict[str, Any]:
    nodes = {node["name"]: node["addresses"][0] for node in view["nodes"]}
    silent = promise(row, here) == NOBODY
    host, port = nodes.get(row.to, ""), Ingress().http_port
    if row.service in (services := {one["name"]: one for one in view["services"]}):
        service = services[row.service]
        ports = service["ports"][0]
        port = ports["nodePort"] if host else ports["port"]
        host = host or service["loadBalancerIPs"][0]
    return {
        "host": host,
        "port": port,
        "attempts": _SILENT if silent else ATTEMPTS,
        "timeout_s": SILENCE_S if silent else PATIENCE_S,
        "watch": row.client == "outside",
        "ingress": row.ingress,
    }


def names(lab: TrialLab, view: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Who has which address, and which MAC address; every router is `router`."""
    fabric = plan(lab.topology())
    ips = {pod["ip"]: pod["name"] for pod in view["pods"]}
    ips |= {ip: ADDRESS for one in view["services"] for ip in one["loadBalancerIPs"]}
    macs: dict[str, str] = {}
    for machine in fabric.machines:
        name = "router" if machine.kind == "router" else machine.name
        for interface in machine.interfaces:
            macs |= {interface.mac: name} if interface.mac else {}
            ips |= {str(address.ip): name for address in interface.addresses}
    return ips, macs
