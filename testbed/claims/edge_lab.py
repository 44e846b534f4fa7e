"""The edge matrix in a lab: the topology of a setting, and what its rows get when they are dialled."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.edge.matrix import (
    APART,
    BACKENDS,
    BALANCER,
    BESIDE,
    NODES,
    OUTSIDE,
    ROWS,
    Attempt,
    Promise,
    Row,
    Setting,
    attempts_of,
    promise,
)
from testbed.errors import TestbedError
from testbed.experiment.trial_lab import TrialLab
from testbed.fabric.plan import plan
from testbed.model.cloud import Program

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


def topology(provider: str) -> dict[str, Any]:
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
        "workloads": {
            **{
                pod.rpartition("-")[0]: {"node": node, "labels": {"serves": "web"}}
                for pod, node in BACKENDS.items()
            },
            **{f"caller-{node}": {"node": node} for node in (BESIDE, APART)},
        },
        "services": {
            policy.lower(): {
                "type": "LoadBalancer",
                "port": 80,
                "targetPort": 8080,
                "selector": {"serves": "web"},
                "externalTrafficPolicy": policy,
            }
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


def balancer(provider: str) -> dict[str, Any]:
    """The topology's `loadBalancer`."""
    if provider in PROGRAMS:
        check = {"like": "gce", "interval": "1s"}
        cloud = {"program": provider, "host": BALANCER, "healthCheck": check}
        return {"provider": "cloud", "addresses": [_ADDRESSES], "cloud": cloud}
    return {"provider": provider, "addresses": [_ROUTED if provider == "bgp" else _ADDRESSES]}


def setting(provider: str, mode: str) -> Setting:
    """Of the topology above."""
    return Setting(mode, provider, routers=1 if provider == "bgp" else 0)


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
    (service,) = (one for one in view["services"] if one["name"] == row.service)
    port = service["ports"][0]
    nodes = {node["name"]: node["addresses"][0] for node in view["nodes"]}
    silent = promise(row, here) == Promise("none")
    return {
        "host": nodes[row.to] if row.to else service["loadBalancerIPs"][0],
        "port": port["nodePort"] if row.to else port["port"],
        "attempts": _SILENT if silent else ATTEMPTS,
        "timeout_s": SILENCE_S if silent else PATIENCE_S,
        "watch": row.client == "outside",
    }


def names(lab: TrialLab, view: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Who has which address, and which MAC address; every router is `router`."""
    fabric = plan(lab.topology())
    ips = {pod["ip"]: pod["name"] for pod in view["pods"]}
    macs: dict[str, str] = {}
    for machine in fabric.machines:
        name = "router" if machine.kind == "router" else machine.name
        for interface in machine.interfaces:
            macs |= {interface.mac: name} if interface.mac else {}
            ips |= {str(address.ip): name for address in interface.addresses}
    return ips, macs
