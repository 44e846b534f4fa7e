"""YAML text -> plain values, with the line and column of every key and value.

YAML 1.2 by ruamel; what tags, duplicate keys and aliases can do wrong is a `Mistake` each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from testbed.errors import Problem
from testbed.model.fields import Mistake, Path, show_path

_TAG = "tag:yaml.org,2002:"
MOST_VALUES = 500_000
"""Keys and values in one document after aliases are followed: more is a mistake or a bomb."""
MOST_DIGITS = 400


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int


@dataclass(slots=True)
class Positions:
    """Where the keys and values of one document are."""

    root: Position
    keys: dict[Path, Position] = field(default_factory=dict)
    values: dict[Path, Position] = field(default_factory=dict)

    def find(self, path: Path, at_key: bool) -> Position:
        """The place of a path, or of the nearest thing around it."""
        first = self.keys if at_key else self.values
        for end in range(len(path), 0, -1):
            found = first.get(path[:end]) or self.keys.get(path[:end])
            if found is not None:
                return found
            first = self.keys  # something around it: its key says more than its value
        return self.root

    def problem(self, mistake: Mistake) -> Problem:
        """The mistake as a row of `testbed check`."""
        at = self.find(mistake.path, mistake.at_key)
        line, column = at.line + mistake.inside[0] - 1, at.column + mistake.inside[1] - 1
        path = show_path(mistake.path)
        return Problem(at.file, line, column, path, mistake.message, mistake.hint)

    def graft(self, prefix: Path, other: Positions) -> None:
        """Take over another document's places, below `prefix`."""
        self.keys[prefix] = self.values[prefix] = other.root
        self.keys.update({(*prefix, *path): at for path, at in other.keys.items()})
        self.values.update({(*prefix, *path): at for path, at in other.values.items()})

    def items(self, prefix: Path) -> dict[int, Positions]:
        """The places of each item of the list at `prefix`, as a document of its own."""
        found: dict[int, Positions] = {}
        depth = len(prefix)
        for path, at in self.values.items():
            if len(path) > depth and path[:depth] == prefix and isinstance(path[depth], int):
                item = found.setdefault(int(path[depth]), Positions(at))
                item.values[path[depth + 1 :]] = at
        for path, at in self.keys.items():
            if len(path) > depth + 1 and path[:depth] == prefix:
                found[int(path[depth])].keys[path[depth + 1 :]] = at
        return found

    def forget(self, prefix: Path) -> None:
        """Drop the places at and below `prefix`."""
        for places in (self.keys, self.values):
            for path in [path for path in places if path[: len(prefix)] == prefix]:
                del places[path]


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document as plain values."""

    value: Any
    positions: Positions
    problems: tuple[Problem, ...]


class NotYAMLError(Exception):
    """The text is no YAML at all; `problem` says where it stops being."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def documents(text: str, file: str) -> list[Document]:
    """Every document of a text, empty ones left out. Raises NotYAMLError."""
    try:
        roots = list(YAML(typ="rt", pure=True).compose_all(text))
    except MarkedYAMLError as error:
        raise NotYAMLError(_syntax_problem(error, file)) from None
    except YAMLError as error:
        message = " ".join(str(error).split())[:200]
        raise NotYAMLError(Problem(file, 1, 1, "", f"not YAML: {message}")) from None
    except RecursionError:
        raise NotYAMLError(Problem(file, 1, 1, "", "nested too deeply")) from None
    # ruamel lets these escape on some broken directives, tags and escapes.
    except (ValueError, TypeError, AttributeError, AssertionError, IndexError, KeyError) as error:
        message = f"not YAML ({type(error).__name__})"
        raise NotYAMLError(Problem(file, 1, 1, "", message)) from None
    return [_Reader(file).document(root) for root in roots if not _is_empty(root)]


def _is_empty(root: Node | None) -> bool:
    """Nothing, or nothing between two `---`."""
    return root is None or (isinstance(root, ScalarNode) and not root.value and not root.style)


def _syntax_problem(error: MarkedYAMLError, file: str) -> Problem:
    message = str(error.problem or error.context or "not YAML")
    mark = error.problem_mark or error.context_mark
    if "<stream end>" in message and error.context_mark:
        mark, message = error.context_mark, "this is never closed"
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    hint = ""
    if "'\\t'" in message:
        message, hint = "a tab cannot indent YAML", "use spaces"
    elif error.context and error.problem:
        hint = str(error.context)
    return Problem(file, line, column, "", message, hint)


class _TooMuchError(Exception):
    """The document is larger than MOST_VALUES."""


class _Reader:
    """Turns one composed document into values, positions and mistakes."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._positions = Positions(Position(file, 1, 1))
        self._problems: list[Problem] = []
        self._open: set[int] = set()
        self._count = 0

    def document(self, root: Node) -> Document:
        self._positions.root = self._place(root)
        try:
            value = self._value(root, ())
        except _TooMuchError:
            message = f"more than {MOST_VALUES} values, aliases followed"
            self._wrong((), root, message, "write less, or fewer aliases")
            value = None
        return Document(value, self._positions, tuple(self._problems))

    def _place(self, node: Node) -> Position:
        mark = node.start_mark
        return Position(self._file, mark.line + 1, mark.column + 1)

    def _wrong(self, path: Path, node: Node, message: str, hint: str = "") -> None:
        at = self._place(node)
        problem = Problem(at.file, at.line, at.column, show_path(path), message, hint)
        self._problems.append(problem)

    def _value(self, node: Node, path: Path) -> Any:
        self._count += 1
        if self._count > MOST_VALUES:
            raise _TooMuchError
        self._positions.values.setdefault(path, self._place(node))
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._wrong(path, node, "an alias may not contain itself")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, path) if isinstance(node, MappingNode) else None
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: list[MappingNode] = []
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode) and key_node.tag == f"{_TAG}merge":
                merged.extend(self._merge_sources(value_node, path))
                continue
            key = self._key(key_node, path)
            at = (*path, key)
            if key in values:
                hint = f"first in line {self._positions.keys[at].line}; keep one"
                self._wrong(at, key_node, f"key {key[:60]!r} is here twice", hint)
                continue
            self._positions.keys[at] = self._place(key_node)
            values[key] = self._value(value_node, at)
        for source in merged:
            for key, value in self._merged(source, path, values):
                values[key] = value
        return values

    def _merge_sources(self, node: Node, path: Path) -> Iterator[MappingNode]:
        nodes = node.value if isinstance(node, SequenceNode) else [node]
        for source in nodes:
            if isinstance(source, MappingNode):
                yield source
            else:
                self._wrong((*path, "<<"), source, "<< takes a mapping or a list of mappings")

    def _merged(
        self, source: MappingNode, path: Path, own: dict[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        if id(source) in self._open:
            self._wrong(path, source, "an alias may not contain itself")
            return
        self._open.add(id(source))
        for key_node, value_node in source.value:
            if isinstance(key_node, ScalarNode) and key_node.tag == f"{_TAG}merge":
                for deeper in self._merge_sources(value_node, path):
                    yield from self._merged(deeper, path, own)
                continue
            key = self._key(key_node, path)
            if key not in own:
                self._positions.keys[(*path, key)] = self._place(key_node)
                yield key, self._value(value_node, (*path, key))
        self._open.discard(id(source))

    def _key(self, node: Node, path: Path) -> str:
        self._count += 1
        if isinstance(node, ScalarNode) and str(node.tag) in {f"{_TAG}str", f"{_TAG}value"}:
            return str(node.value)
        text = str(node.value)[:60] if isinstance(node, ScalarNode) else "?"
        self._wrong((*path, text), node, "a key must be a text", "put it in quotes")
        return text

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        tag, text = str(node.tag).removeprefix(_TAG), str(node.value)
        try:
            return _convert(tag, text)
        except (ValueError, OverflowError):
            what = f"tag {tag[:40]}" if tag not in _TAGS else f"{tag} {text[:40]!r}"
            self._wrong(path, node, f"{what} is not understood", "write a plain value")
            return None


_TAGS = {"str", "null", "bool", "int", "float", "timestamp", "value"}


def _convert(tag: str, text: str) -> Any:
    """A scalar of YAML 1.2 as a Python value; dates stay texts. Raises ValueError."""
    if tag in {"str", "timestamp", "value"}:
        return text
    if tag == "null":
        return None
    if tag == "bool" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if len(text) > MOST_DIGITS:
        raise ValueError("too long for a number")
    plain = text.replace("_", "").lower()
    if tag == "int":
        return _integer(plain)
    if tag == "float":
        unsigned = plain.lstrip("+-")
        if unsigned in {".inf", ".nan"}:
            return math.nan if unsigned == ".nan" else -math.inf if plain[0] == "-" else math.inf
        return float(plain)
    raise ValueError(f"unknown tag {tag}")


def _integer(text: str) -> int:
    """A leading zero means octal, as Kubernetes reads the file mode 0400. Raises ValueError."""
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2])
    if base is not None:
        return sign * int(digits[2:], base)
    return sign * int(digits, 8 if digits.startswith("0") else 10)
