"""The scene of a lab that runs, for `graph`."""

from __future__ import annotations

from testbed.lab.client import Lab
from testbed.live.tally import Addresses, counts
from testbed.model.topology import Topology
from testbed.picture.scene import Scene


def scene_of_lab(lab: Lab) -> Scene:
    """What the lab's store says now, and whom nodes picked while somebody watched."""
    topology = Topology.model_validate(lab.topology())
    picked = counts(map(tuple, lab.picks()), Addresses(lab.inspect()))
    return Scene(lab.name, topology, lab.snapshot(), live=True, picked=picked)
