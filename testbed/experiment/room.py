"""Whether results can be written: room on the disk, a folder that takes them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import OutOfTimeOrRoom

MIN_FREE_BYTES = 8 << 20
"""Room asked for before each trial: several times what 100,000 requests take."""


@contextmanager
def room_in(where: Path) -> Iterator[None]:
    """Says where there is no room, instead of an OSError. Raises OutOfTimeOrRoom."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise OutOfTimeOrRoom(f"no room left in {where}", "free some, or choose -d") from error
        raise OutOfTimeOrRoom(
            f"cannot write results in {where}: {error.strerror}", "choose another folder with -d"
        ) from error


def require_room(where: Path) -> None:
    """Raises OutOfTimeOrRoom unless a trial can be expected to fit."""
    with room_in(where):
        free = shutil.disk_usage(where).free
    if free < MIN_FREE_BYTES:
        raise OutOfTimeOrRoom(
            f"{where} has {free / 2**20:.1f} MiB left, a trial may need {MIN_FREE_BYTES >> 20} MiB",
            "free some room, or choose -d",
        )


def prove_writable(directory: Path) -> None:
    """A full or read-only file system is found before the first lab, by writing a block."""
    probe = directory / ".probe"
    with probe.open("wb") as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
    probe.unlink()
