"""One row per request, in a file that the generator fills through a memory map.

What has ended is in the file at once: neither Ctrl-C nor SIGKILL loses a sample. A header with the
names that rows refer to by number, then fixed-size rows; rows of zeros have not been written.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

OUTCOMES = (
    "ok",
    "refused",
    "reset",
    "closed",
    "timeout",
    "unreachable",
    "dns_error",
    "http_error",
    "wrong_backend",
    "client_error",
    "censored",
)
OUTCOME_NUMBERS = {name: number for number, name in enumerate(OUTCOMES, start=1)}
"""As rows hold them; 0 marks a row that was not written."""
TIMES = ("scheduled_ns", "start_ns", "resolved_ns", "connected_ns", "first_byte_ns", "end_ns")
COLUMNS = (
    *TIMES,
    "src_ip",
    "src_port",
    "target",
    "backend",
    "connection",
    "outcome",
    "status",
    "bytes",
)
"""Of a data frame of samples; the lab adds who and where (`client`, `client_node`, …)."""

_MAGIC = b"testbed samples 1\n"
_HEADER_SIZE = 1 << 20
_ROW = struct.Struct("<6q2I5HB5x")
_CHUNK_ROWS = 1 << 16  # a multiple of the page size in bytes, as mmap's offset must be
_CHUNK_SIZE = _CHUNK_ROWS * _ROW.size
_ROW_DTYPE = [
    *((name, "<i8") for name in TIMES),
    ("connection", "<u4"),
    ("bytes", "<u4"),
    ("src_ip", "<u2"),
    ("src_port", "<u2"),
    ("target", "<u2"),
    ("backend", "<u2"),
    ("status", "<u2"),
    ("outcome", "u1"),
    ("_", "V5"),
]


class SampleFile:
    """The writing side. Raises OSError where there is no room, never SIGBUS."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        os.posix_fallocate(self._fd, 0, _HEADER_SIZE)
        self._header = mmap.mmap(self._fd, _HEADER_SIZE)
        self._names: dict[str, int] = {"": 0}
        self._chunks = 0
        self.rows = 0
        self._offset = 0
        self._write_header()
        self._grow()

    def name(self, text: str) -> int:
        """The number that stands for a target, a source or a backend."""
        number = self._names.get(text)
        if number is None:
            number = self._names[text] = len(self._names)
            self._write_header()
        return number

    def add(self, *fields: int) -> None:
        """One row in the order of `_ROW_DTYPE`: six times (0: never came to it), then the rest."""
        _ROW.pack_into(self._map, self._offset, *fields)
        self.rows += 1
        self._offset += _ROW.size
        if self._offset == _CHUNK_SIZE:
            self._grow()

    def _grow(self) -> None:
        start = _HEADER_SIZE + self._chunks * _CHUNK_SIZE
        os.posix_fallocate(self._fd, start, _CHUNK_SIZE)
        self._map = mmap.mmap(self._fd, _CHUNK_SIZE, offset=start)
        self._chunks += 1
        self._offset = 0

    def _write_header(self) -> None:
        text = _MAGIC + json.dumps(list(self._names)).encode() + b"\n"
        if len(text) > _HEADER_SIZE:
            raise OSError(f"more names of backends than {_HEADER_SIZE} bytes hold")
        self._header[: len(text)] = text

    def close(self) -> None:
        """Give back the room that was not needed."""
        os.ftruncate(self._fd, _HEADER_SIZE + self.rows * _ROW.size)
        os.close(self._fd)


def read(path: Path) -> pd.DataFrame:
    """The samples of a load, in the order in which they ended; columns are `COLUMNS`.

    Times are CLOCK_MONOTONIC nanoseconds, <NA> where a request never came so far. Raises UsageError
    for a file of another kind, OSError.
    """
    import numpy as np
    import pandas as pd

    with path.open("rb") as file:
        header = file.read(_HEADER_SIZE)
        content = file.read()
    if not header.startswith(_MAGIC):
        raise UsageError(f"{path} holds no samples")
    names = np.array(json.loads(header[len(_MAGIC) :].split(b"\n", 1)[0]), dtype=object)
    names[0] = pd.NA
    whole = len(content) - len(content) % _ROW.size
    rows = np.frombuffer(content[:whole], np.dtype(_ROW_DTYPE))
    rows = rows[rows["outcome"] > 0]
    columns: dict[str, object] = {}
    for name in TIMES:
        times = pd.Series(rows[name].astype("int64"), dtype="Int64")
        columns[name] = times.mask(times == 0)
    for name in ("src_ip", "target", "backend"):
        columns[name] = pd.array(names[rows[name]], dtype="string")
    for name in ("src_port", "connection", "status", "bytes"):
        columns[name] = rows[name].astype("int64")
    columns["outcome"] = pd.array(np.array(OUTCOMES, dtype=object)[rows["outcome"] - 1], "string")
    return pd.DataFrame(columns)[list(COLUMNS)]
