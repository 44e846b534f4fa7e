"""A real cluster's pod -> its stand-in: same name, node, labels and ports, served by the built-in server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.model.objects.pods import AWAIT_ANNOTATION

Json = Mapping[str, Any]

_NOBODY = 1
"""A port on which no stand-in listens: a probe of it never succeeds."""
_TIMES = (
    "initialDelaySeconds",
    "periodSeconds",
    "timeoutSeconds",
    "successThreshold",
    "failureThreshold",
)


@dataclass(frozen=True, slots=True)
class StandIn:
    """A pod of the lab; `ips` are the addresses that the real one has."""

    manifest: dict[str, Any]
    ips: tuple[str, ...]


def finished(pod: Json) -> bool:
    """Whether it has run to its end."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def is_ready(pod: Json) -> bool:
    """Its Ready condition."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def stand_in(pod: Json, node: str, selecting: Sequence[Json]) -> StandIn:
    """The stand-in, on a node of the lab, of a pod that these services select."""
    meta, spec = pod["metadata"], pod["spec"]
    first = spec["containers"][0]
    ports = _ports(spec, selecting)
    container: dict[str, Any] = {"name": first["name"], "image": first.get("image", "unknown")}
    if ports:
        container["ports"] = ports
    if probe := _readiness(pod, ports):
        container["readinessProbe"] = probe
    manifest_meta = {"name": meta["name"], "namespace": meta.get("namespace", "default")}
    if meta.get("labels"):
        manifest_meta["labels"] = dict(meta["labels"])
    if not is_ready(pod):
        manifest_meta["annotations"] = {AWAIT_ANNOTATION: "false"}
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": manifest_meta,
        "spec": {"nodeName": node, "containers": [container]},
    }
    if "terminationGracePeriodSeconds" in spec:
        manifest["spec"]["terminationGracePeriodSeconds"] = spec["terminationGracePeriodSeconds"]
    status = pod.get("status", {})
    ips = tuple(one["ip"] for one in status.get("podIPs", ()))
    return StandIn(manifest, () if spec.get("hostNetwork") else ips)


def _ports(spec: Json, selecting: Sequence[Json]) -> list[dict[str, Any]]:
    """What its containers declare, and what services take for granted."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    names: set[str] = set()
    for container in spec["containers"]:
        for port in container.get("ports", ()):
            key = port["containerPort"], port.get("protocol", "TCP")
            name = port.get("name", "")
            if key in found or name in names:
                continue
            names.update({name} - {""})
            found[key] = {"containerPort": key[0], "protocol": key[1]} | (
                {"name": name} if name else {}
            )
    for service in selecting:
        for port in service["spec"].get("ports", ()):
            target = port.get("targetPort", port["port"])
            key = target, port.get("protocol", "TCP")
            if isinstance(target, int) and target and key not in found:
                found[key] = {"containerPort": target, "protocol": key[1]}
    return [found[key] for key in sorted(found)]


def _readiness(pod: Json, ports: Sequence[Json]) -> dict[str, Any] | None:
    """A probe with the real one's times, of the built-in server; one that fails where the pod is not ready."""
    real = next(
        (
            container["readinessProbe"]
            for container in pod["spec"]["containers"]
            if container.get("readinessProbe")
        ),
        None,
    )
    if not is_ready(pod):
        return {"tcpSocket": {"port": _NOBODY}}
    streams = [port["containerPort"] for port in ports if port["protocol"] == "TCP"]
    if real is None or not streams:
        return None
    times = {key: real[key] for key in _TIMES if key in real}
    return {"httpGet": {"path": "/healthz", "port": streams[0]}, **times}
