"""Writing where the user said: a folder or a disk that refuses is told as such."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from testbed.errors import OutOfTimeOrRoom

T = TypeVar("T")


def written(path: Path, write: Callable[[Path], T]) -> T:
    """What `write` returns. Raises OutOfTimeOrRoom where the file cannot be written."""
    try:
        return write(path)
    except OSError as problem:
        raise OutOfTimeOrRoom(
            f"{path} cannot be written: {problem.strerror}",
            "make room there, or name a file where you may write",
        ) from problem
