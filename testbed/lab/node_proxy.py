"""What the lab asks of whatever makes service addresses work on a node: our loop, or somebody else's proxy."""

from __future__ import annotations

from typing import Protocol


class NodeProxy(Protocol):
    """A node's proxy of one IP family; somebody else's looks after all of them."""

    @property
    def error(self) -> str:
        """What is wrong with it; "" where nothing is."""

    @property
    def stalled(self) -> bool:
        """It was told to, and has not been told to go on."""

    def start(self) -> None:
        """Let it begin."""

    async def stop(self) -> None:
        """End it. Rules may stay."""

    async def synced(self, resource_version: int) -> None:
        """Returns when it is in place for that state, as far as that can be known."""

    async def observed(self) -> str:
        """What the node holds now, as its tools print it. Raises CommandFailed."""

    async def stall(self) -> int:
        """Change nothing until `resume`; the instant (ns)."""

    def resume(self) -> None:
        """End a stall."""

    async def restart(self) -> int:
        """End it and start it anew; the instant (ns) it had ended."""
