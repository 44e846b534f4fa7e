"""Label and field selectors: their text -> a test of an object."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from testbed.apiserver.failure import bad_request
from testbed.apiserver.fields import getter
from testbed.apiserver.resources import Resource
from testbed.model.objects.metadata import Labels, Object

Test = Callable[[Object], bool]
_LabelTest = Callable[[Labels], bool]
_LABEL = re.compile(
    r"\s*(?P<absent>!)?\s*(?P<key>[A-Za-z0-9._/-]+)\s*"
    r"(?:(?P<op>==|=|!=|<|>|\b(?:not)?in\b)\s*(?P<value>\([^)]*\)|[A-Za-z0-9._-]*))?\s*$"
)
_FIELD = re.compile(r"\s*(?P<path>[A-Za-z0-9._]+)\s*(?P<op>==|=|!=)(?P<value>(?:[^\\,=]|\\.)*)$")


def label_selector(text: str) -> Test:
    """`a=b,c!=d,e in (f,g),h,!i,j>3`. Raises ApiFailure (400)."""
    test: _LabelTest = _all(_label(part) for part in _parts(text, r",(?![^(]*\))"))
    return lambda item: test(item.meta.labels)


def field_selector(text: str, resource: Resource) -> Test:
    """`metadata.name=a,spec.nodeName!=n1`: of the fields that objects of the resource are selected by. Raises
    ApiFailure (400).
    """
    return _all(_field(part, resource) for part in _parts(text, r"(?<!\\),"))


def names_of(text: str) -> str:
    """The one name that a field selector leaves; "": it may leave any."""
    found = (_FIELD.match(part) for part in _parts(text, r"(?<!\\),"))
    names = (one for one in found if one and one["path"] == "metadata.name" and one["op"] != "!=")
    return next((_plain(one["value"]) for one in names), "")


def _all(tests: Iterable[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    several = tuple(tests)
    if len(several) == 1:
        return several[0]
    return lambda item: all(test(item) for test in several)


def _parts(text: str, comma: str) -> list[str]:
    return [part for part in re.split(comma, text) if part.strip()]


def _label(text: str) -> _LabelTest:
    found = _LABEL.match(text)
    if found is None or (found["absent"] and found["op"]):
        raise bad_request(f"unable to parse requirement: {text.strip()!r} is no label requirement")
    key, operator, value = found["key"], found["op"] or "", found["value"] or ""
    if bool(value.startswith("(")) is not (operator in {"in", "notin"}):
        raise bad_request(f"unable to parse requirement: {text.strip()!r} wants values in brackets")
    if not operator:
        return _exists(key, wanted=not found["absent"])
    if operator in {"<", ">"}:
        return _compared(key, operator, value)
    values = {one.strip() for one in value.strip("()").split(",")}
    if operator in {"!=", "notin"}:
        return lambda labels: labels.get(key) not in values
    return lambda labels: labels.get(key) in values


def _exists(key: str, *, wanted: bool) -> _LabelTest:
    return lambda labels: (key in labels) is wanted


def _compared(key: str, operator: str, value: str) -> _LabelTest:
    if not _is_integer(value):
        raise bad_request(f"for 'Gt', 'Lt' operators, the value must be an integer, not {value!r}")
    bound, sign = int(value), 1 if operator == ">" else -1

    def test(labels: Labels) -> bool:
        found = labels.get(key, "")
        return _is_integer(found) and sign * int(found) > sign * bound

    return test


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d{1,19}", text, re.ASCII) is not None


def _field(text: str, resource: Resource) -> Test:
    found = _FIELD.match(text)
    if found is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    get, value, wanted = (
        getter(resource, found["path"]),
        _plain(found["value"]),
        found["op"] != "!=",
    )
    return lambda item: (get(item) == value) is wanted


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value)
