"""The Corefile that `dns.corefile` names or holds -> its text in the topology, with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as FilePath

from testbed.errors import Problem
from testbed.model.document import Document, Position
from testbed.model.fields import Path

KEY: Path = ("dns", "corefile")
Read = Callable[[FilePath], str]


def read_corefile(document: Document, directory: FilePath, read: Read, text: str) -> list[Problem]:
    """Put the file's text in place of its name; `text` is the topology's own. `read` raises OSError."""
    dns = document.value.get("dns")
    written = dns.get("corefile") if isinstance(dns, dict) else None
    if not isinstance(dns, dict) or not isinstance(written, str) or not written.strip():
        return []
    at = document.positions.find(KEY, False)
    if "\n" in written or "{" in written:
        document.positions.values[KEY] = _inside(at, written, text)
        return []
    file = directory / written
    try:
        dns["corefile"] = read(file)
    except OSError as error:
        message = f"{written[:80]!r} {error}"
        hint = "a path is relative to the topology's directory; a Corefile's text has braces"
        del dns["corefile"]
        return [Problem(at.file, at.line, at.column, ".".join(map(str, KEY)), message, hint)]
    document.positions.values[KEY] = Position(str(file), 1, 1)
    return []


def _inside(at: Position, written: str, text: str) -> Position:
    """Where the first character of a block (`corefile: |`) is; of any other text, where the value begins."""
    lines = text.splitlines()
    first = written.splitlines()[0]
    # The block's lines begin below the bar; a comment, or lines without text, may be in front of them.
    for number in range(at.line, min(at.line + 3, len(lines))):
        if first.strip() and lines[number].strip() == first.strip():
            column = len(lines[number]) - len(lines[number].lstrip()) + 1
            return Position(at.file, number + 1, column)
    return at
