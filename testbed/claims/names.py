"""A service's address and its name: where they come from and where they lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from testbed.claims.addresses import PORT
from testbed.claims.claim import Claim, Observation, still
from testbed.claims.judging import always, saw
from testbed.claims.stage import Stage
from testbed.experiment.subjects import SYSTEM_NAMESPACE

SPELLINGS = ("web", "web.default", "web.default.svc", "web.default.svc.cluster.local")
HEADLESS, ALIAS = "headless", "alias"


def observe(stage: Stage) -> Mapping[str, Observation]:
    """Names looked up by a pod on each node with the C library, and dialled; addresses as allocated."""
    jobs: dict[str, Mapping[str, Sequence[Any]]] = {
        stage.asker(node): {
            "look_up": [*SPELLINGS, HEADLESS, ALIAS],
            "dial": [{"host": "web", "port": PORT}],
        }
        for node in stage.nodes
    }
    answers = stage.ask_all(jobs)
    address = stage.address("web")
    found = {place: {row["name"]: row for row in got["look_up"]} for place, got in answers.items()}
    rows = [(place, rows[name]) for place, rows in found.items() for name in SPELLINGS]
    wrong = [
        f"in {place}, {row['name']} is {_shown(row)}, not {address}"
        for place, row in rows
        if row["addresses"] != [address]
    ]
    wrong += [
        f"{place} got no answer at http://web: {row['error']}"
        for place, got in answers.items()
        for row in got["dial"]
        if row["who"] not in {pod.name for pod in stage.backends("web")}
    ]
    tried = len(rows) + len(answers)
    return {
        "automatic-address": _allocated(stage),
        "name-leads-to-address": saw(tried, tried - len(wrong), *wrong[:1]),
        "any-name-leads-to-address": _others(stage, found),
    }


def _allocated(stage: Stage) -> Observation:
    """Whether every service that may have an address has one that its topology did not ask for."""
    topology = stage.lab.topology()
    asked = {name for name, spec in topology.services.items() if spec.cluster_ip}
    services = [
        service
        for service in stage.view["services"]
        if service["namespace"] != SYSTEM_NAMESPACE
        and service["name"] not in asked
        and service["type"] != "ExternalName"
    ]
    wrong = [
        f"service {service['name']} has {service['clusterIP'] or 'no address'}"
        for service in services
        if not _is_in(service["clusterIP"], topology.network.service_cidrs[0])
    ]
    return saw(len(services), len(services) - len(wrong), *wrong[:1])


def _is_in(address: str, network: Any) -> bool:
    try:
        return ip_address(address) in network
    except ValueError:
        return False


def _others(stage: Stage, found: Mapping[str, Mapping[str, Any]]) -> Observation:
    """What the names of a headless service and of an alias lead to: no cluster address of theirs."""
    pods = sorted(pod.ip for pod in stage.backends("web"))
    rows = [(place, rows[name]) for place, rows in found.items() for name in (HEADLESS, ALIAS)]
    own = {name: str(stage.service(name)["clusterIP"]) for name in (HEADLESS, ALIAS)}
    agreed = sum(1 for _, row in rows if row["addresses"] == [own[row["name"]]])
    as_pods = all(rows[HEADLESS]["addresses"] == pods for rows in found.values())
    as_alias = all(rows[ALIAS]["addresses"] == [stage.address("web")] for rows in found.values())
    some = next(iter(found.values()))
    exception = (
        f"the headless name leads to {'its pods' if as_pods else _shown(some[HEADLESS])}, the "
        f"ExternalName to {'what it is an alias of' if as_alias else _shown(some[ALIAS])}"
    )
    return saw(len(rows), agreed, exception)


def _shown(row: Mapping[str, Any]) -> str:
    return ", ".join(row["addresses"]) or row["error"]


SCENE = still(observe)
CLAIMS = (
    Claim(
        "automatic-address",
        "A service gets its cluster address automatically.",
        "tutorial",
        "every service that asks for none has an address of the service network",
        SCENE,
        always,
    ),
    Claim(
        "name-leads-to-address",
        "A service's name leads to its cluster address.",
        "tutorial",
        "in a pod on each node the name, short or long, is the cluster address, which answers",
        SCENE,
        always,
    ),
    Claim(
        "any-name-leads-to-address",
        "The name of any service leads to a cluster address of its own.",
        "tutorial",
        "headless services and ExternalName have a cluster address that their name leads to",
        SCENE,
        always,
    ),
)
