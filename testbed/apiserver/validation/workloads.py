"""What Deployments, ReplicaSets and DaemonSets must be, and what of them stays as it was.

Source: `pkg/apis/apps/validation/validation.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.apiserver.validation.choices import DAEMON_SET_STRATEGIES, DEPLOYMENT_STRATEGIES
from testbed.apiserver.validation.formats import NON_NEGATIVE, percent, qualified_name
from testbed.apiserver.validation.metadata import label_selector, labels, matches
from testbed.apiserver.validation.place import Place
from testbed.apiserver.validation.pod import pod_spec

_NOT_BOTH_ZERO = "may not be 0 when `maxSurge` is 0"


def deployment(item: Place) -> None:
    """Replicas, template, and how they are rolled out."""
    spec = item["spec"]
    _replicated(item, "deployment")
    strategy, rolling = spec["strategy"], spec["strategy"]["rollingUpdate"]
    match strategy["type"].text:
        case "Recreate":
            if rolling.value is not None:
                rolling.forbidden("may not be specified when strategy `type` is 'Recreate'")
        case "RollingUpdate":
            _rolling_deployment(rolling)
        case _:
            strategy["type"].unsupported(DEPLOYMENT_STRATEGIES)
    for key in ("minReadySeconds", "revisionHistoryLimit"):
        spec[key].at_least(0)
    deadline = spec["progressDeadlineSeconds"]
    if deadline.value is not None:
        deadline.at_least(0)
        if deadline.number <= spec["minReadySeconds"].number:
            deadline.invalid("must be greater than minReadySeconds")


def replica_set(item: Place) -> None:
    _replicated(item, "deployment")
    item["spec"]["minReadySeconds"].at_least(0)


def daemon_set(item: Place) -> None:
    """One pod per node."""
    spec, found = item["spec"], item["spec"]["template"]["metadata"]["labels"].mapping
    label_selector(spec["selector"])
    if not matches(spec["selector"].mapping, found):
        where = spec["template"]["metadata"]["labels"]
        where.invalid("`selector` does not match template `labels`", value=dict(found))
    if spec["selector"].mapping in ({}, {"matchLabels": {}}):
        spec["selector"].invalid("empty selector is invalid for daemonset", value={})
    template(spec["template"])
    for key in ("minReadySeconds", "revisionHistoryLimit"):
        spec[key].at_least(0)
    strategy = spec["updateStrategy"]
    match strategy["type"].text:
        case "OnDelete":
            pass
        case "RollingUpdate":
            _rolling_daemon_set(strategy["rollingUpdate"])
        case _:
            strategy["type"].unsupported(DAEMON_SET_STRATEGIES)


def selector_stays(item: Place, old: Mapping[str, Any]) -> None:
    """A workload keeps its selector."""
    item["spec"]["selector"].unchanged(old.get("spec", {}).get("selector"))


def _replicated(item: Place, kind: str) -> None:
    """What Deployments and ReplicaSets have in common."""
    spec = item["spec"]
    spec["replicas"].at_least(0)
    selector = spec["selector"]
    if selector.value is None:
        selector.required()
    else:
        label_selector(selector)
        if not selector["matchLabels"] and not selector["matchExpressions"]:
            selector.invalid(f"empty selector is invalid for {kind}", value={})
        found = spec["template"]["metadata"]["labels"]
        if not matches(selector.mapping, found.mapping):
            detail = "`selector` does not match template `labels`"
            found.invalid(detail, value=dict(found.mapping))
    template(spec["template"])


def template(place: Place) -> None:
    """Pods that a controller makes: they run until they are deleted."""
    labels(place["metadata"]["labels"])
    for key in place["metadata"]["annotations"].mapping:
        place["metadata"]["annotations"].invalid(*qualified_name(key.lower()), value=key)
    spec = place["spec"]
    pod_spec(spec)
    if spec["ephemeralContainers"]:
        spec["ephemeralContainers"].forbidden("ephemeral containers not allowed in pod template")
    if spec["restartPolicy"].text in {"OnFailure", "Never"}:
        spec["restartPolicy"].unsupported(("Always",))
    if spec["activeDeadlineSeconds"].value is not None:
        where = spec["activeDeadlineSeconds"]
        where.forbidden("activeDeadlineSeconds in ReplicaSet is not Supported")


def _rolling_deployment(rolling: Place) -> None:
    surge, unavailable = rolling["maxSurge"], rolling["maxUnavailable"]
    for place in (unavailable, surge):
        _count_or_percent(place)
    if _amount(unavailable) == 0 and _amount(surge) == 0:
        unavailable.invalid(_NOT_BOTH_ZERO)
    _at_most_all(unavailable)


def _rolling_daemon_set(rolling: Place) -> None:
    surge, unavailable = rolling["maxSurge"], rolling["maxUnavailable"]
    for place in (unavailable, surge):
        _count_or_percent(place)
    for place in (unavailable, surge):
        _at_most_all(place)
    if _amount(unavailable) and _amount(surge):
        surge.invalid("may not be set when maxUnavailable is non-zero")
    elif not _amount(unavailable) and not _amount(surge):
        unavailable.invalid("cannot be 0 when maxSurge is 0")


def _count_or_percent(place: Place) -> None:
    if isinstance(place.value, str):
        place.invalid(*percent(place.text))
    elif place.number < 0:
        place.invalid(NON_NEGATIVE)


def _amount(place: Place) -> int:
    """The number, of pods or of percent; one that is none counts as 0, as in Kubernetes."""
    if not isinstance(place.value, str):
        return place.number
    return int(place.text[:-1]) if not percent(place.text) else 0


def _at_most_all(place: Place) -> None:
    if isinstance(place.value, str) and _amount(place) > 100:
        place.invalid("must not be greater than 100%")
