"""Answers kept ready-made: whoever sends the same packet again gets them without a look at the zone."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.dns.query import Reply

MAX_ENTRIES = 16_384
"""Of a generation, of which two answer; a third is dropped bit by bit."""
MAX_BYTES = 8 << 20
MAX_ANSWER = 4096
"""A longer answer is made every time: the longest ones are those of clients who fill memories."""

_AT_ONCE = 4
"""Of what goes, as one comes: a whole generation at once would take as long as a thousand answers."""

_ID = 2  # a packet's first bytes are its id; the rest of it decides the answer


class Entry:
    """The answers to one packet, without their ids: one for every turn, `None` where not made yet."""

    __slots__ = ("counted", "depends", "hits", "raw", "turns")

    def __init__(self, reply: Reply, turns: int) -> None:
        self.depends = reply.depends or frozenset()
        self.counted = reply.counted
        self.hits = 0
        """How often it was given since that was last told."""
        self.raw: bytes | None = None
        """The only answer, where the packet's id does not matter."""
        self.turns: list[bytes | None] = [None] * turns

    @property
    def size(self) -> int:
        return sum(len(raw) for raw in self.turns if raw is not None)

    def answer(self, packet: bytes) -> bytes | None:
        """That of the packet's turn; None: not made yet."""
        return self.turns[int.from_bytes(packet[:_ID], "big") % len(self.turns)]

    def put(self, packet: bytes, raw: bytes) -> None:
        self.turns[int.from_bytes(packet[:_ID], "big") % len(self.turns)] = raw
        if len(self.turns) == 1:
            self.raw = raw


class _Generation:
    """Entries by packet, and the packets that rest on a name."""

    __slots__ = ("by_name", "entries", "size")

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.by_name: dict[str, list[bytes]] = {}
        self.size = 0

    def shrink(self) -> None:
        """Drop some entries, and as many names."""
        for _ in range(min(_AT_ONCE, len(self.entries))):
            _tell_of(self.entries.popitem()[1])
        for _ in range(min(_AT_ONCE, len(self.by_name))):
            self.by_name.popitem()


class Ready:
    """The ready-made answers of one transport.

    When it is full, what nobody has asked for since it was last full goes: a client that asks for ever new
    names displaces what it asked for itself.
    """

    def __init__(self) -> None:
        self._young, self._old, self._gone = _Generation(), _Generation(), _Generation()
        self.entries = self._young.entries
        """The younger ones, for whoever is in a hurry: by packet without its id. Replaced now and then."""

    def find(self, packet: bytes) -> bytes | None:
        """The answer to a packet without its id, and counts it; None: there is none ready."""
        key = packet[_ID:]
        entry = self.entries.get(key) or self._revived(key)
        if entry is None:
            return None
        answer = entry.answer(packet)
        if answer is not None:
            entry.hits += 1
        return answer

    def keep(self, packet: bytes, made: Entry, answer: bytes) -> None:
        """Keep the whole answer to a packet, until a name that it rests on is touched."""
        if len(answer) > MAX_ANSWER:
            return
        key = packet[_ID:]
        entry = self.entries.get(key)
        if entry is None or len(entry.turns) != len(made.turns):
            self._enter(key, entry := made)
        entry.put(packet, answer[_ID:])
        self._young.size += len(answer)

    def forget(self, names: Iterable[str]) -> None:
        """Drop the answers that rest on these names."""
        for name in names:
            for generation in (self._young, self._old):
                for key in generation.by_name.pop(name, ()):
                    entry = generation.entries.pop(key, None)
                    if entry is not None:
                        _tell_of(entry)

    def clear(self) -> None:
        """Drop all."""
        self.tell()
        self._young, self._old, self._gone = _Generation(), _Generation(), _Generation()
        self.entries = self._young.entries

    def tell(self) -> None:
        """Say how often answers were given, to those who count."""
        for generation in (self._young, self._old, self._gone):
            for entry in generation.entries.values():
                _tell_of(entry)

    def __len__(self) -> int:
        return len(self._young.entries) + len(self._old.entries)

    def _revived(self, key: bytes) -> Entry | None:
        """An old entry that is asked for again is young again."""
        entry = self._old.entries.pop(key, None)
        if entry is not None:
            self._enter(key, entry)
        return entry

    def _enter(self, key: bytes, entry: Entry) -> None:
        """Make it one of the young, which become the old ones when there are too many of them."""
        if len(self.entries) >= MAX_ENTRIES or self._young.size > MAX_BYTES:
            for forgotten in self._gone.entries.values():
                _tell_of(forgotten)
            self._gone, self._old, self._young = self._old, self._young, _Generation()
            self.entries = self._young.entries
        self._gone.shrink()
        self.entries[key] = entry
        self._young.size += len(key) + entry.size
        for name in entry.depends:
            self._young.by_name.setdefault(name, []).append(key)


def _tell_of(entry: Entry) -> None:
    if entry.hits and entry.counted is not None:
        entry.counted(entry.hits)
    entry.hits = 0
