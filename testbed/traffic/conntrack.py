"""The recording of conntrack entries: a line that names the nodes, then records of one size.

A record is what the kernel of one node decided for one connection: the reply's source is the
backend that it picked, the reply's destination the address that the backend sees.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.traffic import ctnetlink

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FORMAT = "testbed-conntrack-1"
EVENTS = {ctnetlink.NEW: 0, ctnetlink.DESTROY: 1}
"""Message type -> the record's event; `EVENT_NAMES` are in this order."""

EVENT_NAMES = ("new", "destroy")
COLUMNS = {
    "t_ns": "int64",
    "node": "str",
    "protocol": "int64",
    "src_ip": "str",
    "src_port": "int64",
    "dst_ip": "str",
    "dst_port": "int64",
    "reply_src_ip": "str",
    "reply_src_port": "int64",
    "reply_dst_ip": "str",
    "reply_dst_port": "int64",
    "event": "str",
}
"""Columns of `read_entries`; `protocol` is IP's number (6: TCP, 17: UDP)."""

_RECORD = struct.Struct("<QHB 4s4sB2s2s 4s4sB2s2s 3x")
_DIRECTION = [
    ("src_ip", ">u4"),
    ("dst_ip", ">u4"),
    ("protocol", "u1"),
    ("src_port", ">u2"),
    ("dst_port", ">u2"),
]


def header(nodes: Sequence[str]) -> bytes:
    """The file's first line; records name a node by its place here."""
    return json.dumps({"format": FORMAT, "nodes": list(nodes)}).encode() + b"\n"


def record(t_ns: int, node: int, kind: int, entry: ctnetlink.Fields) -> bytes:
    """One record. `t_ns`: CLOCK_MONOTONIC when the event came; `kind`: the message's type."""
    return _RECORD.pack(t_ns, node, EVENTS[kind], *entry)


def read_entries(path: Path | str) -> pd.DataFrame:
    """One row per event, in the order in which they came; columns as `COLUMNS`.

    A record that was being written when the recorder was killed is left out. Raises OSError, and
    ValueError for a file of another kind.
    """
    import numpy as np
    import pandas as pd

    first, newline, rest = Path(path).read_bytes().partition(b"\n")
    try:
        nodes = json.loads(first)["nodes"] if newline else None
    except (ValueError, KeyError, TypeError):
        nodes = None
    if nodes is None:
        raise ValueError(f"{path} is not a recording of conntrack entries")
    kind = np.dtype(
        [("t_ns", "<u8"), ("node", "<u2"), ("event", "u1"), *_DIRECTION]
        + [(f"reply_{name}", form) for name, form in _DIRECTION]
        + [("_", "3u1")]
    )
    rows = np.frombuffer(rest, kind, count=len(rest) // _RECORD.size)
    texts = {"node": np.array([*nodes, ""], object), "event": np.array(EVENT_NAMES, object)}
    columns = {}
    for name, form in COLUMNS.items():
        if name in texts:
            columns[name] = pd.Series(texts[name][rows[name]], dtype=form)
        elif name.endswith("_ip"):
            columns[name] = pd.Series(_dotted(rows[name]), dtype=form)
        else:
            columns[name] = pd.Series(rows[name].astype("int64"), dtype=form)
    return pd.DataFrame(columns)


def _dotted(addresses: np.ndarray) -> np.ndarray:
    """IPv4 addresses as text; each distinct one is spelled once."""
    import numpy as np

    distinct, places = np.unique(addresses, return_inverse=True)
    octets = [int(address).to_bytes(4, "big") for address in distinct]
    return np.array([".".join(map(str, four)) for four in octets], object)[places]
