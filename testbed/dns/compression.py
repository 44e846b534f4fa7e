"""Names as a message writes them: a suffix met before is a pointer to it (RFC 1035 section 4.1.4)."""

from __future__ import annotations

from testbed.dns.labels import encode_name

_POINTER, _REACH = 0xC000, 0x4000
"""A pointer has 14 bits: names that begin further on are not pointed to."""


class NameWriter:
    """Appends names to a message, and remembers where each of their suffixes stands, case and all."""

    __slots__ = ("_message", "_seen")

    def __init__(self, message: bytearray) -> None:
        self._message = message
        self._seen: dict[bytes, bytes] = {}

    @property
    def seen(self) -> frozenset[bytes]:
        """The names that may be pointed to."""
        return frozenset(self._seen)

    def known(self, raw: bytes, start: int) -> None:
        """An uncompressed name that the message has at `start`."""
        at = 0
        while raw[at]:
            self._note(raw[at:], start + at)
            at += raw[at] + 1

    def write(self, name: str) -> None:
        """Append a name. Raises WireError for one that no packet carries."""
        raw = encode_name(name)
        start = len(self._message)
        at = 0
        while raw[at]:
            suffix = raw[at:]
            pointer = self._seen.get(suffix)
            if pointer is not None:
                self._message += raw[:at] + pointer
                return
            self._note(suffix, start + at)
            at += raw[at] + 1
        self._message += raw

    def _note(self, suffix: bytes, at: int) -> None:
        if at < _REACH:
            self._seen.setdefault(suffix, (_POINTER | at).to_bytes(2, "big"))
