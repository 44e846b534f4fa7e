"""Values whose JSON is their fields, spelled as Kubernetes does: pydantic reads and writes them.

A class derives from `Spelled` to be one. What only some container says needs no hand-written reader then. Only
who reads or writes one imports pydantic: a lab's warm parent, which forks every pod, does not.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_args, get_type_hints

from testbed.model.fields import Fields, Mistake, kind_of
from testbed.spelling import did_you_mean, nearest

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")
_UNKNOWN = {"extra_forbidden", "unexpected_keyword_argument"}
_MISSING = {"missing", "missing_argument"}
_UNLIKE = {"downwardApi": "downwardAPI"}


def spelling(name: str) -> str:
    """`run_as_user` -> runAsUser."""
    first, *others = name.split("_")
    camel = first + "".join(word.capitalize() for word in others)
    return _UNLIKE.get(camel, camel)


class Spelled:
    """Of a frozen dataclass: the JSON of a field is its name in camelCase."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Any] = {"alias_generator": spelling}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def one(parent: Fields, key: str, kind: type[T]) -> T | None:
    """The value at `key`, or None where there is none."""
    return _read(parent, key, kind) if parent.has(key) else None


def many(parent: Fields, key: str, kind: type[T]) -> tuple[T, ...]:
    """The values in the list at `key`."""
    found: tuple[T, ...] | None = None
    if parent.has(key):
        found = _read(parent, key, tuple[kind, ...])  # type: ignore[valid-type]
    return found or ()


def _read(parent: Fields, key: str, kind: Any) -> Any:
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(
            parent.values[key], extra="ignore" if parent.open else "forbid", by_alias=True
        )
    except ValidationError as error:
        for fault in error.errors():
            parent.mistakes.append(_mistake((*parent.path, key), fault, kind))
        return None


def _mistake(path: tuple[str | int, ...], fault: Any, kind: Any) -> Mistake:
    where = (*path, *fault["loc"])
    if fault["type"] in _UNKNOWN:
        known = _keys_at(kind, fault["loc"][:-1])
        hint = did_you_mean(str(where[-1]), known) or (known and f"known are {', '.join(known)}")
        return Mistake(where, f"unknown key {str(where[-1])[:60]!r}", hint or "", at_key=True)
    if fault["type"] in _MISSING:
        return Mistake(where[:-1], f"{where[-1]} is missing")
    message = fault["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    hint = ""
    if fault["type"] == "string_type":
        message, hint = "a text", "put it in quotes"
    if fault["type"] == "dataclass_type":
        known = _keys_at(kind, fault["loc"])
        message, hint = "a mapping", f"its keys are {', '.join(known)}" if known else ""
    if fault["type"] == "literal_error":
        meant = nearest(str(fault["input"]), fault["ctx"]["expected"].replace("'", "").split(", "))
        hint = f"did you mean {meant}?" if meant else ""
    return Mistake(where, f"must be {message}, not {kind_of(fault['input'])}", hint)


def _keys_at(kind: Any, path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys of what is at a path in a value of a class; none where that has no keys of its own."""
    kind = _bare(kind)
    for part in path:
        if is_dataclass(kind):
            names = {spelling(field.name): field.name for field in fields(kind)}
            hints = get_type_hints(kind)
            kind = _bare(hints[names[str(part)]]) if str(part) in names else None
        else:  # a list or a mapping, of one kind of values
            inner = [one for one in get_args(kind) if one is not Ellipsis]
            kind = _bare(inner[-1]) if inner else None
    return tuple(spelling(field.name) for field in fields(kind)) if is_dataclass(kind) else ()


def _bare(kind: Any) -> Any:
    """Without `| None`."""
    some = [one for one in get_args(kind) if one is not NoneType]
    return some[0] if NoneType in get_args(kind) else kind


def json_of(value: Any) -> Any:
    """The JSON of one value, or of a tuple of them; what is as by default is left out. None stays None."""
    if value is None or value == ():
        return None
    if isinstance(value, tuple):
        return [json_of(item) for item in value]
    kind: Any = type(value)
    return _adapter(kind).dump_python(value, mode="json", by_alias=True, exclude_defaults=True)
