"""What a pod may ask about its node: affinities, tolerations, spreading.

Source: validateAffinity, ValidateTolerations and validateTopologySpreadConstraints of
`pkg/apis/core/validation/validation.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.apiserver.validation.choices import (
    EFFECTS,
    INCLUSION_POLICIES,
    TOLERATION_OPERATORS,
    UNSATISFIABLE,
)
from testbed.apiserver.validation.formats import (
    dns_label,
    dns_subdomain,
    label_value,
    qualified_name,
)
from testbed.apiserver.validation.metadata import label_selector
from testbed.apiserver.validation.place import Place

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def affinity(place: Place) -> None:
    """Of nodes, and of pods to other pods."""
    required = place["nodeAffinity"][REQUIRED]
    if required.value is not None and not required["nodeSelectorTerms"]:
        required["nodeSelectorTerms"].required("must have at least one node selector term")
    for term in required["nodeSelectorTerms"].items():
        _node_term(term)
    for preferred in place["nodeAffinity"][PREFERRED].items():
        _weight(preferred)
        _node_term(preferred["preference"])
    for key in ("podAffinity", "podAntiAffinity"):
        for term in place[key][REQUIRED].items():
            _pod_term(term)
        for preferred in place[key][PREFERRED].items():
            _weight(preferred)
            _pod_term(preferred["podAffinityTerm"])


def _weight(preferred: Place) -> None:
    weight = preferred["weight"]
    if not 1 <= weight.number <= 100:
        weight.invalid("must be in the range 1-100", value=weight.number)


def _node_term(term: Place) -> None:
    for requirement in term["matchExpressions"].items():
        _values(requirement)
        key = requirement["key"]
        key.invalid(*qualified_name(key.text), value=key.text)
    for requirement in term["matchFields"].items():
        if len(requirement["values"].list) != 1:
            requirement["values"].required(
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            )
        if requirement["operator"].text not in {"In", "NotIn"}:
            requirement["operator"].invalid("not a valid selector operator")
        if requirement["key"].text == "metadata.name":
            for value in requirement["values"].items():
                value.invalid(*dns_subdomain(value.text))
        else:
            requirement["key"].invalid("not a valid field selector key")


def _values(requirement: Place) -> None:
    operator, values = requirement["operator"].text, requirement["values"]
    if operator in {"In", "NotIn"}:
        if not values:
            values.required("must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    elif operator in {"Gt", "Lt"}:
        if len(values.list) != 1:
            values.required("must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        requirement["operator"].invalid("not a valid selector operator", value=operator)


def _pod_term(term: Place) -> None:
    for key in ("labelSelector", "namespaceSelector"):
        label_selector(term[key])
    for namespace in term["namespaces"].items():
        Place(namespace.value, f"{term.path}.namespace", term.causes).invalid(
            *dns_label(namespace.text)
        )
    topology = term["topologyKey"]
    if topology:
        topology.invalid(*qualified_name(topology.text))
    else:
        topology.required("can not be empty")


def tolerations(every: Place) -> None:
    """Taints that a pod can live with."""
    for one in every.items():
        key, operator, effect = one["key"], one["operator"], one["effect"]
        if key:
            key.invalid(*qualified_name(key.text))
        elif operator.text != "Exists":
            operator.invalid(
                'operator must be Exists when `key` is empty, which means "match all values '
                'and all keys"',
                value=operator.text,
            )
        if one["tolerationSeconds"].value is not None and effect.text != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            effect.invalid(detail, value=effect.text)
        _toleration_value(operator, one["value"].text)
        if effect:
            effect.one_of(EFFECTS)


def _toleration_value(operator: Place, value: str) -> None:
    if operator.text in {"", "Equal"}:
        if wrong := label_value(value):
            operator.invalid(";".join(wrong), value=value)
    elif operator.text == "Exists":
        if value:
            operator.invalid("value must be empty when `operator` is 'Exists'", value=value)
    else:
        operator.unsupported(TOLERATION_OPERATORS)


def only_more_tolerations(every: Place, old: list[Mapping[str, Any]]) -> None:
    """Those of a pod that runs stay, save for how long they are good."""
    now = [_less_seconds(one) for one in every.list]
    if any(_less_seconds(one) not in now for one in old):
        every.forbidden("existing toleration can not be modified except its tolerationSeconds")


def _less_seconds(toleration: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def spreading(every: Place) -> None:
    """topologySpreadConstraints."""
    seen: set[tuple[str, str]] = set()
    for one in every.items():
        if one["maxSkew"].number <= 0:
            one["maxSkew"].invalid("must be greater than zero", value=one["maxSkew"].number)
        if not one["topologyKey"]:
            one["topologyKey"].required("can not be empty")
        when = one["whenUnsatisfiable"]
        if when.text not in UNSATISFIABLE:
            when.unsupported(UNSATISFIABLE)
        pair = (one["topologyKey"].text, when.text)
        if pair in seen:
            one["{topologyKey, whenUnsatisfiable}"].duplicate(f"{{{pair[0]}, {pair[1]}}}")
        seen.add(pair)
        _least_domains(one["minDomains"], when.text)
        for key in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            one[key].one_of(INCLUSION_POLICIES, required=False)
        label_selector(one["labelSelector"])


def _least_domains(least: Place, when: str) -> None:
    if least.value is None:
        return
    if least.number <= 0:
        least.invalid("must be greater than zero")
    if when != "DoNotSchedule":
        least.invalid(
            "can only use minDomains if whenUnsatisfiable=DoNotSchedule, "
            f"not whenUnsatisfiable={when}"
        )
