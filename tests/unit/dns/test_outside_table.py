"""The outside zone follows the store: what is told is exactly what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from testbed.dns.outside import PREFIX, leading_to
from testbed.dns.outside_table import OutsideTable
from testbed.dns.wire import Record
from testbed.model.containers import Container
from testbed.model.documents import Ingress
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from testbed.model.objects.services import LoadBalancerIngress, Service, ServicePort
from testbed.store import Change, Create, Delete, Store, Update, Write

ZONE = "example.test"


class Followed:
    """A store, and the table that follows it."""

    def __init__(self) -> None:
        self.store = Store(lambda: 0.0)
        self.table = OutsideTable(ZONE, 300, leading_to(f"client.{ZONE}", ("172.18.128.1",), None))
        self._changes: list[Change] = []
        self.store.watch(self._changes.extend)
        self.told: dict[str, list[str]] = {}
        """What somebody knows who was told each difference."""
        self.after()

    def after(self, *writes: Write) -> dict[str, list[str]]:
        """What is told of some writes: name -> data of its records."""
        self.store.apply(writes)
        found = self.table.follow(self._changes, self.store.snapshot())
        self._changes.clear()
        texts = data(found)
        self.told = {name: those for name, those in (self.told | texts).items() if those}
        assert self.told == data(self.table.records)
        return texts


def data(records: Mapping[str, tuple[Record, ...]]) -> dict[str, list[str]]:
    return {name: [one.data for one in those] for name, those in records.items()}


def service(name: str, kind: str = "NodePort", **fields: object) -> Service:
    notes = {f"{PREFIX}hostname": f"shop.{ZONE}"}
    item = Service(ObjectMeta(name, "default", annotations=notes), type=kind)
    ports = (ServicePort(80, "", "TCP", 8080, 30080),)
    return replace(item, ports=ports, selector={"app": "web"}, **fields)  # type: ignore[arg-type]


def test_outside_hosts_have_names_from_the_start() -> None:
    assert Followed().told == {f"client.{ZONE}": ["172.18.128.1"]}


def test_nodes_come_go_and_beat() -> None:
    followed = Followed()
    followed.after(Create(Node(ObjectMeta("n1"), ("172.18.0.2",))), Create(service("web")))
    assert followed.told[f"shop.{ZONE}"] == ["172.18.0.2"]
    two = Node(ObjectMeta("n2"), ("172.18.0.3",))
    assert followed.after(Create(two)) == {f"shop.{ZONE}": ["172.18.0.2", "172.18.0.3"]}
    have = followed.store.get(Node, "", "n2")
    assert followed.after(Update(replace(have, ready=True))) == {}
    assert followed.after(Delete("Node", "", "n1")) == {f"shop.{ZONE}": ["172.18.0.3"]}


def test_policy_local_follows_pods() -> None:
    followed = Followed()
    nodes = [Node(ObjectMeta(f"n{at}"), (f"172.18.0.{at}",)) for at in (1, 2)]
    followed.after(*map(Create, nodes), Create(service("web", external_traffic_policy="Local")))
    pod = Pod(
        ObjectMeta("web-0", "default", labels={"app": "web"}),
        PodSpec((Container("c", "echo"),), node_name="n2"),
        PodStatus("Running", ("10.244.1.2",), ready=True),
    )
    assert followed.after(Create(pod)) == {f"shop.{ZONE}": ["172.18.0.2"]}
    elsewhere = replace(pod, meta=replace(pod.meta, name="web-0", namespace="other"))
    assert followed.after(Create(elsewhere)) == {}
    assert followed.after(Delete("Pod", "default", "web-0")) == {f"shop.{ZONE}": []}


def test_a_load_balancer_gets_its_address_and_loses_its_annotation() -> None:
    followed = Followed()
    assert followed.after(Create(service("web", "LoadBalancer"))) == {}
    have = followed.store.get(Service, "default", "web")
    assigned = replace(have, load_balancer_ingress=(LoadBalancerIngress("203.0.113.7"),))
    assert followed.after(Update(assigned)) == {f"shop.{ZONE}": ["203.0.113.7"]}
    have = followed.store.get(Service, "default", "web")
    assert followed.after(Update(replace(have, meta=replace(have.meta, annotations={})))) == {
        f"shop.{ZONE}": []
    }


def test_an_ingress() -> None:
    followed = Followed()
    rest = {
        "spec": {"rules": [{"host": f"shop.{ZONE}"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}},
    }
    assert followed.after(Create(Ingress(ObjectMeta("shop", "default", rest=rest)))) == {
        f"shop.{ZONE}": ["203.0.113.9"]
    }
    assert followed.after(Delete("Ingress", "default", "shop")) == {f"shop.{ZONE}": []}


def test_what_nobody_publishes_tells_nothing() -> None:
    followed = Followed()
    plain = replace(service("plain"), meta=ObjectMeta("plain", "default"))
    assert followed.after(Create(Node(ObjectMeta("n1"), ("172.18.0.2",))), Create(plain)) == {}
