"""What pods may say and should not, in Kubernetes' words.

Source: `pkg/api/pod/warnings.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from testbed.apiserver.validation.place import Place, shown
from testbed.apiserver.validation.placement import PREFERRED, REQUIRED

_NO_MATCH = "a null labelSelector results in matching no pod"


def pod_warnings(document: Mapping[str, Any]) -> Iterator[str]:
    """Of a Pod."""
    yield from _of_spec(Place(document, "", [])["spec"])


def template_warnings(document: Mapping[str, Any]) -> Iterator[str]:
    """Of the pods that a workload makes."""
    yield from _of_spec(Place(document, "", [])["spec"]["template"]["spec"])


def _of_spec(spec: Place) -> Iterator[str]:
    for one in spec["topologySpreadConstraints"].items():
        yield from _no_match(one["labelSelector"])
    yield from _again(spec["hostAliases"], "ip")
    yield from _again(spec["imagePullSecrets"], "name")
    containers = [*spec["initContainers"].items(), *spec["containers"].items()]
    for container in containers:
        yield from _environment(container["env"])
    yield from _ports(containers)
    grace = spec["terminationGracePeriodSeconds"]
    if grace.number < 0:
        yield f"{grace.path}: must be >= 0; negative values are invalid and will be treated as 1"
    for key in ("podAffinity", "podAntiAffinity"):
        for term in spec["affinity"][key][REQUIRED].items():
            yield from _no_match(term["labelSelector"])
        for term in spec["affinity"][key][PREFERRED].items():
            yield from _no_match(term["podAffinityTerm"]["labelSelector"])


def _no_match(selector: Place) -> Iterator[str]:
    if selector.value is None:
        yield f"{selector.path}: {_NO_MATCH}"


def _again(every: Place, key: str) -> Iterator[str]:
    seen = set()
    for one in every.items():
        if one[key].text in seen:
            yield f"{one[key].path}: duplicate {key} {shown(one[key].text)}"
        seen.add(one[key].text)


def _environment(every: Place) -> Iterator[str]:
    """A variable that is set again hides the one before, unless it is made from it."""
    seen = set()
    for one in every.items():
        name, value = one["name"].text, one["value"].text
        before = f"$({name})"
        extends = before in value and value != before and one["valueFrom"].value is None
        if name in seen and not extends:
            yield (
                f"{one.path}: hides previous definition of {shown(name)}, "
                "which may be dropped when using apply"
            )
        seen.add(name)


def _ports(containers: list[Place]) -> Iterator[str]:
    """Ports of containers that share one network."""
    seen: dict[tuple[int, str], list[Place]] = {}
    for container in containers:
        for port in container["ports"].items():
            others = seen.setdefault((port["containerPort"].number, port["protocol"].text), [])
            for other in others:
                if said := _conflict(port, other):
                    yield f"{port.path}: {said} port definition with {other.path}"
            others.append(port)


def _conflict(port: Place, other: Place) -> str:
    host, other_host = port["hostPort"].number, other["hostPort"].number
    ip, other_ip = port["hostIP"].text, other["hostIP"].text
    if (host, ip) == (other_host, other_ip):
        return "duplicate"
    if not host or not other_host:
        return "overlapping"
    return "dangerously ambiguous" if host == other_host and bool(ip) != bool(other_ip) else ""
