"""A lab whose machines are Mininet's (`runtime: mininet`), and the way to Mininet's CLI in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from testbed.kernel import features
from testbed.kernel.features import Feature
from testbed.model.topology import Topology
from testbed.runtime.interface import Underlay
from testbed.runtime.mininet import MininetMachines

CLI = "mininet"
"""WHERE of `exec` that is Mininet's CLI, in a lab in which no machine and no pod is called so."""


class MininetLab:
    """What a lab has of Mininet; `machines` None: nothing."""

    def __init__(self, topology: Topology, folder: Path, underlay: Callable[[], Underlay]) -> None:
        """`underlay` is that of the lab, once it is there. Raises MissingFeature."""
        self.machines: MininetMachines | None = None
        self._underlay = underlay
        if topology.runtime.nodes == "mininet":
            features.require(Feature.MININET)
            self.machines = MininetMachines(folder, self._linked)

    def command(self, words: Sequence[str]) -> list[str] | None:
        """What runs a line of the CLI (no words: what is typed there); None where there is no Mininet."""
        if self.machines is None:
            return None
        module = "testbed.runtime.mininet_user"
        return [sys.executable, "-m", module, str(self.machines.cli_socket), *words]

    async def _linked(self, one: str, other: str, status: str) -> str:
        """The CLI's `link`: cut or join all cables of two machines; why that cannot be, or ""."""
        underlay = self._underlay()
        names = [
            name
            for name, state in underlay.cables().items()
            if {end.machine for end in state.cable.ends} == {one, other}
        ]
        for name in names:
            (underlay.join if status == "up" else underlay.cut)(name)
        return "" if names else f"no link joins {one} and {other}"
