"""What DNS servers are told, and when their node cannot be told anything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

from testbed.dns.wire import A, rcode_text
from testbed.dns.zone import Zone
from testbed.dns.zone_options import ZoneOptions
from testbed.lab.dns_feed import DnsFeed
from testbed.model.containers import Container
from testbed.model.documents import Namespace
from testbed.model.manifest import what_is_known
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from testbed.model.objects.services import Service, ServicePort
from testbed.runtime.processes import LabProcess
from testbed.store import Create, Delete, Store, Update


@dataclass
class Server:
    """The end of a channel that keeps what it is sent."""

    running: bool = True
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def channel(self) -> Server:
        return self

    def send(self, message: dict[str, Any]) -> None:
        self.told.append(message)

    def names(self) -> list[str]:
        """Of the services that it was told of."""
        return [
            item["metadata"]["name"]
            for message in self.told
            for item in (
                *message.get("objects", ()),
                *(change["object"] for change in message.get("changes", ())),
            )
            if item["kind"] == "Service"
        ]

    def zone(self) -> Zone:
        """The names that it makes of what it was told, where pods are verified."""
        zone = Zone(ZoneOptions(pods="verified"))
        for message in self.told:
            if "corefile" in message:
                continue
            changes = [(change["type"], change["object"]) for change in message.get("changes", ())]
            changes += [("ADDED", item) for item in message.get("objects", ())]
            known = [(kind, what_is_known(manifest)) for kind, manifest in changes]
            zone, _ = zone.after(known, message["resource_version"])
        return zone

    def says(self, name: str) -> str:
        found = self.zone().lookup(name, A)
        return rcode_text(found.rcode) if found.answers or found.rcode else "NODATA"


def test_a_node_that_is_cut_off_hears_later_what_the_others_hear_now() -> None:
    store = Store(lambda: 0.0)
    feed = DnsFeed(store)
    near, far, late = Server(), Server(), Server()
    store.apply([Create(Service(ObjectMeta("first", "default")))])
    feed.add(cast(LabProcess, near), "n1")
    feed.add(cast(LabProcess, far), "n2")
    feed.hold("n2")
    store.apply([Create(Service(ObjectMeta("second", "default")))])
    feed.add(cast(LabProcess, late), "n2")
    store.apply([Create(Service(ObjectMeta("third", "default")))])
    assert near.names() == ["first", "second", "third"]
    assert (far.names(), late.names()) == (["first"], [])
    feed.release("n2")
    assert far.names() == ["first", "second", "third"]
    assert late.names() == ["first", "second", "third"]


def test_nothing_is_held_of_a_node_that_is_heard() -> None:
    store = Store(lambda: 0.0)
    feed, server = DnsFeed(store), Server()
    feed.add(cast(LabProcess, server), "n1")
    feed.hold("n1")
    feed.release("n1")
    feed.release("n1")
    store.apply([Create(Service(ObjectMeta("first", "default")))])
    assert server.names() == ["first"]


def service(name: str, namespace: str, port: int = 80) -> Service:
    return Service(ObjectMeta(name, namespace), (ServicePort(port),))


def test_a_node_that_is_cut_off_misses_a_state_however_many_changes_there_are() -> None:
    store = Store(lambda: 0.0)
    feed = DnsFeed(store)
    server = Server()
    store.apply(Create(service(name, "default")) for name in ("kept", "gone"))
    feed.add(cast(LabProcess, server), "n2", pods=True)
    feed.hold("n2")
    for number in range(100):
        store.apply([Create(pod(f"web-{number}", "shop", "10.244.1.2"))])
        store.apply([Create(service(f"passing-{number}", "shop"))])
        feed.hold("n2")
        store.apply([Delete("Service", "shop", f"passing-{number}")])
        store.apply([Delete("Pod", "shop", f"web-{number}")])
        feed.tell_all({"corefile": str(number)})
    store.apply([Delete("Service", "default", "gone"), Create(pod("web", "shop", "10.244.1.3"))])
    store.apply([Update(service("kept", "default", 81))])
    assert len(server.told) == 1
    feed.release("n2")
    _, missed, corefile = server.told
    assert [(one["type"], one["object"]["metadata"]["name"]) for one in missed["changes"]] == [
        ("DELETED", "gone"),
        ("ADDED", "shop"),
        ("MODIFIED", "kept"),
        ("ADDED", "web"),
    ]
    assert missed["resource_version"] == store.resource_version
    assert corefile == {"corefile": "99"}
    assert server.says("10-244-1-3.shop.pod.cluster.local") == "NOERROR"


def test_a_server_that_came_while_its_node_was_cut_off_is_told_all_at_once() -> None:
    store = Store(lambda: 0.0)
    feed, server = DnsFeed(store), Server()
    feed.hold("n2")
    feed.add(cast(LabProcess, server), "n2")
    store.apply([Create(pod("web", "shop", "10.244.1.3"))])
    feed.add_pods(cast(LabProcess, server))
    feed.release("n2")
    (whole,) = server.told
    assert whole["synced"] is True
    assert server.says("10-244-1-3.shop.pod.cluster.local") == "NOERROR"


def test_a_server_that_comes_to_verify_pods_while_it_hears_nothing() -> None:
    store = Store(lambda: 0.0)
    feed, server = DnsFeed(store), Server()
    store.apply([Create(pod("web", "shop", "10.244.1.3"))])
    feed.add(cast(LabProcess, server), "n2")
    feed.hold("n2")
    feed.add_pods(cast(LabProcess, server))
    assert len(server.told) == 1
    feed.release("n2")
    assert server.says("10-244-1-3.shop.pod.cluster.local") == "NOERROR"
    feed.hold("n2")
    feed.release("n2")
    assert len(server.told) == 2  # there is no news


def heard(store: Store, *, pods: bool = False) -> Server:
    """A new server of the store's."""
    server = Server()
    DnsFeed(store).add(cast(LabProcess, server), "n1", pods=pods)
    return server


def pod(name: str, namespace: str, ip: str) -> Pod:
    spec = PodSpec((Container("web", "nginx"),), node_name="n1")
    return Pod(ObjectMeta(name, namespace), spec, PodStatus("Running", (ip,)))


def test_a_namespace_is_there_from_birth_or_as_soon_as_something_is_in_it() -> None:
    store = Store(lambda: 0.0)
    store.apply([Create(pod("web-0", "shop", "10.244.1.2"))])
    server = heard(store)
    store.apply([Create(pod("web-0", "bank", "10.244.1.3"))])
    names = ("default", "kube-system", "shop", "bank", "none")
    said = [server.says(f"{name}.svc.cluster.local") for name in names]
    assert said == ["NODATA"] * 4 + ["NXDOMAIN"]


def test_namespaces_that_somebody_makes_and_deletes() -> None:
    store = Store(lambda: 0.0)
    server = heard(store)
    for write, expected in (
        (Create(Namespace(ObjectMeta("mine"))), "NODATA"),
        (Delete("Namespace", "", "mine"), "NXDOMAIN"),
        (Create(Service(ObjectMeta("web", "mine"), (ServicePort(80),))), "NODATA"),
    ):
        store.apply([write])
        assert server.says("mine.svc.cluster.local") == expected


def test_pods_are_told_to_those_who_verify_them() -> None:
    store = Store(lambda: 0.0)
    store.apply([Create(pod("web-0", "shop", "10.244.1.2"))])
    server, idle = heard(store, pods=True), heard(store)
    name = "10-244-1-2.shop.pod.cluster.local"
    assert (server.says(name), idle.says(name)) == ("NOERROR", "NXDOMAIN")
    before = len(server.told)
    store.apply([Update(replace(pod("web-0", "shop", "10.244.1.2"), spec=PodSpec(())))])
    assert len(server.told) == before  # nothing that concerns its name
    store.apply([Update(pod("web-0", "shop", "10.244.1.9"))])
    assert server.says(name) == "NXDOMAIN"
    assert server.says("10-244-1-9.shop.pod.cluster.local") == "NOERROR"
    store.apply([Delete("Pod", "shop", "web-0")])
    assert server.says("10-244-1-9.shop.pod.cluster.local") == "NXDOMAIN"
    assert len(idle.told) == 1


def test_a_server_may_come_to_verify_pods() -> None:
    store = Store(lambda: 0.0)
    store.apply([Create(pod("web-0", "shop", "10.244.1.2"))])
    server, feed = Server(), DnsFeed(store)
    feed.add(cast(LabProcess, server), "n1")
    feed.add_pods(cast(LabProcess, server))
    feed.add_pods(cast(LabProcess, server))
    assert server.says("10-244-1-2.shop.pod.cluster.local") == "NOERROR"
    assert len(server.told) == 2
