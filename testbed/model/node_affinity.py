"""Which nodes a pod may and would rather run on: nodeSelector and node affinity."""

from __future__ import annotations

from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import NodeSelectorRequirement, NodeSelectorTerm, PodSpec


def matches(spec: PodSpec, node: Node) -> bool:
    """Whether nodeSelector and the required node affinity allow this node."""
    labels = node.meta.labels
    if any(labels.get(key) != value for key, value in spec.node_selector.items()):
        return False
    required = spec.node_affinity.required if spec.node_affinity else ()
    return not required or any(_term_holds(term, node) for term in required)


def preference(spec: PodSpec, node: Node) -> int:
    """The summed weights of the preferred terms that hold on this node."""
    preferred = spec.node_affinity.preferred if spec.node_affinity else ()
    return sum(term.weight for term in preferred if _term_holds(term.preference, node))


def _term_holds(term: NodeSelectorTerm, node: Node) -> bool:
    # An empty term matches nothing, as the API reference says of NodeSelectorTerm.
    if not term.match_expressions and not term.match_fields:
        return False
    fields = {"metadata.name": node.meta.name}
    return all(
        _requirement_holds(requirement, node.meta.labels.get(requirement.key))
        for requirement in term.match_expressions
    ) and all(
        _requirement_holds(requirement, fields.get(requirement.key))
        for requirement in term.match_fields
    )


def _requirement_holds(requirement: NodeSelectorRequirement, value: str | None) -> bool:
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":  # also true of a node without the label
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(requirement.operator, value, requirement.values)
    return False


def _compares(operator: str, value: str | None, values: tuple[str, ...]) -> bool:
    try:
        left, right = int(value or ""), int(values[0])
    except (ValueError, IndexError):  # Kubernetes: what is not an integer never matches
        return False
    return left > right if operator == "Gt" else left < right
