"""A lab's state for the tests of `live`, as its topology foresees it."""

from __future__ import annotations

from typing import Any

from testbed.lab.foreseen import foreseen
from testbed.lab.views import inspect
from testbed.live.tally import Addresses, Picks, Rates, counts, port_rows
from testbed.live.watcher import Glance, Happened
from testbed.model.loader import load_text

TOPOLOGY = """
name: t
nodes: {n1: {}, n2: {}}
dns: {replicas: 0}
workloads: {web: {replicas: 2, port: 8080}, idle: {}, off: {replicas: 0}}
services:
  web: {port: 80, targetPort: 8080, clusterIP: 10.96.0.9, type: NodePort, nodePort: 30080}
  direct: {port: 80, targetPort: 8080, clusterIP: None, selector: {app: web}}
  off: {port: 80, clusterIP: 10.96.0.10}
"""
TCP = 6


def state(text: str = TOPOLOGY) -> dict[str, Any]:
    """What `Lab.inspect` answers."""
    return {
        "name": "t",
        "kernel": "host 6.1",
        "proxy": "iptables-nft",
        **inspect(foreseen(load_text(text))),
    }


def endpoints(inspected: dict[str, Any], service: str = "web") -> list[str]:
    """`ip:port` of a service's endpoints."""
    (found,) = [one for one in inspected["services"] if one["name"] == service]
    return [f"{one['ip']}:{one['port']}" for one in found["endpoints"]]


def glance(
    inspected: dict[str, Any], picks: Picks = (), events: tuple[Happened, ...] = ()
) -> Glance:
    """One second after nobody had been picked."""
    rates = Rates()
    now = counts(picks, Addresses(inspected))
    rates.add(0, {})
    rates.add(10**9, now)
    return Glance(
        at_s=1_700_000_000.0,
        name="t",
        kernel=inspected["kernel"],
        proxy=inspected["proxy"],
        nodes=tuple(inspected["nodes"]),
        pods=tuple(inspected["pods"]),
        ports=port_rows(inspected, now, rates),
        events=events,
        lost=0,
    )


def happened(kind: str, **changes: Any) -> Happened:
    fields: dict[str, Any] = {
        "at_s": 1_700_000_000.0,
        "source": "kubelet",
        "node": "n1",
        "object": "default/web-0",
        "detail": {},
    }
    return Happened(kind=kind, **{**fields, **changes})
