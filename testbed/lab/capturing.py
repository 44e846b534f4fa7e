"""A capture as its caller sees it: a pcapng stream that comes while it runs, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO

from testbed.errors import UsageError
from testbed.kernel.pcap_filter import Instruction, compiled
from testbed.lab.client import Lab
from testbed.lab.wire import Connection
from testbed.packets import pcapng


@dataclass(frozen=True, slots=True)
class CaptureSpec:
    """What to capture: all frames of these places (nodes, pods, hosts; `("all",)` is everywhere)."""

    where: tuple[str, ...]
    interface: str = ""
    """Only this one; "": all of a place."""
    filter: str = ""
    """pcap-filter(7)."""
    count: int | None = None
    duration_s: float | None = None

    def program(self) -> tuple[Instruction, ...]:
        """The filter, compiled. Raises UsageError, MissingFeature."""
        return compiled(self.filter) if self.filter else ()


class Capture:
    """A capture that runs. Read `stream` to its end, then ask `result`.

    As a context manager it ends with the block.
    """

    def __init__(self, lab: Lab, spec: CaptureSpec) -> None:
        """Returns when it listens. Raises UsageError, NotFound, MissingFeature (a filter needs libpcap)."""
        program: Sequence[Instruction] = spec.program()
        if spec.count is not None and spec.count < 1:
            raise UsageError(f"{spec.count} packets are none", "give at least 1")
        self._connection = Connection(lab.folder)
        read, write = os.pipe()
        self.stream: BinaryIO = os.fdopen(read, "rb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        params = {
            "where": list(spec.where),
            "interface": spec.interface,
            "program": program,
            "count": spec.count,
            "duration_s": spec.duration_s,
        }
        try:
            self._ident = self._connection.start("capture", params, (nothing, write))
        finally:
            os.close(nothing)
            os.close(write)
        try:
            self._connection.begun(self._ident)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, whatever it has not written yet. Idempotent."""
        self.stream.close()
        self._connection.close()

    def frames(self) -> Iterator[tuple[pcapng.Interface, pcapng.Frame]]:
        """Every frame with its interface, as they come."""
        interfaces: list[pcapng.Interface] = []
        for block in pcapng.read(self.stream):
            if isinstance(block, pcapng.Interface):
                interfaces.append(block)
            else:
                yield interfaces[block.interface], block

    def stop(self) -> None:
        """Ask for the end; what has come by now is still in the stream."""
        self._connection.start("stop_capture", {"id": self._ident})

    def result(self) -> dict[str, Any]:
        """{frames, lost}, when the stream has ended."""
        answer: dict[str, Any] = self._connection.answer(self._ident)
        return answer
