"""What will be wrong with the ingresses of a topology, before a lab is up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from testbed.edge.ingress import troubles_of
from testbed.edge.ingress_objects import IngressRules, carried, rules_of, with_classes
from testbed.edge.ingress_routes import Trouble, no_class
from testbed.model.documents import Ingress, IngressClass
from testbed.model.shorthand import expand
from testbed.model.topology import Topology
from testbed.store import Create, Key, Snapshot, Store

_NOTHING = Snapshot(0, {})


def foreseen(topology: Topology) -> list[str]:
    """Nothing where no controller is there to find it wrong. Clients may bring what is missing later."""
    if topology.ingress is None:
        return []
    items = with_classes(expand(topology), _NOTHING)
    if not any(isinstance(item, Ingress) for item in items):
        return []
    store = Store(lambda: 0.0)
    store.apply(map(Create, items))
    snapshot = store.snapshot()
    made = {(one.namespace, name) for name, one in topology.ingress.certificates.items()}
    served = [_certified(one, made) for one in carried(snapshot, topology.ingress.controller)]
    troubles = [*_classless(snapshot), *troubles_of(served, snapshot)]
    return [f"Ingress {'/'.join(one.ingress)}: {one.message}" for one in troubles]


def _certified(one: IngressRules, made: set[Key]) -> IngressRules:
    """As if it named no Secrets that the lab is going to make."""
    return replace(
        one,
        tls=tuple(
            replace(tls, secret="") if (one.key[0], tls.secret) in made else tls for tls in one.tls
        ),
    )


def _classless(snapshot: Snapshot) -> Iterator[Trouble]:
    for item in snapshot.list(Ingress):
        name, key = rules_of(item).class_name, (item.meta.namespace, item.meta.name)
        if name is None:
            message = "it names no IngressClass, and none is the default one"
            yield Trouble(key, "NoIngressClass", message)
        elif snapshot.get(IngressClass, "", name) is None:
            yield no_class(key, name)
