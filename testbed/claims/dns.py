"""Names of pods and of addresses: who has one, and where it leads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from testbed.claims.claim import Claim, Observation, still
from testbed.claims.judging import always, saw
from testbed.claims.names import HEADLESS
from testbed.claims.stage import Stage
from testbed.experiment.subjects import PodRef

Rows = Mapping[str, Mapping[str, Any]]
"""What was found, by what was asked for."""


def observe(stage: Stage) -> Mapping[str, Observation]:
    """Names and addresses looked up by a pod on each node with the C library."""
    domain = stage.lab.topology().dns.domain
    pods, service = stage.backends("web"), stage.address("web")
    by_name = [name for pod in pods for name in _called_like(pod, domain)]
    jobs: dict[str, Mapping[str, Sequence[Any]]] = {
        stage.asker(node): {
            "look_up": [HEADLESS, *by_name, *(_dashed(pod.ip, domain) for pod in pods)],
            "look_back": [service, *(pod.ip for pod in pods)],
        }
        for node in stage.nodes
    }
    answers = stage.ask_all(jobs)
    found: list[Rows] = [
        {row["name"]: row for row in (*got["look_up"], *got["look_back"])}
        for got in answers.values()
    ]
    ips = sorted(pod.ip for pod in pods)
    leads = {HEADLESS: ips} | {_dashed(ip, domain): [ip] for ip in ips}
    return {
        "headless-name-leads-to-pods": _led(found, [HEADLESS], leads),
        "pod-address-is-a-name": _led(found, list(leads)[1:], leads),
        "pod-name-leads-to-pod": _led(
            found, by_name, {name: [pod.ip] for pod in pods for name in _called_like(pod, domain)}
        ),
        "address-leads-back": _led_back(found, service, ips, domain),
    }


def _called_like(pod: PodRef, domain: str) -> Iterator[str]:
    """How people expect a pod to be called."""
    yield pod.name
    yield f"{pod.name}.{HEADLESS}"
    yield f"{pod.name}.default.pod.{domain}"


def _dashed(ip: str, domain: str) -> str:
    return f"{ip.replace('.', '-')}.default.pod.{domain}"


def _led(found: Sequence[Rows], names: Sequence[str], to: Mapping[str, list[str]]) -> Observation:
    """Whether names lead to the addresses that they should."""
    rows = [rows[name] for rows in found for name in names]
    wrong = [row for row in rows if row["addresses"] != to[row["name"]]]
    exception = "".join(
        f"{row['name']} is {', '.join(row['addresses']) or 'no name'}" for row in wrong[:1]
    )
    return saw(len(rows), len(rows) - len(wrong), exception)


def _led_back(found: Sequence[Rows], service: str, ips: list[str], domain: str) -> Observation:
    """Whether the cluster address is its service's, and a pod's address an endpoint's below one."""
    below = f".default.svc.{domain}"
    rows = [rows[ip] for rows in found for ip in (service, *ips)]
    wrong = [
        row
        for row in rows
        if not (
            row["found"] == [f"web{below}"]
            if row["name"] == service
            else any(name.count(".") > below.count(".") for name in row["found"])
        )
    ]
    exception = "".join(
        f"{row['name']} is {', '.join(row['found']) or row['error']}" for row in wrong[:1]
    )
    return saw(len(rows), len(rows) - len(wrong), exception)


SCENE = still(observe)
CLAIMS = (
    Claim(
        "headless-name-leads-to-pods",
        "The name of a headless service leads to its pods.",
        "documentation",
        "in a pod on each node it is the addresses of all ready pods",
        SCENE,
        always,
    ),
    Claim(
        "pod-name-leads-to-pod",
        "Pods find each other by their names.",
        "answer",
        "in a pod on each node web-0, web-0.headless and web-0.default.pod lead to web-0",
        SCENE,
        always,
    ),
    Claim(
        "pod-address-is-a-name",
        "A pod's address, with dashes, is its name below NAMESPACE.pod.",
        "documentation",
        "in a pod on each node 10-244-1-2.default.pod.cluster.local is 10.244.1.2",
        SCENE,
        always,
    ),
    Claim(
        "address-leads-back",
        "An address leads back to the service, or the endpoint, that has it.",
        "documentation",
        "in a pod on each node the cluster address is the service's name, a pod's one below a service",
        SCENE,
        always,
    ),
)
