"""Label and field selectors: their text -> a test of a manifest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from testbed.errors import UsageError

Test = Callable[[Mapping[str, Any]], bool]
_LABEL = re.compile(
    r"\s*(?P<absent>!)?\s*(?P<key>[A-Za-z0-9._/-]+)\s*"
    r"(?:(?P<op>==|=|!=|\s(?:not)?in\b)\s*(?P<value>\([^)]*\)|[A-Za-z0-9._-]*))?\s*$"
)
_FIELD = re.compile(r"\s*(?P<path>[A-Za-z0-9._]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^,]*?)\s*$")


def label_selector(text: str) -> Test:
    """`a=b,c!=d,e in (f,g),h,!i`. Raises UsageError."""
    tests = [_label(part) for part in _parts(text)]
    return lambda manifest: all(test(manifest["metadata"].get("labels") or {}) for test in tests)


def field_selector(text: str) -> Test:
    """`metadata.name=a,spec.clusterIP!=None`: any path to a plain value, "" where it leads nowhere."""
    tests = [_field(part) for part in _parts(text)]
    return lambda manifest: all(test(manifest) for test in tests)


def _parts(text: str) -> list[str]:
    """Cut at commas outside parentheses."""
    return [part for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _label(text: str) -> Callable[[Mapping[str, str]], bool]:
    found = _LABEL.match(text)
    if found is None or (found["absent"] and found["op"]):
        raise UsageError(f"unable to parse requirement {text!r}")
    key, operator = found["key"], (found["op"] or "").strip()
    if not operator:
        return (
            (lambda labels: key not in labels) if found["absent"] else lambda labels: key in labels
        )
    values = {one.strip() for one in found["value"].strip("()").split(",")}
    if operator in {"!=", "notin"}:
        return lambda labels: labels.get(key) not in values
    return lambda labels: labels.get(key) in values


def _field(text: str) -> Test:
    found = _FIELD.match(text)
    if found is None:
        raise UsageError(f"invalid field selector {text!r}")
    path, value, wanted = found["path"].split("."), found["value"], found["op"] != "!="
    return lambda manifest: (_at(manifest, path) == value) is wanted


def _at(manifest: Any, path: list[str]) -> str:
    for key in path:
        manifest = manifest.get(key, "") if isinstance(manifest, Mapping) else ""
    return manifest if isinstance(manifest, str) else str(manifest).lower()
