"""What a server accepted, in a file that outlives it: a ring of records behind a count.

The server writes through a shared memory map, so that a SIGKILL between two instructions loses
nothing; a server that is restarted in place goes on where the last one stopped.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.ip import packed_as_ipv6, spelled

if TYPE_CHECKING:
    import pandas as pd

CAPACITY = 65_536
"""Records kept: the newest ones."""
TCP, UDP = 6, 17
"""Protocol numbers of IP: a TCP connection that was accepted, a UDP request that was read."""

_COUNT = struct.Struct("<Q")
_HEADER_SIZE = 64
_RECORD = struct.Struct("<Q16sHBx")
_SIZE = _HEADER_SIZE + CAPACITY * _RECORD.size


class AcceptLog:
    """The writing side. Raises OSError where the file cannot be made."""

    def __init__(self, path: Path) -> None:
        with path.open("a+b") as file:
            file.truncate(_SIZE)
            self._map = mmap.mmap(file.fileno(), _SIZE)
        self._count = _COUNT.unpack_from(self._map)[0]
        self._packed: dict[str, bytes] = {}

    def record(self, t_ns: int, ip: str, port: int, protocol: int = TCP) -> None:
        """Note one client; `t_ns` is CLOCK_MONOTONIC. The record is whole before it counts."""
        packed = self._packed.get(ip)
        if packed is None:
            packed = self._packed[ip] = packed_as_ipv6(ip)
        offset = _HEADER_SIZE + self._count % CAPACITY * _RECORD.size
        _RECORD.pack_into(self._map, offset, t_ns, packed, port, protocol)
        self._count += 1
        _COUNT.pack_into(self._map, 0, self._count)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The reading side: `rows` (t_ns, src_ip, src_port, protocol), oldest first.

    `lost` is how many older ones were overwritten.
    """

    rows: pd.DataFrame
    lost: int


def read_accept_log(path: Path) -> Accepted:
    """What is in the file now. Raises OSError, and ValueError for a file of another kind."""
    import numpy as np
    import pandas as pd

    data = path.read_bytes()
    if len(data) != _SIZE:
        raise ValueError(f"{path} is not an accept log: {len(data)} bytes, not {_SIZE}")
    count = _COUNT.unpack_from(data)[0]
    kind = np.dtype(
        [("t_ns", "<u8"), ("ip", "V16"), ("port", "<u2"), ("protocol", "u1"), ("_", "u1")]
    )
    ring = np.frombuffer(data, kind, offset=_HEADER_SIZE)
    kept = min(count, CAPACITY)
    records = np.roll(ring, -(count % CAPACITY))[CAPACITY - kept :] if count > kept else ring[:kept]
    rows = pd.DataFrame(
        {
            "t_ns": records["t_ns"].astype("int64"),
            "src_ip": [spelled(ip.tobytes()) for ip in records["ip"]],
            "src_port": records["port"].astype("int64"),
            "protocol": records["protocol"].astype("int64"),
        }
    )
    return Accepted(rows, count - kept)
