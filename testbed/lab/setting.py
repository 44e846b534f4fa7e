"""What a lab begins with: all that it is made of is made of this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.controllers.timing import Delays
from testbed.events import Record
from testbed.model.topology import Topology
from testbed.runtime.processes import Processes
from testbed.store import Store

if TYPE_CHECKING:  # which are made of it, too
    from testbed.lab.programs import Programs


@dataclass(frozen=True, slots=True)
class Setting:
    """Of one lab."""

    topology: Topology
    """What it is to be at first; whoever has to know is told what it becomes."""
    folder: Path
    store: Store
    programs: Programs
    record: Record
    delays: Delays
    """What all of its watches and writes wait for."""

    @property
    def name(self) -> str:
        """The lab's."""
        return self.folder.name

    @property
    def processes(self) -> Processes:
        """What forks servers and clients."""
        return self.programs.processes
