"""`${NAME}`, `${NAME:=otherwise}`, `${NAME:-otherwise}` in a containerlab file: the environment's variables."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::?[-=](?P<otherwise>[^}]*))?\}")


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """The text with every variable in braces replaced; one that is not set and has no other value is ""."""
    return _VARIABLE.sub(
        lambda found: environment.get(found["name"]) or found["otherwise"] or "", text
    )
