"""`ipvsadm --restore` in process: the same text, many lines to a send.

ipvsadm takes 0.3 ms a line in a guest kernel, and exits with 0 whatever the kernel refused. The layouts are
those of linux/ip_vs.h; ports and masks are in network order.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from testbed.errors import CommandFailed, TestbedError

_NETLINK_GENERIC, _REQUEST, _DUMP = 16, 0x1, 0x300
_NLMSG_DONE, _NESTED = 3, 0x8000
_NLMSG_ERROR, _GENL_ID_CTRL = 2, 0x10
_CTRL_CMD_GETFAMILY, _CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME = 3, 1, 2
_SERVICE, _DESTINATION = 1, 2
_GET_DESTINATION = 8
_COMMANDS = {"-A": 1, "-E": 2, "-D": 3, "-a": 5, "-e": 6, "-d": 7}
_PROTOCOLS = {"-t": socket.IPPROTO_TCP, "-u": socket.IPPROTO_UDP, "--sctp-service": 132}
_LISTED = {"-t": "TCP", "-u": "UDP", "--sctp-service": "SCTP"}
_METHODS = {"-m": 0, "-g": 3}
"""How packets reach a destination: masquerading, or by its MAC address (IP_VS_CONN_F_…)."""
_METHOD_NAMES = {0: "Masq", 3: "Route"}
_OPTIONS = frozenset({"-s", "-p", "-b", "-r", "-w", *_METHODS})
_PERSISTENT, _MH_PORT = 0x1, 0x10
_ALL_FLAGS = 0xFFFFFFFF

_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
_BATCH_BYTES = 24_000
_RECEIVE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the restore format: what to do with a virtual server, or with a destination of it."""

    verb: str
    protocol: int
    server: tuple[bytes, int]
    options: dict[str, str]


def restore(text: str) -> str:
    """Carry out lines of `ipvsadm --restore` in the calling thread's network namespace; prints nothing.

    Raises CommandFailed with the first line that the kernel refused; those behind it may be in force.
    """
    lines = text.splitlines()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC) as sock:
        sock.bind((0, 0))
        family = _family(sock)
        batch: list[bytes] = []
        size = 0
        for number, line in enumerate(lines, 1):
            message = _message(_parsed(line), family, number)
            batch.append(message)
            size += len(message)
            if size > _BATCH_BYTES or number == len(lines):
                sock.send(b"".join(batch))
                batch, size = [], 0
                _check(sock, lines)
    return ""


def listing(text: str) -> str:
    """`xargs -L1 ipvsadm --list -n` in process: each line of `text` names a virtual server. One that there is
    not has no destinations. Raises CommandFailed.
    """
    found: list[str] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC) as sock:
        sock.bind((0, 0))
        family = _family(sock)
        for line in text.splitlines():
            flag, where = line.split()
            server = _Line("", _PROTOCOLS[flag], _socket(where), {})
            body = _GENERIC.pack(_GET_DESTINATION, 1, 0) + _nested(_SERVICE, _service(server))
            header = _HEADER.pack(_HEADER.size + len(body), family, _REQUEST | _DUMP, 1, 0)
            sock.send(header + body)
            found.append(f"{_LISTED[flag]}  {where}")
            found += [_row(attributes) for attributes in _dumped(sock, line)]
    return "".join(f"{row}\n" for row in found)


def _dumped(sock: socket.socket, line: str) -> Iterator[dict[int, bytes]]:
    """The attributes of each destination in the answer to a dump."""
    while True:
        answer = sock.recv(_RECEIVE_BYTES)
        position = 0
        while position < len(answer):
            length, kind, _, _, _ = _HEADER.unpack_from(answer, position)
            if kind in {_NLMSG_DONE, _NLMSG_ERROR}:
                code = -struct.unpack_from("=i", answer, position + _HEADER.size)[0]
                if code:
                    raise CommandFailed("ipvsadm --list", code, f"{os.strerror(code)}: {line}")
                return
            start = position + _HEADER.size + _GENERIC.size
            outer = _attributes(answer[start : position + length])
            yield _attributes(outer[_DESTINATION])
            position += (length + 3) & ~3


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        found[kind & ~_NESTED] = data[position + _ATTRIBUTE.size : position + length]
        position += (length + 3) & ~3
    return found


def _row(destination: dict[int, bytes]) -> str:
    """A line of `ipvsadm --list -n`: where, how, weight, active and inactive connections."""
    (family,) = struct.unpack("=H", destination[11])
    ip = ip_address(destination[1][: 4 if family == socket.AF_INET else 16])
    (port,) = struct.unpack("!H", destination[2])
    where = f"{ip}:{port}" if ip.version == 4 else f"[{ip}]:{port}"
    method, weight, active, inactive = (_number(destination[kind]) for kind in (3, 4, 7, 8))
    return f"  -> {where}  {_METHOD_NAMES[method & 7]}  {weight}  {active}  {inactive}"


def _number(value: bytes) -> int:
    number: int = struct.unpack("=I", value)[0]
    return number


def _parsed(line: str) -> _Line:
    words = line.split()
    verb, flag, where, *rest = words
    options: dict[str, str] = {}
    items = iter(rest)
    for item in items:
        options[item] = "" if item in _METHODS else next(items, "")
    if verb not in _COMMANDS or flag not in _PROTOCOLS or set(options) - _OPTIONS:
        raise TestbedError(f"not understood of ipvsadm: {line!r}")
    return _Line(verb, _PROTOCOLS[flag], _socket(where), options)


def _socket(text: str) -> tuple[bytes, int]:
    ip, _, port = text.rpartition(":")
    return ip_address(ip.strip("[]")).packed, int(port)


def _message(line: _Line, family: int, sequence: int) -> bytes:
    """A request; the kernel answers only where it refuses."""
    body = _GENERIC.pack(_COMMANDS[line.verb], 1, 0) + _nested(_SERVICE, _service(line))
    if line.verb in {"-a", "-e", "-d"}:
        body += _nested(_DESTINATION, _destination(line))
    return _HEADER.pack(_HEADER.size + len(body), family, _REQUEST, sequence, 0) + body


def _service(line: _Line) -> bytes:
    ip, port = line.server
    family = socket.AF_INET if len(ip) == 4 else socket.AF_INET6
    found = (
        _attribute(1, struct.pack("=H", family))
        + _attribute(2, struct.pack("=H", line.protocol))
        + _attribute(3, ip.ljust(16, b"\0"))
        + _attribute(4, struct.pack("!H", port))
    )
    if line.verb in {"-A", "-E"}:
        options = line.options
        flags = (_PERSISTENT if "-p" in options else 0) | (
            _MH_PORT if options.get("-b") == "mh-port" else 0
        )
        mask = b"\xff" * 4 if family == socket.AF_INET else struct.pack("=I", 128)
        found += (
            _attribute(6, options["-s"].encode() + b"\0")
            + _attribute(7, struct.pack("=II", flags, _ALL_FLAGS))
            + _attribute(8, struct.pack("=I", int(options.get("-p", "0"))))
            + _attribute(9, mask)
        )
    return found


def _destination(line: _Line) -> bytes:
    ip, port = _socket(line.options["-r"])
    family = socket.AF_INET if len(ip) == 4 else socket.AF_INET6
    found = (
        _attribute(11, struct.pack("=H", family))
        + _attribute(1, ip.ljust(16, b"\0"))
        + _attribute(2, struct.pack("!H", port))
    )
    if line.verb != "-d":
        method = next(number for flag, number in _METHODS.items() if flag in line.options)
        found += (
            _attribute(3, struct.pack("=I", method))
            + _attribute(4, struct.pack("=I", int(line.options["-w"])))
            + _attribute(5, struct.pack("=I", 0))
            + _attribute(6, struct.pack("=I", 0))
        )
    return found


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _nested(kind: int, value: bytes) -> bytes:
    return _attribute(kind | _NESTED, value)


def _family(sock: socket.socket) -> int:
    """The number of the generic netlink family IPVS. Raises CommandFailed where the kernel has none."""
    body = _GENERIC.pack(_CTRL_CMD_GETFAMILY, 1, 0) + _attribute(_CTRL_ATTR_FAMILY_NAME, b"IPVS\0")
    sock.send(_HEADER.pack(_HEADER.size + len(body), _GENL_ID_CTRL, _REQUEST, 0, 0) + body)
    answer = sock.recv(_RECEIVE_BYTES)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind == _NLMSG_ERROR:
        code = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        raise CommandFailed("ipvsadm --restore", code, f"IPVS: {os.strerror(code)}")
    position = _HEADER.size + _GENERIC.size
    while position < len(answer):
        length, attribute = _ATTRIBUTE.unpack_from(answer, position)
        if attribute == _CTRL_ATTR_FAMILY_ID:
            number: int = struct.unpack_from("=H", answer, position + 4)[0]
            return number
        position += (length + 3) & ~3
    raise TestbedError("the kernel answered without the number of its netlink family IPVS")


def _check(sock: socket.socket, lines: list[str]) -> None:
    """Raises CommandFailed for the first refusal. The kernel has answered before `send` returned."""
    for code, sequence in _refusals(sock):
        said = f"{os.strerror(code)}: {lines[sequence - 1]}"
        raise CommandFailed("ipvsadm --restore", code, said)


def _refusals(sock: socket.socket) -> Iterator[tuple[int, int]]:
    """(errno, number of the line) of each message that was refused."""
    while True:
        try:
            answer = sock.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        position = 0
        while position < len(answer):
            length, kind, _, sequence, _ = _HEADER.unpack_from(answer, position)
            code = -struct.unpack_from("=i", answer, position + _HEADER.size)[0]
            if kind == _NLMSG_ERROR and code:
                yield code, sequence
            position += (length + 3) & ~3
