"""What of a Pod stays as it was.

Source: ValidatePodUpdate of `pkg/apis/core/validation/validation.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.apiserver.validation.place import Place, substance
from testbed.apiserver.validation.placement import REQUIRED, only_more_tolerations

_UPDATABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_FREE = ("activeDeadlineSeconds", "tolerations", "schedulingGates")
_ONLY_MORE = "only additions are allowed (no mutations or deletions)"


def pod_update(item: Place, old: Mapping[str, Any]) -> None:
    """A pod keeps its spec, save for images and what the message says; one that waits for its gates may
    become narrower, too.
    """
    spec, was = item["spec"], old.get("spec", {})
    for key in ("containers", "initContainers"):
        if len(spec[key].list) != len(was.get(key) or ()):
            spec[key].forbidden("pod updates may not add or remove containers")
            return
    _deadline(spec["activeDeadlineSeconds"], was.get("activeDeadlineSeconds"))
    only_more_tolerations(spec["tolerations"], was.get("tolerations") or [])
    gates = {gate.get("name") for gate in was.get("schedulingGates") or ()}
    for gate in spec["schedulingGates"].items():
        name = gate["name"].text
        if name not in gates:
            detail = f"only deletion is allowed, but found new scheduling gate '{name}'"
            gate["name"].forbidden(detail)
    if gates:
        _selector(spec["nodeSelector"], was.get("nodeSelector") or {})
        _node_affinity(spec["affinity"]["nodeAffinity"], was)
    if _kept(spec.mapping, gated=bool(gates)) != _kept(was, gated=bool(gates)):
        spec.forbidden(_UPDATABLE)


def _deadline(deadline: Place, was: int | None) -> None:
    if deadline.value is None:
        if was is not None:
            deadline.invalid("must not update from a positive integer to nil value")
    elif was is not None and deadline.number > was:
        deadline.invalid("must be less than or equal to previous value")


def _selector(selector: Place, was: Mapping[str, str]) -> None:
    if any(selector.mapping.get(key) != value for key, value in was.items()):
        selector.invalid(
            "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        )


def _node_affinity(affinity: Place, was: Mapping[str, Any]) -> None:
    required = ((was.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED) or {}
    before = required.get("nodeSelectorTerms") or []
    now = affinity[REQUIRED]["nodeSelectorTerms"]
    if before and len(before) != len(now.list):
        now.invalid("no additions/deletions to non-empty NodeSelectorTerms list are allowed")
        return
    for term, old in zip(now.items(), before, strict=False):
        if not all(_only_more(term[key], old.get(key) or []) for key in old):
            term.invalid(_ONLY_MORE)


def _only_more(now: Place, before: list[Any]) -> bool:
    return list(now.list[: len(before)]) == list(before)


def _kept(spec: Mapping[str, Any], *, gated: bool) -> Any:
    """What of a spec must stay."""
    kept = {key: value for key, value in spec.items() if key not in _FREE}
    for key in ("containers", "initContainers"):
        containers = spec.get(key) or ()
        kept[key] = [{**container, "image": ""} for container in containers]
    if kept.get("terminationGracePeriodSeconds", 0) < 0:
        kept["terminationGracePeriodSeconds"] = 1
    if gated:
        kept["nodeSelector"] = {}
        kept["affinity"] = {**(kept.get("affinity") or {}), "nodeAffinity": {}}
    return substance(kept)
