"""The recording of conntrack entries: a line that names the nodes, then records of one size.

A record is what the kernel of one node decided for one connection: the reply's source is the
backend that it picked, the reply's destination the address that the backend sees.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.ip import host_port
from testbed.traffic import ctnetlink

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FORMAT = "testbed-conntrack-2"
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

_RECORD = struct.Struct("<QHB 16s16sB2s2s 16s16sB2s2s 3x")
_IPV6 = 0x80
"""Of a record's event: its addresses are 16 bytes long, not 4 and zeros."""
_NODE_AND_EVENT, _PROTOCOL, _TO, _TO_PORT = (
    slice(8, 11),
    slice(43, 44),
    slice(27, 43),
    slice(46, 48),
)
_ENDPOINT, _ENDPOINT_PORT = slice(48, 64), slice(81, 83)
"""Of a record: the destination that the client dialled, and the source of the reply."""
_DIRECTION = [
    ("src_ip", "V16"),
    ("dst_ip", "V16"),
    ("protocol", "u1"),
    ("src_port", ">u2"),
    ("dst_port", ">u2"),
]


def header(nodes: Sequence[str]) -> bytes:
    """The file's first line; records name a node by its place here."""
    return json.dumps({"format": FORMAT, "nodes": list(nodes)}).encode() + b"\n"


def record(t_ns: int, node: int, kind: int, entry: ctnetlink.Fields) -> bytes:
    """One record. `t_ns`: CLOCK_MONOTONIC when the event came; `kind`: the message's type."""
    event = EVENTS[kind] | (_IPV6 if len(entry[0]) == 16 else 0)
    return _RECORD.pack(t_ns, node, event, *entry)


def pick_of(entry: bytes) -> bytes | None:
    """What all connections have in common that one node sent from one service address to one endpoint, to
    count a record by; None where the node redirected nothing.
    """
    to, to_port = entry[_TO], entry[_TO_PORT]
    endpoint, endpoint_port = entry[_ENDPOINT], entry[_ENDPOINT_PORT]
    if to == endpoint and to_port == endpoint_port:
        return None
    return entry[_NODE_AND_EVENT] + entry[_PROTOCOL] + to_port + endpoint_port + to + endpoint


def spelled_pick(pick: bytes) -> tuple[int, int, str, str]:
    """(place of the node, IP's number of the protocol, service address, endpoint), as in `10.96.0.1:80`."""
    place, event = struct.unpack_from("<HB", pick)
    size = 16 if event & _IPV6 else 4
    to_port, endpoint_port = struct.unpack_from("!HH", pick, 4)
    to, endpoint = (str(ip_address(pick[at : at + size])) for at in (8, 24))
    return place, pick[3], host_port(to, to_port), host_port(endpoint, endpoint_port)


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
    ipv6 = rows["event"] >= _IPV6
    places = {"node": rows["node"], "event": rows["event"] % _IPV6}
    texts = {"node": np.array([*nodes, ""], object), "event": np.array(EVENT_NAMES, object)}
    columns = {}
    for name, form in COLUMNS.items():
        if name in texts:
            columns[name] = pd.Series(texts[name][places[name]], dtype=form)
        elif name.endswith("_ip"):
            columns[name] = pd.Series(_spelled(rows[name], ipv6), dtype=form)
        else:
            columns[name] = pd.Series(rows[name].astype("int64"), dtype=form)
    return pd.DataFrame(columns)


def _spelled(addresses: np.ndarray, ipv6: np.ndarray) -> np.ndarray:
    """Addresses as text; each distinct one is spelled once."""
    import numpy as np

    found = np.empty(len(addresses), object)
    for of_family, size in ((~ipv6, 4), (ipv6, 16)):
        # As text of bytes, which numpy can sort; it cuts zeros off the end.
        texts = np.ascontiguousarray(addresses[of_family]).view("S16")
        distinct, places = np.unique(texts, return_inverse=True)
        spelled = [str(ip_address(bytes(one)[:size].ljust(size, b"\0"))) for one in distinct]
        found[of_family] = np.array(spelled, object)[places]
    return found
