"""Reading one plain mapping (parsed JSON or YAML) field by field, and keeping every mistake.

`null` counts as absent, as Kubernetes has it. A wrong value yields the default, so that reading
goes on and the next mistake is found too; whoever reads looks at `mistakes` at the end.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from testbed.spelling import nearest

Path = tuple[str | int, ...]
"""Keys and list indices from the root of a document."""

_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?")
PORTS = (1, 65535)
_PATH_PART = re.compile(r"\[(?P<inner>[^\]]*)\]|(?P<key>[^.\[\]]+)")


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong at one place of a document, and what to write instead."""

    path: Path
    message: str
    hint: str = ""
    at_key: bool = False
    """The key itself is wrong, not its value."""
    inside: tuple[int, int] = (1, 1)
    """Line and column inside a text of many lines."""

    def below(self, prefix: Path) -> Mistake:
        """The same mistake in a document that holds this one at `prefix`."""
        return replace(self, path=(*prefix, *self.path))

    def __str__(self) -> str:
        text = f"{show_path(self.path)}: {self.message}" if self.path else self.message
        return f"{text} ({self.hint})" if self.hint else text


def words(text: str) -> frozenset[str]:
    """The words of a text: a readable way to write down many keys."""
    return frozenset(text.split())


def show_path(path: Path) -> str:
    """`spec.ports[0].port`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def path_of(text: str) -> Path:
    """What `show_path` shows, read back; a key in brackets, as in `labels[a.b/c]`, is one too."""
    path: list[str | int] = []
    for part in _PATH_PART.finditer(text):
        inner = part["inner"]
        path.append(part["key"] if inner is None else int(inner) if inner.isdecimal() else inner)
    return tuple(path)


def kind_of(value: object) -> str:
    """What people call the type of a YAML value."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, int | float):
        return f"the number {value!r}" if abs(value) < 1e18 else "a huge number"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


class Fields:
    """One mapping at `path`; every mistake found in it goes to the shared list `mistakes`. With `open`, keys
    that nobody reads are none.
    """

    __slots__ = ("mistakes", "open", "path", "values")

    def __init__(
        self, value: Any, path: Path, mistakes: list[Mistake], *, open: bool = False
    ) -> None:
        self.path = path
        self.mistakes = mistakes
        self.open = open
        self.values: Mapping[str, Any] = {}
        if isinstance(value, Mapping):
            self.values = value
        elif value is not None:
            self.wrong(None, f"must be a mapping, not {kind_of(value)}")

    def wrong(self, key: str | None, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Note a mistake at a key's value or at the key (None: at the mapping itself)."""
        path = self.path if key is None else (*self.path, key)
        self.mistakes.append(Mistake(path, message, hint, at_key))

    def only(
        self, known: Collection[str], ignored: Collection[str], unbuilt: Collection[str] = ()
    ) -> None:
        """Note keys that are none of these; `ignored` ones mean nothing to service networking."""
        if self.open:
            return
        for key in self.values:
            if key in known or key in ignored or self.values[key] is None:
                continue
            if key in unbuilt:
                self.wrong(key, "this is not built yet", "leave it out", at_key=True)
                continue
            meant = nearest(str(key), (*known, *unbuilt, *ignored))
            hint = f"did you mean {meant}?" if meant else ""
            self.wrong(str(key), f"unknown key {str(key)[:60]!r}", hint, at_key=True)

    def text(self, key: str, default: str = "", required: bool = False) -> str:
        value = self.values.get(key)
        if isinstance(value, str) and (value or not required):
            return value
        if value is not None and value != "":
            self.wrong(key, f"must be a text, not {kind_of(value)}", "put it in quotes")
        elif required:
            self.missing(key)
        return default

    def missing(self, key: str) -> None:
        """Note that a required key is not there."""
        self.wrong(None, f"{key} is missing")

    def choice(self, key: str, choices: Collection[str], default: str) -> str:
        value = self.text(key, default)
        if value in choices:
            return value
        meant = nearest(value, choices)
        hint = f"did you mean {meant}?" if meant else ""
        self.wrong(key, f"{value!r} is none of {', '.join(choices)}", hint)
        return default

    def boolean(self, key: str, default: bool = False) -> bool:
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(key, f"must be true or false, not {kind_of(value)}")
            return default
        return value

    def integer(self, key: str, default: int, bounds: tuple[int, int] = (0, 2**31 - 1)) -> int:
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(key, f"must be a whole number, not {kind_of(value)}")
            return default
        if not bounds[0] <= value <= bounds[1]:
            self.wrong(key, f"must be from {bounds[0]} to {bounds[1]}")
            return default
        return value

    def seconds(self, key: str, default: float, low: float = 0.0) -> float:
        """Seconds as a number. Kubernetes takes whole ones; here fractions are fine too."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(key, f"must be a number of seconds, not {kind_of(value)}")
            return default
        if not low <= value <= 1e9:
            self.wrong(key, f"must be from {low:g} to 1e9 seconds")
            return default
        return float(value)

    def optional_seconds(self, key: str) -> float | None:
        return None if self.values.get(key) is None else self.seconds(key, 0.0)

    def port(self, key: str, default: int | str = 0, required: bool = False) -> int | str:
        """A port's number, or the name of a container port."""
        value = self.values.get(key)
        if value is None:
            if required:
                self.missing(key)
            return default
        if isinstance(value, str) and _PORT_NAME.fullmatch(value):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return self.integer(key, 0, PORTS)
        self.wrong(
            key,
            f"must be a port number or a port's name, not {kind_of(value)}",
            "a name has up to 15 of a-z, 0-9 and -",
        )
        return default

    def labels(self, key: str) -> dict[str, str]:
        """A mapping of texts to texts."""
        value = self.values.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.wrong(key, f"must be a mapping, not {kind_of(value)}")
            return {}
        labels = {}
        for name, text in value.items():
            if isinstance(name, str) and isinstance(text, str):
                labels[name] = text
                continue
            wrong = text if isinstance(name, str) else name
            message = f"a label is a text, not {kind_of(wrong)}"
            path = (*self.path, key, str(name))
            self.mistakes.append(Mistake(path, message, "put it in quotes"))
        return labels

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        items = self._list(key)
        for index, item in enumerate(items):
            if not isinstance(item, str):
                message = f"must be a text, not {kind_of(item)}"
                path = (*self.path, key, index)
                self.mistakes.append(Mistake(path, message, "put it in quotes"))
        return tuple(item for item in items if isinstance(item, str))

    def first_and_all(self, first: str, every: str, written: tuple[str, ...]) -> tuple[str, ...]:
        """A list that Kubernetes writes twice: `every` is all of it (read as `written`), `first` its
        first. Either alone will do; where they differ it is noted.
        """
        value = self.text(first)
        if value and written and value != written[0]:
            self.wrong(first, f"{first} is not the first of {every}", f"leave {first} out")
        return written or ((value,) if value else ())

    def child(self, key: str) -> Fields:
        """The mapping at `key`; an empty one when it is absent."""
        return Fields(self.values.get(key), (*self.path, key), self.mistakes, open=self.open)

    def children(self, key: str) -> list[Fields]:
        """The mappings in the list at `key`."""
        path = (*self.path, key)
        return [
            Fields({} if item is None else item, (*path, index), self.mistakes, open=self.open)
            for index, item in enumerate(self._list(key))
        ]

    def has(self, key: str) -> bool:
        return self.values.get(key) is not None

    def _list(self, key: str) -> list[Any] | tuple[Any, ...]:
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self.wrong(key, f"must be a list, not {kind_of(value)}")
            return []
        return value
