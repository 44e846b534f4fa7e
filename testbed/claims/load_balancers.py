"""Services of type LoadBalancer with a provider, as kubernetes.io describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testbed.claims.claim import Claim, Observation, still
from testbed.claims.entries import ip_of
from testbed.claims.judging import always, saw
from testbed.claims.stage import OUTSIDE, Stage

ATTEMPTS = 8
"""Dials of each address: enough that not all of them find one backend by chance."""
HEALTH_PORT = 32100
"""healthCheckNodePort of the service with policy Local."""
PORT = 80
_SILENCE_S = 0.5
"""Where a packet should be dropped, this is waited for."""

Rows = Sequence[Mapping[str, Any]]


def observe(stage: Stage) -> Mapping[str, Observation]:
    """Every address dialled from outside, and each node asked whether it takes the Local one's traffic."""
    addresses = {
        name: outside_address(stage, name)
        for name in ("outward", "near", "guarded", "admitted", "sticky")
    }
    wanted = {
        name: [{"host": address, "port": PORT}] * (1 if name == "guarded" else ATTEMPTS)
        for name, address in addresses.items()
    }
    wanted["guarded"] = [{**one, "timeout_s": _SILENCE_S} for one in wanted["guarded"]]
    asked = [
        {"host": ip, "port": HEALTH_PORT, "path": "/healthz", "node": node}
        for node, ip in stage.nodes.items()
    ]
    answers = stage.ask(OUTSIDE, dial_in_turn=list(wanted.values()), fetch=asked)
    found = dict(zip(wanted, answers["dial_in_turn"], strict=True))
    return {
        "external-address-reachable": _answered(found["outward"]),
        "cluster-obscures-source": _seen(found["outward"], set(stage.nodes.values()), "a node"),
        "local-keeps-source": _seen(found["near"], None, "the client"),
        "local-only-local-endpoints": _near(stage, found["near"]),
        "health-check-node-port": _health(answers["fetch"], stage),
        "source-ranges-keep-out": _silent(found["guarded"]),
        "source-ranges-let-in": _answered(found["admitted"]),
        "affinity-by-external-address": _one(found["sticky"]),
    }


def outside_address(stage: Stage, service: str) -> str:
    """The address that a provider gave a service; "" where there is none."""
    return str(next(iter(stage.service(service)["loadBalancerIPs"]), ""))


def _answered(rows: Rows) -> Observation:
    wrong = [f"{row['host']}: {row['error']}" for row in rows if not row["who"]]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


def _silent(rows: Rows) -> Observation:
    wrong = [f"{row['who']} answered at {row['host']}" for row in rows if row["who"]]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


def _seen(rows: Rows, allowed: set[str] | None, who: str) -> Observation:
    """Whether pods saw one of these addresses; None: that of who dialled."""
    answered = [row for row in rows if row["who"]]
    wrong = [
        f"{row['who']} saw {row['seen']} where {who} was to be seen, {row['own']} dialled"
        for row in answered
        if ip_of(row["seen"]) not in (allowed or {ip_of(row["own"])})
    ]
    exception = wrong[0] if wrong else "" if answered else "nobody answered"
    return saw(len(rows), len(answered) - len(wrong), exception)


def _near(stage: Stage, rows: Rows) -> Observation:
    """Whether the service's one endpoint answered every connection, whose node therefore took them all."""
    home = stage.backends("lone")[0]
    wrong = [f"{row['who'] or row['error']} answered" for row in rows if row["who"] != home.name]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


def _health(rows: Rows, stage: Stage) -> Observation:
    """200 where there is an endpoint, 503 where there is none."""
    home = stage.backends("lone")[0].node
    wrong = [
        f"{row['node']} said {row['status'] or row['error']}"
        for row in rows
        if row["status"] != (200 if row["node"] == home else 503)
    ]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


def _one(rows: Rows) -> Observation:
    """Whether one pod answered all of them."""
    first = rows[0]["who"]
    wrong = [f"{first}, then {row['who'] or row['error']}" for row in rows if row["who"] != first]
    return saw(len(rows), len(rows) - len(wrong) if first else 0, *wrong[:1])


SCENE = still(observe)


def _said(name: str, says: str, holds_if: str) -> Claim:
    return Claim(name, says, "documentation", holds_if, SCENE, always)


CLAIMS = (
    _said(
        "external-address-reachable",
        "Clients outside reach a service of type LoadBalancer at its external address.",
        "every attempt from outside at the address is answered",
    ),
    _said(
        "cluster-obscures-source",
        "External traffic policy Cluster obscures the client's address.",
        "the pod sees a node's address in every connection from outside",
    ),
    _said(
        "local-keeps-source",
        "External traffic policy Local preserves the client's address.",
        "the pod sees the client's own address in every connection from outside",
    ),
    _said(
        "local-only-local-endpoints",
        "External traffic policy Local avoids a second hop.",
        "the address leads to the node of the one endpoint, which answers every connection",
    ),
    _said(
        "health-check-node-port",
        "A node without a ready endpoint fails the health check node port, others pass it.",
        "GET /healthz is answered 200 by the node of the endpoint and 503 by every other",
    ),
    _said(
        "source-ranges-keep-out",
        "loadBalancerSourceRanges keeps clients with other addresses out.",
        "a client that is in none of the ranges gets no answer",
    ),
    _said(
        "source-ranges-let-in",
        "loadBalancerSourceRanges lets clients with these addresses in.",
        "a client that is in one of the ranges is answered in every attempt",
    ),
    _said(
        "affinity-by-external-address",
        "Session affinity ClientIP holds by the external address, too.",
        "one pod answers all connections of a client",
    ),
)
