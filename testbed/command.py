"""A command as a value: planned by pure code, run by `kernel.run`, pasted by people."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """`argv` with text for its standard input; `str()` is the shell line."""

    argv: tuple[str, ...]
    stdin: str = ""

    def __str__(self) -> str:
        line = shlex.join(self.argv)
        if not self.stdin:
            return line
        end = "" if self.stdin.endswith("\n") else "\n"
        return f"{line} <<'EOF'\n{self.stdin}{end}EOF"
