"""Fake nodes in pictures: one card an entry, on no switch; their pods get the shares that live nodes give."""

from __future__ import annotations

from testbed.model.topology import Topology
from testbed.picture.physical import physical
from testbed.picture.pods import pods
from testbed.picture.scene import scene_of
from testbed.picture.services import services

SCENE = scene_of(
    Topology.model_validate(
        {
            "name": "lab",
            "dns": {"replicas": 0},
            "nodes": {"n1": {}, "ghost": {"fake": 40}, "lone": {"fake": True}},
            "workloads": {"crowd": {"fake": 2, "replicas": 30}},
            "services": {"crowd": {"port": 80}},
        }
    )
)


def test_each_entry_is_one_card_that_nothing_joins() -> None:
    for picture in (physical(SCENE), pods(SCENE)):
        cards = {card.key: card for card in picture.cards}
        assert cards["fake-ghost"].title == "40 fake nodes"
        assert "ghost-0 to ghost-39" in cards["fake-ghost"].lines
        assert cards["fake-lone"].title == "lone (fake)"
        ends = {end for line in picture.lines for end in (line.tail, line.head)}
        assert not ends & {"fake-ghost", "fake-lone"}
    assert [node.meta.name for node in SCENE.nodes] == ["n1"]


def test_endpoints_of_many_fake_nodes_are_drawn_together() -> None:
    cards = [card for card in services(SCENE).cards if card.kind == "endpoint"]
    assert {card.lines[0] for card in cards} == {"on fake nodes ghost", "on lone"}
    assert SCENE.tables[0].node == "n1"
