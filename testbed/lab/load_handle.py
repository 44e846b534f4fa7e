"""Traffic that runs, as whoever started it sees it, and what it measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.lab.wire import Connection
from testbed.traffic.spec import LoadSpec

Progress = Callable[[Any], None]
"""Is told how far something has come."""


def quiet(progress: Any) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load measured: DESIGN's JSON of `load`, and the file of all samples."""

    summary: dict[str, Any]
    samples: Path
    started_ns: int
    report: dict[str, Any]
    """What the generator said of itself: lag, requests, whether it was stopped early."""


class LoadHandle:
    """Traffic that runs."""

    def __init__(self, spec: LoadSpec, connection: Connection) -> None:
        self.spec = spec
        self._connection = connection
        self._ident = connection.start("load", {"spec": spec.to_json()})

    def stop(self) -> None:
        """Ask for an early end; `wait` then returns what was measured so far."""
        self._connection.start("stop_load", {"id": self._ident})

    def wait(self, on_progress: Progress = quiet) -> LoadResult:
        """Return when the traffic has ended."""
        from testbed.traffic.samples import read
        from testbed.traffic.summary import summarise

        try:
            answer = self._connection.answer(self._ident, on_progress)
        finally:
            self._connection.close()
        path = Path(answer["samples"])
        elapsed_s = (answer["ended_ns"] - answer["started_ns"]) / 1e9
        summary = summarise(read(path), self.spec, answer["backends"], elapsed_s)
        return LoadResult(summary, path, int(answer["started_ns"]), answer)
