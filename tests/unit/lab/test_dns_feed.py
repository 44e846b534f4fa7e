"""What DNS servers are told, and when their node cannot be told anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from testbed.lab.dns_feed import DnsFeed
from testbed.model.objects import ObjectMeta, Service
from testbed.runtime.processes import LabProcess
from testbed.store import Create, Store


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
        ]


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
