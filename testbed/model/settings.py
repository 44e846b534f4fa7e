"""`--set path=value`: a topology's values changed from the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from testbed.errors import Problem
from testbed.model.document import Document, NotYAMLError, Position, documents
from testbed.model.fields import Mistake, Path, kind_of, show_path

SOURCE = "--set"
"""What stands for the file's name where a setting is wrong."""
EXAMPLE = "as in --set workloads.web.replicas=5"

_PART = re.compile(r'"([^"]+)"|([^."\[\]]+)')


@dataclass(frozen=True, slots=True)
class Setting:
    """One `path=value`; a problem in it is reported at `--set:NUMBER:COLUMN`."""

    path: Path
    document: Document
    at: Position


def parse_settings(texts: Sequence[str]) -> tuple[list[Setting], list[Problem]]:
    """The settings in order, and what is wrong with the others."""
    settings: list[Setting] = []
    problems: list[Problem] = []
    for number, text in enumerate(texts, 1):
        key, equals, value = text.partition("=")
        path = _path(key.strip())
        if not equals or not path:
            message = f"{text[:60]!r} is not path=value"
            problems.append(Problem(SOURCE, number, 1, "", message, EXAMPLE))
            continue
        at = Position(SOURCE, number, len(key) + 2)
        try:
            found = documents(value, SOURCE)
        except NotYAMLError as error:
            message = f"the value is not YAML: {error.problem.message}"
            where = show_path(path)
            problems.append(Problem(SOURCE, number, at.column, where, message, EXAMPLE))
            continue
        document = found[0] if found else documents("null", SOURCE)[0]
        settings.append(Setting(path, document, at))
    return settings, problems


def _path(text: str) -> Path:
    """`a.b.0."c.d"` -> its parts; empty when it is no path."""
    parts: list[str | int] = []
    rest = re.sub(r"\[(\d+)\]", r".\1", text)
    while rest:
        found = _PART.match(rest)
        if found is None:
            return ()
        part = found[1] or found[2]
        parts.append(int(part) if found[2] and re.fullmatch(r"[0-9]{1,6}", part) else part)
        rest = rest[found.end() :]
        if rest and (not rest.startswith(".") or rest == "."):
            return ()
        rest = rest[1:]
    return tuple(parts)


def apply_setting(document: Document, setting: Setting) -> list[Problem]:
    """Put the setting's value into the document in place; what is wrong with it comes back."""
    path, positions = setting.path, document.positions
    at: list[str | int] = []
    current = document.value
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        key, mistake = _key(current, part, tuple(at))
        at.append(key)
        positions_at = tuple(at)
        if mistake:
            positions.keys[positions_at] = positions.values[positions_at] = setting.at
            return [positions.problem(mistake)]
        if last:
            current[key] = setting.document.value
            positions.forget(positions_at)
        elif isinstance(key, str) and current.get(key) is None:
            current[key] = {}
            positions.keys[positions_at] = positions.values[positions_at] = setting.at
        current = current[key]
    whole = tuple(at)
    moved = setting.document.positions
    for places in (moved.keys, moved.values):
        places.update(dict.fromkeys(places, setting.at))
    moved.root = setting.at
    positions.graft(whole, moved)
    return [
        replace(problem, line=setting.at.line, column=setting.at.column, path=show_path(whole))
        for problem in setting.document.problems
    ]


def _key(current: Any, part: str | int, path: Path) -> tuple[str | int, Mistake | None]:
    """The key or index that a part of a path means in `current`."""
    if isinstance(current, dict):
        return str(part), None
    here = (*path, part)
    if isinstance(current, list):
        if isinstance(part, int) and part < len(current):
            return part, None
        return part, Mistake(here, f"the list has no item {part}", "items count from 0")
    return part, Mistake(here, f"cannot be set inside {kind_of(current)}", EXAMPLE)
