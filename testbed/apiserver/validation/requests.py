"""What the bodies of subresources and of kinds with a rule or two must be."""

from __future__ import annotations

from testbed.apiserver.validation.place import Place


def lease(item: Place) -> None:
    """Source: `pkg/apis/coordination/validation/validation.go`."""
    spec = item["spec"]
    duration, transitions = spec["leaseDurationSeconds"], spec["leaseTransitions"]
    if duration.value is not None and duration.number <= 0:
        duration.invalid("must be greater than 0")
    transitions.at_least(0)
    if spec["preferredHolder"] and not spec["strategy"]:
        spec["preferredHolder"].forbidden("may only be specified if `strategy` is defined")
    spec["strategy"].one_of(("OldestEmulationVersion",), required=False)


def scale(item: Place) -> None:
    item["spec"]["replicas"].at_least(0)


def binding(item: Place) -> None:
    """The node that a pod goes to."""
    target = item["target"]
    if target["kind"].text not in {"", "Node"}:
        target["kind"].unsupported(("Node", "<empty>"))
    if not target["name"]:
        target["name"].required()
