"""The scene of a lab that runs."""

from __future__ import annotations

from testbed.lab.client import Lab
from testbed.model.topology import Topology
from testbed.picture.scene import Scene


def scene_of_lab(lab: Lab) -> Scene:
    """What the lab's store says now."""
    topology = Topology.model_validate(lab.topology())
    return Scene(lab.name, topology, lab.snapshot(), live=True)
