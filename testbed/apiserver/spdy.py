"""Frames of SPDY/3.1, as far as kubectl's port-forward uses them: bytes in, frames out, and back.

Source: the SPDY protocol, draft 3.1. There is no flow control, as in Kubernetes' own.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_CONTROL, _VERSION, _FIN = 0x8000, 3, 1
_HEAD = 8
_MAX_DATA = 1 << 15
_NAMES = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language "
    "accept-ranges age allow authorization cache-control connection content-base content-encoding "
    "content-language content-length content-location content-md5 content-range content-type date "
    "etag expect expires from host if-match if-modified-since if-none-match if-range "
    "if-unmodified-since last-modified location max-forwards pragma proxy-authenticate "
    "proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_AND_SO_ON = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 "
    "Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
    "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _text(text: str) -> bytes:
    return len(text).to_bytes(4, "big") + text.encode()


_LAST_NAMES = (
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
)
DICTIONARY = b"".join(map(_text, (*_NAMES.split(), *_LAST_NAMES))) + _AND_SO_ON.encode()
"""What headers are compressed against."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The other side has opened a stream."""

    stream: int
    headers: Mapping[str, str]
    over: bool = False
    """It will send nothing on it."""


@dataclass(frozen=True, slots=True)
class Data:
    stream: int
    data: bytes
    over: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """The other side wants no more of a stream."""

    stream: int


@dataclass(frozen=True, slots=True)
class Ping:
    number: int


Frame = Opened | Data | Reset | Ping


class SpdyError(ValueError):
    """What came is no SPDY/3.1."""


class Reader:
    """Bytes as they come -> frames; headers are decompressed in the order in which they came."""

    def __init__(self) -> None:
        self._received = b""
        self._headers = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now. Raises SpdyError."""
        self._received += data
        frames: list[Frame] = []
        while len(self._received) >= _HEAD:
            size = int.from_bytes(self._received[5:8], "big")
            if len(self._received) < _HEAD + size:
                break
            head, body = self._received[:_HEAD], self._received[_HEAD : _HEAD + size]
            self._received = self._received[_HEAD + size :]
            frame = self._frame(head, body)
            if frame is not None:
                frames.append(frame)
        return frames

    def _frame(self, head: bytes, body: bytes) -> Frame | None:
        over = bool(head[4] & _FIN)
        word = int.from_bytes(head[:2], "big")
        if not word & _CONTROL:
            return Data(int.from_bytes(head[:4], "big"), body, over)
        if word & ~_CONTROL != _VERSION:
            raise SpdyError(f"version {word & ~_CONTROL} of SPDY")
        kind, number = int.from_bytes(head[2:4], "big"), int.from_bytes(body[:4], "big")
        if kind == _SYN_STREAM:
            return Opened(number, self._block(body[10:]), over)
        if kind == _SYN_REPLY:
            self._block(body[4:])
        if kind == _RST_STREAM:
            return Reset(number)
        return Ping(number) if kind == _PING else None

    def _block(self, compressed: bytes) -> dict[str, str]:
        try:
            block = self._headers.decompress(compressed)
        except zlib.error as error:
            raise SpdyError(str(error)) from None
        texts: list[str] = []
        at = 4
        while at < len(block):
            size = int.from_bytes(block[at : at + 4], "big")
            texts.append(block[at + 4 : at + 4 + size].decode(errors="replace"))
            at += 4 + size
        return dict(zip(texts[::2], texts[1::2], strict=False))


class Writer:
    """Frames -> bytes, to be sent in the order in which they were made."""

    def __init__(self) -> None:
        self._headers = zlib.compressobj(zdict=DICTIONARY)

    def opened(self, stream: int, headers: Mapping[str, str]) -> bytes:
        """Open a stream: a client's part."""
        body = stream.to_bytes(4, "big") + bytes(6) + self._block(headers)
        return _control(_SYN_STREAM, body)

    def accepted(self, stream: int) -> bytes:
        """Say to whoever has opened a stream that it is open."""
        return _control(_SYN_REPLY, stream.to_bytes(4, "big") + self._block({}))

    def data(self, stream: int, data: bytes, *, over: bool = False) -> bytes:
        """Data on a stream; `over`: the last."""
        pieces = [data[at : at + _MAX_DATA] for at in range(0, len(data), _MAX_DATA)] or [b""]
        frames = b""
        for number, piece in enumerate(pieces, 1):
            flags = _FIN if over and number == len(pieces) else 0
            frames += (
                stream.to_bytes(4, "big") + bytes([flags]) + len(piece).to_bytes(3, "big") + piece
            )
        return frames

    def pong(self, ping: Ping) -> bytes:
        """The answer to a ping."""
        return _control(_PING, ping.number.to_bytes(4, "big"))

    def _block(self, headers: Mapping[str, str]) -> bytes:
        block = len(headers).to_bytes(4, "big")
        block += b"".join(_text(name) + _text(value) for name, value in headers.items())
        return self._headers.compress(block) + self._headers.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, body: bytes) -> bytes:
    head = (_CONTROL | _VERSION).to_bytes(2, "big") + kind.to_bytes(2, "big")
    return head + bytes(1) + len(body).to_bytes(3, "big") + body
