"""pydantic's complaints in the testbed's words: what is wrong where, and what to write instead."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from testbed.model.fields import Mistake, Path, kind_of
from testbed.spelling import nearest

_TYPES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "string_type": "must be a text",
}

_SENTENCES = {
    "greater_than_equal": ("must be at least {ge}", ""),
    "less_than_equal": ("must be at most {le}", ""),
    "too_long": ("takes {max_length} of them, not {actual_length}", ""),
    "too_short": ("must not be empty", ""),
    "string_too_short": ("must not be empty", ""),
    "string_too_long": ("must be at most {max_length} characters long", ""),
    "string_pattern_mismatch": ("is no DNS domain", "write it like cluster.local"),
}


def complaints(error: ValidationError, root: type[BaseModel]) -> list[Mistake]:
    """Every complaint of a validation as a mistake; paths are those of the YAML."""
    details = error.errors(include_url=False)
    return [_mistake(detail, root) for detail in details if not _only_follows(detail)]


def _only_follows(detail: Mapping[str, Any]) -> bool:
    """Whether a list is too short because its wrong items do not count; each of them is a complaint itself."""
    written = detail["input"]
    return (
        detail["type"] == "too_short"
        and isinstance(written, list | dict)
        and len(written) >= detail["ctx"]["min_length"]
    )


def _mistake(detail: Mapping[str, Any], root: type[BaseModel]) -> Mistake:
    kind, context = detail["type"], detail.get("ctx", {})
    path: Path = detail["loc"]
    # pydantic's mark for a wrong key of a dict; an unknown key could have that very name.
    at_key = path[-1:] == ("[key]",) and kind != "extra_forbidden"
    if at_key:
        path = path[:-1]
    if kind == "extra_forbidden":
        meant = nearest(str(path[-1]), keys_at(root, path[:-1]))
        hint = f"did you mean {meant}?" if meant else _known(keys_at(root, path[:-1]))
        return Mistake(path, f"unknown key {str(path[-1])[:60]!r}", hint, at_key=True)
    if kind == "missing":
        if isinstance(path[-1], int):
            return Mistake(path[:-1], f"needs {path[-1] + 1} of them")
        return Mistake(path[:-1], f"{path[-1]} is missing")
    if kind in _TYPES:
        return Mistake(path, f"{_TYPES[kind]}, not {kind_of(detail.get('input'))}", "", at_key)
    if kind == "literal_error":
        return _not_a_choice(path, detail.get("input"), context)
    message, hint = _sentence(kind, context, detail["msg"])
    return Mistake(path, message, hint, at_key)


def _sentence(kind: str, context: Mapping[str, Any], message: str) -> tuple[str, str]:
    if kind == "value_error":
        said, _, hint = str(context.get("error", message)).partition("; ")
        return said, hint
    if kind in _SENTENCES:
        text, hint = _SENTENCES[kind]
        return text.format(**context), hint
    return message, ""


def _not_a_choice(path: Path, value: object, context: Mapping[str, Any]) -> Mistake:
    choices = [word.strip("' ") for word in context["expected"].replace(" or ", ", ").split(",")]
    message = f"{kind_of(value)} is none of {', '.join(choices)}".removeprefix("the text ")
    meant = nearest(value, choices) if isinstance(value, str) else ""
    return Mistake(path, message, f"did you mean {meant}?" if meant else "")


def _known(keys: tuple[str, ...]) -> str:
    return f"known are {', '.join(keys)}" if keys else "leave it out"


def keys_at(root: type[BaseModel], path: Path) -> tuple[str, ...]:
    """The keys that the model knows at a path; none where any key may stand."""
    current: Any = root
    for part in path:
        current = _step(_bare(current), part)
    bare = _bare(current)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return tuple(field.alias or name for name, field in bare.model_fields.items())
    return ()


def _step(current: Any, part: str | int) -> Any:
    if isinstance(current, type) and issubclass(current, BaseModel):
        for name, field in current.model_fields.items():
            if (field.alias or name) == part:
                return field.annotation
        return None
    arguments = typing.get_args(current)
    if typing.get_origin(current) is dict:
        return arguments[1]
    return arguments[0] if typing.get_origin(current) is tuple else None


def _bare(annotation: Any) -> Any:
    """Without `Annotated` and `| None`."""
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif origin in {types.UnionType, typing.Union}:
            some = [item for item in typing.get_args(annotation) if item is not types.NoneType]
            annotation = some[0]
        else:
            return annotation
