"""What a Pod must be.

Source: ValidatePodSpec and ValidatePodCreate of `pkg/apis/core/validation/validation.go`.
"""

from __future__ import annotations

from testbed.apiserver.validation.choices import DNS_POLICIES, RESTART_POLICIES
from testbed.apiserver.validation.containers import containers, user_id
from testbed.apiserver.validation.formats import (
    dns_label,
    dns_subdomain,
    ip,
    qualified_name,
    search_domain,
)
from testbed.apiserver.validation.metadata import labels
from testbed.apiserver.validation.place import Place
from testbed.apiserver.validation.placement import (
    affinity,
    spreading,
    tolerations,
)
from testbed.apiserver.validation.volumes import volumes

_MOST_SECONDS = 2**31 - 1


def pod(item: Place) -> None:
    """A pod that is to be created or to replace another."""
    spec = item["spec"]
    pod_spec(spec)
    for key in ("containers", "initContainers"):
        for container in spec[key].items():
            image = container["image"]
            if image.text != image.text.strip():
                image.invalid("must not have leading or trailing whitespace")


def pod_created(item: Place) -> None:
    """What only a new pod must not have."""
    spec = item["spec"]
    if spec["ephemeralContainers"]:
        spec["ephemeralContainers"].forbidden("cannot be set on create")
    if spec["nodeName"] and spec["schedulingGates"]:
        spec["nodeName"].forbidden("cannot be set until all schedulingGates have been cleared")


def pod_spec(spec: Place) -> None:
    """Of a pod or of a template of pods."""
    containers(spec, volumes(spec["volumes"]))
    spec["restartPolicy"].one_of(RESTART_POLICIES)
    spec["dnsPolicy"].one_of(DNS_POLICIES)
    _host_network(spec)
    labels(spec["nodeSelector"])
    affinity(spec["affinity"])
    tolerations(spec["tolerations"])
    spreading(spec["topologySpreadConstraints"])
    _dns(spec)
    _names(spec)
    _gates(spec)
    deadline = spec["activeDeadlineSeconds"]
    if deadline.value is not None and not 1 <= deadline.number <= _MOST_SECONDS:
        deadline.invalid(f"must be between 1 and {_MOST_SECONDS}, inclusive")
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        user_id(spec["securityContext"][key])


def _host_network(spec: Place) -> None:
    """A container's port is the host's; a template need not say so."""
    for container in spec["containers"].items() if spec["hostNetwork"] else ():
        for port in container["ports"].items():
            if port["hostPort"] and port["hostPort"].value != port["containerPort"].value:
                port["hostPort"].invalid("must match `containerPort` when `hostNetwork` is true")


def _names(spec: Place) -> None:
    for key in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        if spec[key]:
            spec[key].invalid(*dns_subdomain(spec[key].text))
    for key in ("hostname", "subdomain"):
        if spec[key]:
            spec[key].invalid(*dns_label(spec[key].text))
    for alias in spec["hostAliases"].items():
        alias["ip"].invalid(*ip(alias["ip"].text), value=alias["ip"].text)
        for name in alias["hostnames"].items():
            name.invalid(*dns_subdomain(name.text))


def _gates(spec: Place) -> None:
    for gate in spec["readinessGates"].items():
        condition = gate["conditionType"]
        condition.invalid(*qualified_name(condition.text), value=condition.text)
    seen: set[str] = set()
    for gate in spec["schedulingGates"].items():
        gate.invalid(*qualified_name(gate["name"].text), value=gate["name"].text)
        gate.unique(gate["name"].text, seen)


def _dns(spec: Place) -> None:
    config = spec["dnsConfig"]
    if spec["dnsPolicy"].text == "None":
        if config.value is None:
            config.required("must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not config["nameservers"]:
            config["nameservers"].required(
                "must provide at least one DNS nameserver when `dnsPolicy` is None"
            )
            return
    _most(config["nameservers"], 3, "nameservers")
    _most(config["searches"], 32, "search paths")
    for server in config["nameservers"].items():
        server.invalid(*ip(server.text))
    if len(" ".join(config["searches"].list)) > 2048:
        detail = "must not have more than 2048 characters (including spaces) in the search list"
        config["searches"].invalid(detail)
    for domain in config["searches"].items():
        domain.invalid(*search_domain(domain.text))
    for option in config["options"].items():
        if not option["name"]:
            option.required("must not be empty")


def _most(place: Place, most: int, what: str) -> None:
    if len(place.list) > most:
        place.invalid(f"must not have more than {most} {what}")
