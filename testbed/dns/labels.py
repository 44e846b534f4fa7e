"""Domain names: text (`web.default.svc.cluster.local`, no final dot) to and from RFC 1035 labels.

A dot or a backslash inside a label is escaped with a backslash, any byte that is not printable
ASCII is `\\DDD` (RFC 1035 section 5.1). The root is the empty text.
"""

from __future__ import annotations

from functools import lru_cache

MAX_LABEL = 63
MAX_NAME = 255
_POINTER = 0xC0
_PLAIN = bytes(byte for byte in range(0x21, 0x7F) if byte not in b".\\")
"""What stands for itself in a name's text."""
_MAX_POINTERS = 128
"""More than a name with as many labels as fit has: a chain of pointers without labels costs time."""


class WireError(ValueError):
    """A packet that breaks RFC 1035, or text that no packet carries: drop it, or answer FORMERR."""


def split_labels(name: str) -> tuple[bytes, ...]:
    """Labels of a name as bytes. Raises WireError where the name cannot be sent."""
    if name in ("", "."):
        return ()
    parts = _unescape(name) if "\\" in name else name.split(".")
    if not parts[-1]:
        parts.pop()
    try:
        # Latin-1, for \DDD; text that people type is ASCII (punycode for the rest).
        labels = tuple(part.encode("latin-1" if "\\" in name else "ascii") for part in parts)
    except UnicodeEncodeError as error:
        raise WireError(f"{name!r} is not ASCII; write it in punycode (xn--…)") from error
    if not all(0 < len(label) <= MAX_LABEL for label in labels):
        raise WireError(f"{name!r} has a label that is empty or longer than {MAX_LABEL} bytes")
    if sum(len(label) + 1 for label in labels) + 1 > MAX_NAME:
        raise WireError(f"{name!r} is longer than {MAX_NAME} bytes")
    return labels


@lru_cache(maxsize=4096)
def encode_name(name: str) -> bytes:
    """A name in wire form, uncompressed. Raises WireError."""
    return b"".join(bytes((len(label),)) + label for label in split_labels(name)) + b"\0"


def decode_name(data: bytes, offset: int) -> tuple[str, int]:
    """The name at `offset` and the offset after it.

    Raises WireError, also for pointers that do not lead strictly backwards: nothing makes it loop.
    """
    labels: list[bytes] = []
    size, after, start, pointers = 1, -1, offset, 0
    while True:
        if offset >= len(data):
            raise WireError("a name runs past the end of the packet")
        length = data[offset]
        if length == 0:
            return _text(labels), offset + 1 if after < 0 else after
        if length & _POINTER == _POINTER:
            if offset + 1 >= len(data):
                raise WireError("a compression pointer is cut off")
            target = (length & 0x3F) << 8 | data[offset + 1]
            after = offset + 2 if after < 0 else after
            pointers += 1
            if target >= start:
                raise WireError("a compression pointer does not point backwards")
            if pointers > _MAX_POINTERS:
                raise WireError("a name of too many compression pointers")
            offset = start = target
            continue
        if length > MAX_LABEL:
            raise WireError(f"label type {length >> 6} does not exist")
        label = data[offset + 1 : offset + 1 + length]
        size += length + 1
        if len(label) < length or size > MAX_NAME:
            raise WireError("a name is cut off, or longer than 255 bytes")
        labels.append(label)
        offset += length + 1


def is_compressed(data: bytes, offset: int) -> bool:
    """Whether the name at `offset`, which can be decoded, ends in a pointer."""
    while length := data[offset]:
        if length & _POINTER:
            return True
        offset += length + 1
    return False


def skip_name(data: bytes, offset: int) -> int:
    """The offset after a name that nobody wants to read; pointers are not followed. Raises WireError."""
    while offset < len(data):
        length = data[offset]
        if length == 0:
            return offset + 1
        if length & _POINTER == _POINTER:
            return offset + 2
        if length > MAX_LABEL:
            raise WireError(f"label type {length >> 6} does not exist")
        offset += length + 1
    raise WireError("a name runs past the end of the packet")


def _text(labels: list[bytes]) -> str:
    if not b"".join(labels).translate(None, _PLAIN):
        return b".".join(labels).decode("ascii")
    return ".".join(map(_label_text, labels))


def _label_text(label: bytes) -> str:
    return "".join(
        f"\\{chr(byte)}"
        if byte in b".\\"
        else chr(byte)
        if 0x21 <= byte <= 0x7E
        else f"\\{byte:03d}"
        for byte in label
    )


def _unescape(text: str) -> list[str]:
    parts = [""]
    at = 0
    while at < len(text):
        if text[at] == ".":
            parts.append("")
        elif text[at] != "\\":
            parts[-1] += text[at]
        elif text[at + 1 : at + 4].isdecimal() and len(text[at + 1 : at + 4]) == 3:
            if int(text[at + 1 : at + 4]) > 255:
                raise WireError(f"{text!r} has an escape above \\255")
            parts[-1] += chr(int(text[at + 1 : at + 4]))
            at += 3
        elif at + 1 < len(text):
            parts[-1] += text[at + 1]
            at += 1
        else:
            raise WireError(f"{text!r} ends in a lone backslash")
        at += 1
    return parts
