"""What a kernel tells of the rules that a traced packet meets, as `Hit` values.

Two ways: nf_tables' own trace messages (linux/netfilter/nf_tables.h, NFTA_TRACE_…), which iptables-nft's rules
cause, too; and, for iptables-legacy, what target TRACE says through nfnetlink_log (NFULA_…).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from testbed.packets.decode import Packet, decode
from testbed.packets.pcapng import RAW_IP
from testbed.traffic.ctnetlink import attributes

Kind = Literal["rule", "return", "policy"]

_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _ID = 1, 2, 3, 4, 5, 6
_NETWORK_HEADER, _TRANSPORT_HEADER, _MARK = 8, 9, 14
_KINDS: Mapping[int, Kind] = {1: "policy", 2: "return", 3: "rule"}
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2
_CODES = {0: "drop", 1: "accept", -1: "continue", -2: "break", -3: "jump", -4: "goto", -5: "return"}
_LOG_PAYLOAD, _LOG_PREFIX = 9, 10
_TRACE_PREFIX = re.compile(r"TRACE: (\w+):(\S+):(rule|return|policy):(\d+) ")


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule (or the end of a chain) that a packet met. One of `handle` and `number` says which one.

    `packet` is known where the kernel told: with each of legacy's hits, with the first of each base chain
    of nf_tables, whose hits of one packet share `packet_id`.
    """

    table: str
    chain: str
    kind: Kind
    handle: int = 0
    """nf_tables' number of a rule."""
    number: int = 0
    """A rule's place in its chain, from 1."""
    verdict: str = ""
    packet_id: int = 0
    packet: Packet | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        packet = None
        if self.packet is not None:
            packet = asdict(self.packet) | {
                "payload": self.packet.payload.decode("latin-1"),
                "quoted": None,
            }
        return asdict(self) | {"packet": packet}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Hit:
        """The hit that `to_json` wrote."""
        packet = data["packet"]
        if packet is not None:
            packet = Packet(**(packet | {"payload": packet["payload"].encode("latin-1")}))
        return cls(**(dict(data) | {"packet": packet}))


def of_nft(payload: bytes) -> Hit:
    """The hit in a message NFT_MSG_TRACE, behind struct nfgenmsg."""
    found = attributes(payload)
    network = found.get(_NETWORK_HEADER, b"")
    packet = decode(network + found.get(_TRANSPORT_HEADER, b""), RAW_IP) if network else None
    return Hit(
        table=_text(found.get(_TABLE, b"")),
        chain=_text(found.get(_CHAIN, b"")),
        kind=_KINDS.get(_number(found.get(_TYPE, b"")), "rule"),
        handle=_number(found.get(_HANDLE, b"")),
        verdict=_verdict(found.get(_VERDICT, b"")),
        packet_id=_number(found.get(_ID, b"")),
        packet=packet,
    )


def of_log(payload: bytes) -> Hit | None:
    """The hit in a message NFULNL_MSG_PACKET, behind struct nfgenmsg; None: no trace's."""
    found = attributes(payload)
    said = _TRACE_PREFIX.match(_text(found.get(_LOG_PREFIX, b"")))
    if said is None:
        return None
    kind: Any = said[3]
    packet = decode(found.get(_LOG_PAYLOAD, b""), RAW_IP)
    return Hit(said[1], said[2], kind, number=int(said[4]), packet=packet)


def _verdict(data: bytes) -> str:
    found = attributes(data)
    code = int.from_bytes(found.get(_VERDICT_CODE, b""), "big", signed=True)
    chain = _text(found.get(_VERDICT_CHAIN, b""))
    word = _CODES.get(code, "") if found else ""
    return f"{word} {chain}".strip()


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "replace")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
