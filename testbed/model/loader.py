"""A topology's file -> Topology; every mistake at once, each with file, line and column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path as FilePath
from typing import Any

from testbed.errors import Problem, TopologyError
from testbed.model import shipped
from testbed.model.conflist_file import read_conflist
from testbed.model.consistency import inconsistencies
from testbed.model.corefile_file import read_corefile
from testbed.model.document import Document, NotYAMLError, Positions, documents
from testbed.model.fields import Mistake, kind_of
from testbed.model.mininet_links import read_topo
from testbed.model.settings import apply_setting, parse_settings
from testbed.model.topology import Topology
from testbed.model.validation import validate

LARGEST_FILE = 16 * 2**20
"""Bytes; more is not a topology."""
_MANIFEST_HINT = "a path is relative to the topology's directory"


Check = Callable[[Topology], list[Mistake]]


def load(
    path: str | FilePath, set_: Sequence[str] = (), check: Check = lambda topology: []
) -> Topology:
    """The topology of a file, with `path=value` settings on top; manifests are read in.

    `check` finds further mistakes in it. Raises TopologyError with every problem.
    """
    file = str(path)
    try:
        text = _read(FilePath(path))
    except _UnreadableError as error:
        hint = "" if FilePath(path).exists() else shipped.hint(FilePath(path).stem)
        raise TopologyError((Problem(file, 1, 1, "", str(error), hint),)) from None
    return load_text(text, file, FilePath(path).parent, set_, check)


def load_text(
    text: str,
    file: str = "topology.yaml",
    directory: FilePath | None = None,
    set_: Sequence[str] = (),
    check: Check = lambda topology: [],
) -> Topology:
    """As `load`, from text; manifests' file names are relative to `directory` (this one)."""
    try:
        found = documents(text, file)
    except NotYAMLError as error:
        raise TopologyError((error.problem,)) from None
    if len(found) != 1:
        raise TopologyError((_not_one_document(found, file),))
    document = found[0]
    if not isinstance(document.value, dict):
        message = f"a topology is a mapping, not {kind_of(document.value)}"
        hint = "begin with name: and nodes:"
        mistake = document.positions.problem(Mistake((), message, hint))
        raise TopologyError(document.problems or (mistake,))
    settings, problems = parse_settings(set_)
    problems.extend(document.problems)
    for setting in settings:
        problems.extend(apply_setting(document, setting))
    problems.extend(_read_manifests(document, directory or FilePath()))
    problems.extend(read_conflist(document, directory or FilePath(), _text_of))
    problems.extend(read_corefile(document, directory or FilePath(), _text_of, text))
    in_topo = read_topo(document, directory or FilePath())
    problems.extend(map(document.positions.problem, in_topo))
    topology, mistakes = validate(document.value)
    further = [] if topology is None else [*inconsistencies(topology), *check(topology)]
    # What is wrong with a value that was left out for a mistake of its own is no news.
    for found_wrong in (mistakes, further):
        left_out = {_place(problem) for problem in problems}
        located = map(document.positions.problem, found_wrong)
        problems.extend(problem for problem in located if _place(problem) not in left_out)
    if problems or topology is None:
        raise TopologyError(_in_order(problems, file))
    return topology


def _not_one_document(found: list[Document], file: str) -> Problem:
    if not found:
        return Problem(file, 1, 1, "", "the file is empty", "begin with name: and nodes:")
    second = found[1].positions.root
    message = "a second document; a topology is one"
    return Problem(file, second.line, second.column, "", message, "put objects under manifests:")


def _in_order(problems: list[Problem], file: str) -> tuple[Problem, ...]:
    """Without repetitions: this file's first, then manifests', then settings'."""
    unique = dict.fromkeys(problems)
    return tuple(
        sorted(
            unique,
            key=lambda problem: (problem.file != file, problem.file, problem.line, problem.column),
        )
    )


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.file, problem.line, problem.column


class _UnreadableError(Exception):
    """A file that cannot be read as text; the message says why."""


def _read(path: FilePath) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise _UnreadableError(f"larger than {LARGEST_FILE // 2**20} MiB")
        if path.exists() and not (path.is_file() or path.is_fifo() or path.is_char_device()):
            raise _UnreadableError("is a directory, not a file" if path.is_dir() else "is no file")
        with path.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _UnreadableError(f"cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the name
        raise _UnreadableError(f"cannot be read: {error}") from None
    if len(data) > LARGEST_FILE:
        raise _UnreadableError(f"larger than {LARGEST_FILE // 2**20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _UnreadableError(f"is no text: line {line} is not UTF-8") from None


def _text_of(path: FilePath) -> str:
    """As `_read`; raises OSError."""
    try:
        return _read(path)
    except _UnreadableError as error:
        raise OSError(str(error)) from None


def _read_manifests(document: Document, directory: FilePath) -> list[Problem]:
    """Put the objects of manifest files, and of lists, in place of what names them."""
    written = document.value.get("manifests")
    if not isinstance(written, list):
        return []
    problems: list[Problem] = []
    found: list[tuple[Any, Positions]] = []
    places = document.positions.items(("manifests",))
    for index, item in enumerate(written):
        if not isinstance(item, str):
            found.append((item, places[index]))
            continue
        file = directory / item
        try:
            for read in documents(_read(file), str(file)):
                problems.extend(read.problems)
                found.append((read.value, read.positions))
        except _UnreadableError as error:
            mistake = Mistake(("manifests", index), f"{item[:80]!r} {error}", _MANIFEST_HINT)
            problems.append(document.positions.problem(mistake))
        except NotYAMLError as error:
            problems.append(error.problem)
    objects: list[Any] = []
    document.positions.forget(("manifests",))
    for value, positions in found:
        for part, where in _items_of_list(value, positions):
            document.positions.graft(("manifests", len(objects)), where)
            objects.append(part)
    document.value["manifests"] = objects
    return problems


def _items_of_list(value: Any, positions: Positions) -> list[tuple[Any, Positions]]:
    """The objects of a `kind: List`; any other value is one object."""
    items = value.get("items") if isinstance(value, dict) else None
    if not isinstance(items, list) or value.get("kind") != "List":
        return [(value, positions)]
    places = positions.items(("items",))
    return [(item, places[index]) for index, item in enumerate(items)]
