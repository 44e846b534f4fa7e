"""A lab whose machines are Mininet's (`runtime: mininet`), and the way to Mininet's CLI in it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from testbed.errors import CheckFailed, TestbedError
from testbed.faults.link_fault import LinkFault
from testbed.kernel import features
from testbed.kernel.features import Feature
from testbed.model.topology import Topology
from testbed.runtime.mininet import MininetMachines

CLI = "mininet"
"""WHERE of `exec` that is Mininet's CLI, in a lab in which no machine and no pod is called so."""
_KINDS = {"up": "heal", "down": "cut"}


class MininetLab:
    """What a lab has of Mininet; `machines` None: nothing."""

    def __init__(
        self, topology: Topology, folder: Path, inject: Callable[[LinkFault], Awaitable[None]]
    ) -> None:
        """`inject` does what the CLI's `link` asks for. Raises MissingFeature."""
        self.machines: MininetMachines | None = None
        self._inject = inject
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
        """The CLI's `link`: cut or heal what joins two machines; why that cannot be, or ""."""
        try:
            await self._inject(LinkFault(_KINDS[status], (one, other)))
        except CheckFailed:  # it is so already: Mininet says nothing
            return ""
        except TestbedError as error:
            return str(error)
        return ""
