"""Where a pod may and would rather be because of the pods that are there: affinity, anti-affinity, spread.

Source: pkg/scheduler/framework/plugins: interpodaffinity, podtopologyspread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from testbed.controllers.node_fit import obstacle
from testbed.model.documents import Namespace
from testbed.model.label_selector import LabelSelector, LabelSelectorRequirement
from testbed.model.node_affinity import matches
from testbed.model.objects.metadata import Labels
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod, PodSpec
from testbed.model.scheduling import PodAffinity, PodAffinityTerm, TopologySpreadConstraint
from testbed.store import Snapshot

_NO_AFFINITY = "node(s) didn't match pod affinity rules"
_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
_THEIR_ANTI_AFFINITY = "node(s) didn't satisfy existing pods anti-affinity rules"
_SPREAD = "node(s) didn't match pod topology spread constraints"
_NO_LABEL = f"{_SPREAD} (missing required label)"

_NOTHING = PodAffinity()


def minds(pod: Pod) -> bool:
    """Whether it matters to a pod which others are where."""
    spec = pod.spec
    return bool(spec.topology_spread or spec.pod_affinity or spec.pod_anti_affinity)


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The pods that are on nodes, as one pod that is to be placed sees them."""

    pod: Pod
    nodes: Mapping[str, Node]
    placed: Sequence[Pod]
    namespaces: Mapping[str, Labels]

    def obstacles(self) -> dict[str, str]:
        """By the name of each node that is out of the question: why."""
        found: dict[str, str] = {}
        for constraint in self.pod.spec.topology_spread:
            if constraint.when_unsatisfiable == "DoNotSchedule":
                found = {**self._skewed(constraint), **found}
        for name, why in (*self._away().items(), *self._unwanted().items()):
            found.setdefault(name, why)
        return found

    def preferences(self) -> Counter[str]:
        """By the name of a node: the weights of affinities that hold there, less those of anti-affinities."""
        found: Counter[str] = Counter()
        spec = self.pod.spec
        for affinity, sign in ((spec.pod_affinity, 1), (spec.pod_anti_affinity, -1)):
            for weighted in (affinity or _NOTHING).preferred:
                term = weighted.pod_affinity_term
                domains = self._domains(term, self.pod)
                for name, node in self.nodes.items():
                    if node.meta.labels.get(term.topology_key) in domains:
                        found[name] += sign * weighted.weight
        return found

    def crowds(self) -> Counter[str]:
        """By the name of a node: how many of the pods that this one would rather be away from it would meet."""
        found: Counter[str] = Counter()
        for constraint in self.pod.spec.topology_spread:
            if constraint.when_unsatisfiable == "ScheduleAnyway":
                counts = self._counts(constraint)
                for name, node in self.nodes.items():
                    # A node without the label is in no domain: the last to be chosen.
                    domain = node.meta.labels.get(constraint.topology_key)
                    found[name] += len(self.placed) + 1 if domain is None else counts.get(domain, 0)
        return found

    # Spread

    def _counts(self, constraint: TopologySpreadConstraint) -> dict[str, int]:
        """Pods that count, in each domain that has an eligible node."""
        counts: dict[str, int] = {}
        eligible = {name for name, node in self.nodes.items() if self._eligible(constraint, node)}
        for name in eligible:
            counts.setdefault(self.nodes[name].meta.labels[constraint.topology_key], 0)
        selector = _narrowed(constraint.label_selector, self.pod, constraint.match_label_keys)
        for other in self.placed:
            if (
                other.spec.node_name in eligible
                and other.meta.namespace == self.pod.meta.namespace
                and other.meta.deletion_s is None
                and selector is not None
                and selector.matches(other.meta.labels)
            ):
                node = self.nodes[other.spec.node_name]
                counts[node.meta.labels[constraint.topology_key]] += 1
        return counts

    def _eligible(self, constraint: TopologySpreadConstraint, node: Node) -> bool:
        keys = {
            one.topology_key
            for one in self.pod.spec.topology_spread
            if one.when_unsatisfiable == constraint.when_unsatisfiable
        }
        if not keys <= node.meta.labels.keys():
            return False
        if constraint.node_taints_policy == "Honor" and obstacle(_anywhere(self.pod), node):
            return False
        return constraint.node_affinity_policy == "Ignore" or matches(self.pod.spec, node)

    def _skewed(self, constraint: TopologySpreadConstraint) -> dict[str, str]:
        counts = self._counts(constraint)
        fewest = min(counts.values(), default=0)
        if constraint.min_domains is not None and len(counts) < constraint.min_domains:
            fewest = 0
        selector = _narrowed(constraint.label_selector, self.pod, constraint.match_label_keys)
        itself = int(selector is not None and selector.matches(self.pod.meta.labels))
        found: dict[str, str] = {}
        for name, node in self.nodes.items():
            domain = node.meta.labels.get(constraint.topology_key)
            if domain is None:
                found[name] = _NO_LABEL
            elif counts.get(domain, 0) + itself - fewest > constraint.max_skew:
                found[name] = _SPREAD
        return found

    # Affinity

    def _away(self) -> dict[str, str]:
        """Nodes that lack a pod that must be near, or have one that must not."""
        found: dict[str, str] = {}
        spec = self.pod.spec
        terms = (spec.pod_affinity or _NOTHING).required
        near = [(term.topology_key, self._domains(term, self.pod)) for term in terms]
        # The first of pods that must be near their like has none to be near to.
        first = not any(there for _, there in near) and all(
            self._concerns(term, self.pod, self.pod) for term in terms
        )
        apart = [
            (term.topology_key, self._domains(term, self.pod))
            for term in (spec.pod_anti_affinity or _NOTHING).required
        ]
        for name, node in self.nodes.items():
            labels = node.meta.labels
            if any(
                key not in labels or (not first and labels[key] not in there) for key, there in near
            ):
                found[name] = _NO_AFFINITY
            elif any(labels.get(key) in there for key, there in apart):
                found[name] = _ANTI_AFFINITY
        return found

    def _unwanted(self) -> dict[str, str]:
        """Nodes near a pod that must not have this one near."""
        found: dict[str, str] = {}
        for other in self.placed:
            for term in (other.spec.pod_anti_affinity or _NOTHING).required:
                where = self._domain_of(other, term.topology_key)
                if where is not None and self._concerns(term, other, self.pod):
                    for name, node in self.nodes.items():
                        if node.meta.labels.get(term.topology_key) == where:
                            found[name] = _THEIR_ANTI_AFFINITY
        return found

    def _domains(self, term: PodAffinityTerm, whose: Pod) -> Collection[str]:
        """Values of the term's node label that have a pod which the term means."""
        found = {
            self._domain_of(other, term.topology_key)
            for other in self.placed
            if self._concerns(term, whose, other)
        }
        return {domain for domain in found if domain is not None}

    def _domain_of(self, pod: Pod, key: str) -> str | None:
        node = self.nodes.get(pod.spec.node_name)
        return node.meta.labels.get(key) if node else None

    def _concerns(self, term: PodAffinityTerm, whose: Pod, other: Pod) -> bool:
        """Whether a term of `whose` means `other`."""
        selector = _narrowed(term.label_selector, whose, term.match_label_keys)
        selector = _narrowed(selector, whose, term.mismatch_label_keys, "NotIn")
        if selector is None or not selector.matches(other.meta.labels):
            return False
        where = other.meta.namespace
        if not term.namespaces and term.namespace_selector is None:
            return where == whose.meta.namespace
        wanted = term.namespace_selector
        named = wanted is not None and wanted.matches(self.namespaces.get(where, {}))
        return where in term.namespaces or named


def _narrowed(
    selector: LabelSelector | None, pod: Pod, keys: Iterable[str], operator: str = "In"
) -> LabelSelector | None:
    """The selector with what the pod's own labels add to it."""
    if selector is None:
        return None
    more = tuple(
        LabelSelectorRequirement(key, operator, (pod.meta.labels[key],))
        for key in keys
        if key in pod.meta.labels
    )
    return replace(selector, match_expressions=(*selector.match_expressions, *more))


def _anywhere(pod: Pod) -> PodSpec:
    return replace(pod.spec, node_selector={}, node_affinity=None)


def namespaces_of(snapshot: Snapshot) -> dict[str, Labels]:
    """The labels of every namespace that has some."""
    return {item.meta.name: item.meta.labels for item in snapshot.list(Namespace)}
