"""A place in an object that is looked at, and what is wrong there, in the words of Kubernetes' API.

Source: apimachinery's `util/validation/field/errors.go`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.apiserver.failure import Cause

IMMUTABLE = "field is immutable"


@dataclass(frozen=True, slots=True)
class Place:
    """`value` is what is there, None where nothing is; mistakes go to `causes`, which all places share."""

    value: Any
    path: str
    causes: list[Cause]

    def __getitem__(self, key: str) -> Place:
        """A field of the mapping that is here."""
        here = self.value.get(key) if isinstance(self.value, Mapping) else None
        return Place(here, f"{self.path}.{key}" if self.path else key, self.causes)

    def entry(self, key: str) -> Place:
        """An entry of a mapping with keys of the client's own, as in `metadata.annotations[a/b]`."""
        here = self.value.get(key) if isinstance(self.value, Mapping) else None
        return Place(here, f"{self.path}[{key}]", self.causes)

    def items(self) -> Iterator[Place]:
        """The items of the list that is here."""
        for index, item in enumerate(self.value or ()):
            yield Place(item, f"{self.path}[{index}]", self.causes)

    @property
    def text(self) -> str:
        """The text that is here; "" where nothing is."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def number(self) -> int:
        """The number that is here; 0 where nothing is."""
        return self.value if isinstance(self.value, int) else 0

    @property
    def mapping(self) -> Mapping[str, Any]:
        """The mapping that is here; an empty one where nothing is."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def list(self) -> Sequence[Any]:
        """The list that is here; an empty one where nothing is."""
        return self.value if isinstance(self.value, list | tuple) else ()

    def __bool__(self) -> bool:
        """Whether anything but Go's zero value is here."""
        return bool(self.value)

    # Mistakes

    def required(self, detail: str = "") -> None:
        self._wrong("FieldValueRequired", "Required value", detail)

    def forbidden(self, detail: str) -> None:
        self._wrong("FieldValueForbidden", "Forbidden", detail)

    def invalid(self, *details: str, value: Any = None) -> None:
        """One mistake for each detail."""
        for detail in details:
            self._wrong("FieldValueInvalid", f"Invalid value: {self._shown(value)}", detail)

    def duplicate(self, value: Any = None) -> None:
        self._wrong("FieldValueDuplicate", f"Duplicate value: {self._shown(value)}")

    def not_found(self, value: Any = None) -> None:
        self._wrong("FieldValueNotFound", f"Not found: {self._shown(value)}")

    def too_many(self, most: int) -> None:
        detail = f"must have at most {most} items"
        self._wrong("FieldValueTooMany", f"Too many: {len(self.list)}", detail)

    def too_long(self, most: int) -> None:
        self._wrong("FieldValueTooLong", "Too long", f"may not be more than {most} bytes")

    def unsupported(self, allowed: Collection[str]) -> None:
        choices = ", ".join(_quoted(one) for one in allowed)
        what = f"Unsupported value: {self._shown(None)}"
        self._wrong("FieldValueNotSupported", what, f"supported values: {choices}")

    def _wrong(self, reason: str, what: str, detail: str = "") -> None:
        message = f"{what}: {detail}" if detail else what
        self.causes.append(Cause(reason, message, self.path))

    def _shown(self, value: Any) -> str:
        return shown(self.value if value is None else value)

    # What many fields have in common

    def one_of(self, allowed: Collection[str], *, required: bool = True) -> bool:
        """Whether a choice is one of those; notes it where it is none."""
        if self.text in allowed and self.text:
            return True
        if self.text:
            self.unsupported(allowed)
        elif required:
            self.required()
        return False

    def at_least(self, low: int) -> None:
        """Note a number that is less."""
        if self.number < low:
            self.invalid(f"must be greater than or equal to {low}")

    def unique(self, value: Any, seen: set[Any]) -> None:
        """Note a value that has been seen, and remember it."""
        if value in seen:
            self.duplicate(value)
        seen.add(value)

    def unchanged(self, old: Any, detail: str = IMMUTABLE) -> None:
        """Note that it does not say what it said."""
        if substance(self.value) != substance(old):
            self.invalid(detail)


def substance(value: Any) -> Any:
    """A value without whatever is as if it were not there: Go's zero values, save numbers."""
    if isinstance(value, Mapping):
        inner = {key: substance(one) for key, one in value.items()}
        return {key: one for key, one in inner.items() if one is not None} or None
    if isinstance(value, list | tuple):
        return [substance(one) for one in value] or None
    return None if value is False or value == "" else value


def shown(value: Any) -> str:
    """A value in a message: texts in quotes, and what has parts as JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, separators=(",", ":"))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
