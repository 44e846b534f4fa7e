"""Captured frames as a pcapng file (draft-ietf-opsawg-pcapng): every interface under its own name.

One section, little-endian, time in nanoseconds of CLOCK_REALTIME. What is written here, is read here;
files of other programs are for other programs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from testbed.errors import TestbedError

ETHERNET, RAW_IP = 1, 101
"""Link types (LINKTYPE_…): with an Ethernet header, or beginning with that of IP."""
Direction = Literal["in", "out"]

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_MAGIC = 0x1A2B3C4D
_END, _COMMENT = 0, 1
_APPLICATION = 4
_NAME, _DESCRIPTION, _RESOLUTION = 2, 3, 9
_FLAGS = 2
_NANOSECONDS = b"\x09"
_UNKNOWN_LENGTH = -1
_DIRECTIONS: dict[Direction, int] = {"in": 1, "out": 2}

_HEAD = struct.Struct("<II")
_SECTION_BODY = struct.Struct("<IHHq")
_INTERFACE_BODY = struct.Struct("<HHI")
_PACKET_BODY = struct.Struct("<IIIII")
_OPTION = struct.Struct("<HH")


@dataclass(frozen=True, slots=True)
class Interface:
    """Where frames were captured: `n1/eth0`; `about` says what hangs on it."""

    name: str
    link_type: int = ETHERNET
    about: str = ""

    @property
    def machine(self) -> str:
        """The node, host or pod that it belongs to."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame on one interface (its place in the file's list); `t_ns` is CLOCK_REALTIME.

    `direction` is the machine's: `in` is what it receives. `length` is the frame's on the wire.
    """

    interface: int
    t_ns: int
    direction: Direction
    data: bytes
    length: int = 0
    comment: str = ""


class NotPcapngError(TestbedError):
    """Bytes that `write` did not write."""


def section(application: str = "testbed") -> bytes:
    """How a file begins."""
    body = _SECTION_BODY.pack(_MAGIC, 1, 0, _UNKNOWN_LENGTH)
    return _block(_SECTION, body + _options([(_APPLICATION, application.encode())]))


def interface_block(interface: Interface) -> bytes:
    """Declares the file's next interface."""
    options = [(_NAME, interface.name.encode()), (_RESOLUTION, _NANOSECONDS)]
    if interface.about:
        options.insert(1, (_DESCRIPTION, interface.about.encode()))
    return _block(_INTERFACE, _INTERFACE_BODY.pack(interface.link_type, 0, 0) + _options(options))


def frame_block(frame: Frame) -> bytes:
    """One frame of an interface that is declared before."""
    high, low = frame.t_ns >> 32, frame.t_ns & 0xFFFFFFFF
    size = len(frame.data)
    length = frame.length or size
    options = [(_FLAGS, struct.pack("<I", _DIRECTIONS[frame.direction]))]
    if frame.comment:
        options.append((_COMMENT, frame.comment.encode()))
    body = _PACKET_BODY.pack(frame.interface, high, low, size, length) + _padded(frame.data)
    return _block(_PACKET, body + _options(options))


def read(stream: BinaryIO) -> Iterator[Interface | Frame]:
    """Interfaces and frames in the order of the file, as they come; a cut-off last block is left out.

    Raises NotPcapngError.
    """
    first = True
    while len(head := _exactly(stream, _HEAD.size)) == _HEAD.size:
        kind, size = _HEAD.unpack(head)
        if first != (kind == _SECTION) or size < 12 or size % 4:
            raise NotPcapngError("not a capture of this program")
        first = False
        rest = _exactly(stream, size - _HEAD.size)
        if len(rest) < size - _HEAD.size:
            return
        body = rest[:-4]
        if kind == _INTERFACE:
            yield _interface(body)
        elif kind == _PACKET:
            yield _frame(body)


def _interface(body: bytes) -> Interface:
    link_type, _, _ = _INTERFACE_BODY.unpack_from(body)
    options = _read_options(body[_INTERFACE_BODY.size :])
    about = options.get(_DESCRIPTION, b"").decode()
    return Interface(options.get(_NAME, b"").decode(), link_type, about)


def _frame(body: bytes) -> Frame:
    interface, high, low, size, length = _PACKET_BODY.unpack_from(body)
    data = body[_PACKET_BODY.size : _PACKET_BODY.size + size]
    options = _read_options(body[_PACKET_BODY.size + size + -size % 4 :])
    flags = int.from_bytes(options.get(_FLAGS, b""), "little") & 3
    direction: Direction = "out" if flags == _DIRECTIONS["out"] else "in"
    comment = options.get(_COMMENT, b"").decode()
    return Frame(interface, high << 32 | low, direction, data, length, comment)


def _block(kind: int, body: bytes) -> bytes:
    size = len(body) + 12
    return _HEAD.pack(kind, size) + body + struct.pack("<I", size)


def _options(options: list[tuple[int, bytes]]) -> bytes:
    packed = [_OPTION.pack(kind, len(value)) + _padded(value) for kind, value in options]
    return b"".join(packed) + _OPTION.pack(_END, 0)


def _read_options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + _OPTION.size <= len(data):
        kind, size = _OPTION.unpack_from(data, at)
        if kind == _END:
            break
        found[kind] = data[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
    return found


def _padded(value: bytes) -> bytes:
    return value + b"\0" * (-len(value) % 4)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer at the end; a pipe gives them in pieces."""
    parts: list[bytes] = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
