"""Who runs the blocks of a run: this process, several beside each other, or other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

Finished = Mapping[str, tuple[str, ...]]
"""Trials by id, each with the reasons that make it invalid."""
Files = Mapping[str, bytes]
"""All that is stored of a trial: the files of its folder, by path in it."""


class Blocks(Protocol):
    """The blocks of a run, as an executor is handed them."""

    def __call__(self, number: int) -> None:
        """Run a block here and store its trials. Raises TestbedError."""

    def finished(self, number: int) -> Finished:
        """Those of the block's trials that are stored already."""

    def take_in(self, trials: Mapping[str, Files]) -> None:
        """Store trials that ran elsewhere, in the order in which they did."""


Executor = Callable[[Iterator[int], Blocks], Iterator[int]]
"""Runs the blocks of these numbers, in whatever order, and yields each one's number when it is done. It asks
for a number only when it can begin that block: later ones may never be wanted."""
