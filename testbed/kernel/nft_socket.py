"""Input of `nft -f` carried out by netlink, where the calling thread is.

It is what nft would do with the same text, less what nft reads first: the same messages, as one transaction,
and it returns as nft does, when the kernel has let go of the old rules and no packet meets them any more.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress

from testbed.command import Command
from testbed.errors import CommandFailed
from testbed.kernel.nft_messages import Message, batch, encode

ARGV = ("nft", "-f", "-")
_LONGEST_TEXT = 1 << 17
"""More is nft's: what it reads first does not matter then, and it encodes faster."""

_NETLINK_NETFILTER = 12
_SO_SNDBUFFORCE = 32
_SEND_BYTES, _RECEIVE_BYTES = 1 << 23, 1 << 16
_NLMSG_ERROR = 2
_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")


def load(input_text: str) -> str | None:
    """Carries `nft -f -` out; None where nft itself has to. Raises CommandFailed."""
    if len(input_text) > _LONGEST_TEXT:
        return None
    messages = encode(input_text)
    if messages is None:
        return None
    failed = _transact(batch(messages))
    if failed:
        raise CommandFailed(str(Command(ARGV)), 1, _explained(failed, messages))
    return ""


def _transact(packed: bytes) -> list[tuple[int, int]]:
    """(sequence number, error number) of each message that was refused; then nothing has changed."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
        try:
            kernel.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BYTES)
        except PermissionError:  # in a user namespace: as much as everybody may have
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        kernel.setblocking(False)
        try:
            kernel.sendto(packed, (0, 0))
        except OSError as error:
            return [(0, error.errno or errno.EIO)]
        answers = bytearray()
        with suppress(BlockingIOError):  # the kernel has answered before the send returns
            while True:
                answers += kernel.recv(_RECEIVE_BYTES)
    return _errors(bytes(answers))


def _errors(answers: bytes) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    start = 0
    while start < len(answers):
        length, kind, _, sequence, _ = _HEADER.unpack_from(answers, start)
        (code,) = _ERROR.unpack_from(answers, start + _HEADER.size)
        if kind == _NLMSG_ERROR and code:
            found.append((sequence, -code))
        start += (length + 3) & ~3
    return found


def _explained(failed: list[tuple[int, int]], messages: tuple[Message, ...]) -> str:
    """The refused lines, each with the reason."""
    lines = []
    for sequence, code in failed:
        line = messages[sequence - 1].line if 0 < sequence <= len(messages) else "the transaction"
        lines.append(f"{os.strerror(code)}: {line}")
    return "\n".join(lines)
