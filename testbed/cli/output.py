"""What a command prints: a table for people, JSON or YAML for scripts.

The answer goes alone to standard output; notes and progress go to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

FORMATS = ("table", "json", "yaml")

Columns = Mapping[str, Callable[[Any], object]]
"""Header -> what to show of a row."""


def add_output_option(parser: argparse.ArgumentParser, default: str = "table") -> None:
    """Add `-o table|json|yaml`."""
    parser.add_argument(
        "-o", "--output", choices=FORMATS, default=default, help=f"how to print it ({default})"
    )


def emit(args: argparse.Namespace, answer: Any, columns: Columns | None = None) -> None:
    """Print rows or one object as `args.output` says; a table has `columns`, or one per key."""
    if args.output == "json":
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    elif args.output == "yaml":
        sys.stdout.write(to_yaml(answer))
    else:
        print(table(answer, columns))


def note(text: str) -> None:
    """Tell a person something that is not the answer; where both go to one place, in their order."""
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def _as_block(representer: Any, text: str) -> Any:
    """A text of several lines as people write it."""
    style = "|" if "\n" in text.strip() else None
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def to_yaml(answer: Any) -> str:
    """`answer` as one YAML document, keys in their order."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 100
    yaml.representer.add_representer(str, _as_block)
    stream = StringIO()
    yaml.dump(answer, stream)
    return stream.getvalue()


def table(answer: Any, columns: Columns | None = None) -> str:
    """Rows aligned as kubectl aligns them; one object as `key: value` lines."""
    if isinstance(answer, Mapping):
        if columns is None:
            width = max(map(len, answer), default=0) + 1
            return "\n".join(f"{f'{key}:':<{width}} {cell(value)}" for key, value in answer.items())
        answer = [answer]
    if columns is None:
        keys = tuple(answer[0]) if answer else ()
        columns = {key.replace("_", "-").upper(): _picker(key) for key in keys}
    rows = [[cell(show(row)) for show in columns.values()] for row in answer]
    return align([list(columns), *rows])


def with_fakes(number: int, fake: int, noun: str = "") -> str:
    """`3 nodes`, `1003 nodes (1000 fake)`."""
    words = f"{number} {noun}{'s' * (number != 1)}" if noun else str(number)
    return f"{words} ({fake} fake)" if fake else words


def align(rows: Sequence[Sequence[str]]) -> str:
    """Cells in columns, three spaces apart, nothing at the end of a line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def cell(value: object) -> str:
    """One value as a table shows it."""
    if value is None or (isinstance(value, str | Mapping | Sequence) and not value):
        return "<none>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ",".join(f"{key}={cell(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ",".join(cell(item) for item in value)
    return str(value)


def _picker(key: str) -> Callable[[Any], object]:
    return lambda row: row.get(key)
