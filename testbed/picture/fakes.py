"""Fake nodes as cards: one for each entry of the topology, however many it stands for."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.picture.scene import Scene
from testbed.picture.shapes import Card


def fake_cards(scene: Scene) -> Iterator[Card]:
    """They hang on no switch: nothing is there."""
    for key, nodes in scene.fakes.items():
        pods = sum(len(scene.pods.get(node.meta.name, ())) for node in nodes)
        ready = sum(node.ready for node in nodes)
        many = len(nodes) > 1
        lines = (
            *((f"{nodes[0].meta.name} to {nodes[-1].meta.name}",) if many else ()),
            *((f"{ready} ready",) if ready < len(nodes) else ()),
            f"{pods} pod{'s' * (pods != 1)}",
            "only as objects",
        )
        title = f"{len(nodes)} fake nodes" if many else f"{nodes[0].meta.name} (fake)"
        yield Card(f"fake-{key}", "note", title, lines)
