"""The controllers of a lab: which there are, and what runs them from its beginning on."""

from __future__ import annotations

from testbed.clock import now_s
from testbed.controllers import builtin
from testbed.controllers.decision import Controller
from testbed.controllers.heartbeats import Heartbeats
from testbed.controllers.loop import ControllerLoop
from testbed.controllers.timing import NodeTiming
from testbed.lab.fakes import Fakes
from testbed.lab.setting import Setting
from testbed.model.timing import Timing


class LabControllers:
    """They run as soon as they are made. `more`: those of its load balancers."""

    def __init__(
        self, setting: Setting, heartbeats: Heartbeats, more: tuple[Controller, ...]
    ) -> None:
        of_nodes = builtin.of_nodes(heartbeats, _node_timing(setting.topology.timing))
        self._begun = tuple([one.begun() for one in (*builtin.CONTROLLERS, *of_nodes, *more)])
        self._loop = ControllerLoop(setting.store, self._begun, now_s, setting.delays)
        self._loop.start()
        self.fakes = Fakes(setting.store, setting.topology, setting.delays)

    @property
    def every(self) -> tuple[Controller, ...]:
        """All that may still have something to write."""
        return (*self._begun, *self.fakes.controllers)


def _node_timing(timing: Timing) -> NodeTiming:
    return NodeTiming(
        timing.node_monitor_period_s,
        timing.node_monitor_grace_period_s,
        timing.not_ready_toleration_s,
    )
