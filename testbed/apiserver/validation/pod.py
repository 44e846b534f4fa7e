"""What a Pod must be, and what of it stays as it was.

Source: ValidatePodSpec, ValidatePodCreate and ValidatePodUpdate of `pkg/apis/core/validation/validation.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.apiserver.validation.choices import DNS_POLICIES, RESTART_POLICIES
from testbed.apiserver.validation.containers import containers, user_id
from testbed.apiserver.validation.formats import (
    dns_label,
    dns_subdomain,
    ip,
    qualified_name,
)
from testbed.apiserver.validation.metadata import labels
from testbed.apiserver.validation.place import Place
from testbed.apiserver.validation.placement import (
    affinity,
    only_more_tolerations,
    spreading,
    tolerations,
)
from testbed.apiserver.validation.volumes import volumes

_MOST_SECONDS = 2**31 - 1
_UPDATABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def pod(item: Place) -> None:
    """A pod that is to be created or to replace another."""
    spec = item["spec"]
    pod_spec(spec)
    for key in ("containers", "initContainers"):
        for container in spec[key].items():
            image = container["image"]
            if image.text != image.text.strip():
                image.invalid("must not have leading or trailing whitespace")
    if spec["hostNetwork"]:
        for container in spec["containers"].items():
            for port in container["ports"].items():
                if port["hostPort"].value != port["containerPort"].value:
                    detail = "must match `containerPort` when `hostNetwork` is true"
                    port["hostPort"].invalid(detail, value=port["hostPort"].number)


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
    labels(spec["nodeSelector"])
    affinity(spec["affinity"])
    tolerations(spec["tolerations"])
    spreading(spec["topologySpreadConstraints"])
    _dns(spec)
    _names(spec)
    _gates(spec)
    if spec["terminationGracePeriodSeconds"].number < 0:
        spec["terminationGracePeriodSeconds"].invalid("must be greater than or equal to 0")
    deadline = spec["activeDeadlineSeconds"]
    if deadline.value is not None and not 1 <= deadline.number <= _MOST_SECONDS:
        deadline.invalid(f"must be between 1 and {_MOST_SECONDS}, inclusive")
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        user_id(spec["securityContext"][key])


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
        # Since 1.34 a search path may have underscores, and may be the root.
        plain = domain.text.removesuffix(".").replace("_", "-").strip("-")
        if domain.text != ".":
            domain.invalid(*dns_subdomain(plain))
    for option in config["options"].items():
        if not option["name"]:
            option.required("must not be empty")


def _most(place: Place, most: int, what: str) -> None:
    if len(place.list) > most:
        place.invalid(f"must not have more than {most} {what}")


def pod_update(item: Place, old: Mapping[str, Any]) -> None:
    """A pod that runs keeps its spec, save for images and what is said in the message."""
    spec, was = item["spec"], old.get("spec", {})
    for key in ("containers", "initContainers"):
        if len(spec[key].list) != len(was.get(key) or ()):
            spec[key].forbidden("pod updates may not add or remove containers")
            return
    _deadline_update(spec["activeDeadlineSeconds"], was.get("activeDeadlineSeconds"))
    only_more_tolerations(spec["tolerations"], was.get("tolerations") or [])
    gates = {gate.get("name") for gate in was.get("schedulingGates") or ()}
    for gate in spec["schedulingGates"].items():
        name = gate["name"]
        if name.text not in gates:
            detail = f"only deletion is allowed, but found new scheduling gate '{name.text}'"
            name.forbidden(detail)
    gated = bool(gates)
    if _kept(spec.mapping, gated=gated) != _kept(was, gated=gated):
        spec.forbidden(_UPDATABLE)


def _deadline_update(deadline: Place, was: int | None) -> None:
    if deadline.value is None:
        if was is not None:
            deadline.invalid("must not update from a positive integer to nil value")
    elif was is not None and deadline.number > was:
        deadline.invalid("must be less than or equal to previous value")


_FREE = ("activeDeadlineSeconds", "tolerations", "schedulingGates")
_FREE_WHILE_GATED = ("nodeSelector", "affinity")


def _kept(spec: Mapping[str, Any], *, gated: bool) -> dict[str, Any]:
    """A spec without what may change, and without what says nothing."""
    free = (*_FREE, *(_FREE_WHILE_GATED if gated else ()))
    kept = {key: value for key, value in spec.items() if key not in free and _says(value)}
    for key in ("containers", "initContainers"):
        kept[key] = [
            {name: value for name, value in one.items() if name != "image" and _says(value)}
            for one in spec.get(key) or ()
        ]
    grace_period_s = kept.get("terminationGracePeriodSeconds")
    if isinstance(grace_period_s, int | float) and grace_period_s < 0:
        kept["terminationGracePeriodSeconds"] = 1
    return kept


def _says(value: Any) -> bool:
    return value is not None and value is not False and value not in ("", [], {}, ())
