"""A pod's cells of `kubectl get`: what its Status column says of its conditions and containers.

Source: `printPod` of Kubernetes' `pkg/printers/internalversion/printers.go`.
"""

from __future__ import annotations

from typing import Any

from testbed.apiserver.ages import ago
from testbed.apiserver.resources import Json

_NONE = "<none>"
_TERMINAL = frozenset({"Succeeded", "Failed"})


def pod(item: Json, now_s: float) -> list[Any]:
    """See `columns.KINDS`."""
    spec, status, metadata = item.get("spec") or {}, item.get("status") or {}, item["metadata"]
    ready = sum(_runs_ready(one) for one in status.get("containerStatuses", ()))
    ips = status.get("podIPs") or [{"ip": status["podIP"]}] if status.get("podIP") else []
    return [
        metadata["name"],
        f"{ready}/{len(spec.get('containers', ()))}",
        _state(item),
        _restarts(item, now_s),
        ago(metadata.get("creationTimestamp"), now_s),
        ips[0]["ip"] if ips else _NONE,
        spec.get("nodeName") or _NONE,
        status.get("nominatedNodeName") or _NONE,
        _gates(spec, status),
    ]


def _state(item: Json) -> str:
    status = item.get("status") or {}
    state = _scheduling(status) or status.get("reason") or status.get("phase", "")
    starting = _initializing(item)
    if starting:
        state = starting
    elif not _gated(status):
        state = _of_containers(status, state)
    if item["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if status.get("phase") not in _TERMINAL:
            return "Terminating"
    return str(state)


def _scheduling(status: Json) -> str:
    return "SchedulingGated" if _gated(status) else ""


def _gated(status: Json) -> bool:
    return any(
        one.get("type") == "PodScheduled" and one.get("reason") == "SchedulingGated"
        for one in status.get("conditions", ())
    )


def _initializing(item: Json) -> str:
    """What its init containers hold up; "": nothing."""
    inits = (item.get("spec") or {}).get("initContainers") or ()
    sidecars = {one["name"] for one in inits if one.get("restartPolicy") == "Always"}
    statuses = (item.get("status") or {}).get("initContainerStatuses", ())
    for index, one in enumerate(statuses):
        state = one.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting") or {}
        if ended is not None and not ended.get("exitCode"):
            continue
        if one["name"] in sidecars and one.get("started"):
            continue
        if ended is not None:
            return f"Init:{_ended(ended)}"
        reason = waiting.get("reason", "")
        return (
            f"Init:{reason}"
            if reason not in {"", "PodInitializing"}
            else f"Init:{index}/{len(inits)}"
        )
    return ""


def _of_containers(status: Json, state: str) -> str:
    """The pod's state, or that of the first container that has more to say."""
    running = False
    for one in reversed(status.get("containerStatuses", ())):
        found = one.get("state") or {}
        waiting, ended = found.get("waiting") or {}, found.get("terminated")
        if waiting.get("reason"):
            state = waiting["reason"]
        elif ended is not None:
            state = _ended(ended)
        elif _runs_ready(one):
            running = True
    if state == "Completed" and running:
        return "Running" if _is_ready(status) else "NotReady"
    return state


def _ended(ended: Json) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def _runs_ready(container: Json) -> bool:
    return (
        bool(container.get("ready")) and (container.get("state") or {}).get("running") is not None
    )


def _is_ready(status: Json) -> bool:
    return any(
        one.get("type") == "Ready" and one.get("status") == "True"
        for one in status.get("conditions", ())
    )


def _restarts(item: Json, now_s: float) -> str:
    status = item.get("status") or {}
    containers = [*status.get("containerStatuses", ())]
    if _initializing(item):
        containers = [*status.get("initContainerStatuses", ())]
    times = sum(one.get("restartCount", 0) for one in containers)
    ends = [
        ended["finishedAt"]
        for one in containers
        if (ended := (one.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
    ]
    return f"{times} ({ago(max(ends), now_s)} ago)" if times and ends else str(times)


def _gates(spec: Json, status: Json) -> str:
    gates = [one.get("conditionType") for one in spec.get("readinessGates") or ()]
    if not gates:
        return _NONE
    true = {one["type"] for one in status.get("conditions", ()) if one.get("status") == "True"}
    return f"{sum(gate in true for gate in gates)}/{len(gates)}"
