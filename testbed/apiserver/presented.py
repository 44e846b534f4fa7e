"""The objects of the store as clients of Kubernetes expect them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.apiserver import admission, event_forms, schema
from testbed.apiserver.ages import rfc3339
from testbed.apiserver.documents import NODE_CAPACITY, NODE_INFO
from testbed.apiserver.qos import qos_class
from testbed.apiserver.resources import Json, Resource
from testbed.controllers.pod_lifecycle import START_ERROR
from testbed.model.documents import ServiceCIDR
from testbed.model.manifest import to_manifest
from testbed.model.objects.metadata import Object
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.scheduling import NO_EXECUTE

_WITH_DEFAULTS = frozenset({"DaemonSet", "Deployment", "Pod", "ReplicaSet", "Service"})
"""What the lab makes as well as clients, and does not write down in full."""
_OF_READINESS = frozenset({"Ready", "ContainersReady"})


@dataclass(frozen=True, slots=True)
class Face:
    """What the API knows of the lab that is not in the store."""

    service_cidrs: tuple[str, ...]
    unix_offset_s: float
    """Wall-clock time at CLOCK_MONOTONIC's zero."""
    toleration_s: float = 300.0
    """For how long pods stay on nodes that are not ready, unless they say otherwise."""


def served(item: Object, resource: Resource, face: Face) -> Json:
    """An object as one of its resources serves it."""
    manifest = presented(item, face)
    return event_forms.outward(manifest) if resource.group == event_forms.GROUP else manifest


def presented(item: Object, face: Face) -> Json:
    """An object as clients of Kubernetes expect it."""
    manifest = to_manifest(item)
    times = manifest.pop("testbed", {})
    metadata, meta = manifest["metadata"], item.meta
    metadata["creationTimestamp"] = _wall(meta.creation_s, face)
    if meta.deletion_s is not None:
        gone_s = meta.deletion_s + (meta.deletion_grace_period_s or 0.0)
        metadata["deletionTimestamp"] = _wall(gone_s, face)
    _date_conditions(manifest, times.get("conditionSeconds", {}), face)
    if isinstance(item, Node):
        _introduce(manifest["metadata"]["name"], manifest.setdefault("status", {}))
        _date_node(item, manifest, face)
    elif isinstance(item, ServiceCIDR):
        for condition in manifest.get("status", {}).get("conditions", ()):
            condition.setdefault("lastTransitionTime", metadata["creationTimestamp"])
    elif isinstance(item, Pod):
        _add_times(manifest["status"], times, face)
        manifest = admission.tolerant(manifest, face.toleration_s)
        _add_account(manifest["spec"])
        manifest["status"].setdefault("qosClass", qos_class(manifest["spec"]))
    return schema.defaulted(manifest) if item.kind in _WITH_DEFAULTS else manifest


def _add_account(spec: Json) -> None:
    """Every pod runs as somebody."""
    name = spec.setdefault("serviceAccountName", admission.DEFAULT_ACCOUNT)
    spec.setdefault("serviceAccount", name)


def _introduce(name: str, status: Json) -> None:
    """What a node's kubelet says of its machine, where nobody has said so."""
    addresses = status.setdefault("addresses", [])
    if not any(one.get("type") == "Hostname" for one in addresses):
        addresses.append({"type": "Hostname", "address": name})
    status.setdefault("nodeInfo", {**NODE_INFO})
    status.setdefault("capacity", {**NODE_CAPACITY})
    status.setdefault("allocatable", {**NODE_CAPACITY})


def _date_conditions(manifest: Json, times: Json, face: Face) -> None:
    """When controllers last changed their conditions, and last said them."""
    if not times:
        return
    for condition in manifest["status"]["conditions"]:
        for key, name in (("changed", "lastTransitionTime"), ("updated", "lastUpdateTime")):
            time_s = times.get(condition["type"], {}).get(key)
            if time_s is not None:
                condition[name] = _wall(time_s, face)


def _date_node(node: Node, manifest: Json, face: Face) -> None:
    """Since when it is ready or not, and its taints of that."""
    changed_s = node.meta.creation_s if node.ready_changed_s is None else node.ready_changed_s
    for condition in manifest["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["lastHeartbeatTime"] = _wall(changed_s, face)
            condition["lastTransitionTime"] = _wall(changed_s, face)
    for taint, written in zip(node.taints, manifest["spec"].get("taints", ()), strict=False):
        if taint.added_s is not None and taint.effect == NO_EXECUTE:
            written["timeAdded"] = _wall(taint.added_s, face)


def _add_times(status: Json, times: Json, face: Face) -> None:
    """A pod's: since when it is ready or not, when its kubelet took it on, and of its containers' runs."""
    changed_s = times.get("readyChangedSeconds")
    if changed_s is not None:
        for condition in status.get("conditions", ()):
            if condition["type"] in _OF_READINESS:
                condition.setdefault("lastTransitionTime", _wall(changed_s, face))
    started = times.get("containersStartedSeconds", {})
    taken_s = times.get("startedSeconds", min(started.values(), default=None))
    if taken_s is not None:
        status.setdefault("startTime", _wall(taken_s, face))
    finished = times.get("containersFinishedSeconds", {})
    last = times.get("containersLastSeconds", {})
    of_init = status.get("initContainerStatuses", ())
    for container in (*of_init, *status.get("containerStatuses", ())):
        name, state = container["name"], container.get("state", {})
        present = {"started": started.get(name), "finished": finished.get(name)}
        before = container.get("lastState", {})
        _date_run(state.get("running"), {"started": present["started"]}, face)
        _date_run(state.get("terminated"), present, face)
        _date_run(before.get("terminated"), last.get(name, {}), face)


def _date_run(run: Json | None, times: Mapping[str, float | None], face: Face) -> None:
    """When a run began and ended. One that could not be started has begun when that was tried: containerd
    says 0 there, which kubectl shows as 1970.
    """
    if run is None:
        return
    never_ran = run.get("reason") == START_ERROR
    begun_s = times.get("finished") if never_ran else times.get("started")
    for key, time_s in (("startedAt", begun_s), ("finishedAt", times.get("finished"))):
        if time_s is not None:
            run.setdefault(key, _wall(time_s, face))


def _wall(time_s: float, face: Face) -> str:
    return rfc3339(time_s + face.unix_offset_s)
