"""Mininet's CLI, for lines that are there or for somebody at a terminal; in the process of the machines."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Iterable
from typing import Any

from mininet.cli import CLI
from mininet.log import OUTPUT, StreamHandlerNoNewline, error, lg

CLI.readlineInited = True  # no history is written to the user's home

_UNKNOWN = 127
"""What a shell answers for a command that is not there."""


class _Complaints(logging.Handler):
    """Whether Mininet has complained."""

    heard = False

    def emit(self, record: logging.LogRecord) -> None:
        self.heard = True


_complaints = _Complaints(logging.ERROR)


def speak() -> None:
    """From now on what Mininet answers goes to standard output, what it complains of to standard error."""
    lg.setLogLevel("output")
    (complaints,) = lg.handlers
    complaints.setLevel(logging.WARNING)
    answers = StreamHandlerNoNewline(sys.stdout)
    answers.setFormatter(complaints.formatter)
    answers.addFilter(lambda record: record.levelno == OUTPUT)
    lg.addHandler(answers)
    lg.addHandler(_complaints)


class _Keys:
    """What is typed, a key at a time: what a buffer held back would never reach a machine's command."""

    def fileno(self) -> int:
        return 0

    def read(self, count: int) -> str:
        return os.read(0, count).decode(errors="replace")


class Terminal(CLI):  # type: ignore[misc]
    """What somebody types, until `exit`. `code` is the last command's."""

    def __init__(self, net: Any) -> None:
        self.code = 0
        super().__init__(net, stdin=_Keys())

    def onecmd(self, line: str) -> Any:
        """Carry a line out; its code: a machine's command's own, `pingall` 1 where packets were lost."""
        if line == "EOF" or self.parseline(line)[0] in {"exit", "quit"}:
            return super().onecmd(line)
        self.code, _complaints.heard = 0, False
        over = super().onecmd(line)
        self.code = self.code or int(_complaints.heard)
        return over

    def do_pingall(self, line: str) -> None:
        """Ping between all hosts."""
        self.code = int(self.mn.pingAll(line) > 0)

    def default(self, line: str) -> None:
        """A machine's name and a command; names of machines in it become their addresses."""
        first = self.parseline(line)[0]
        node = self.mn.nameToNode.get(first)
        if node is None:
            self.code = _UNKNOWN
            super().default(line)
        elif not node.alive:
            error(f"{first} is stopped\n")
        else:
            super().default(line)
            answer = node.cmd("echo $?").strip()
            self.code = int(answer) if answer.isdecimal() else 1


class Lines(Terminal):
    """Lines that are there already, one after the other; nobody types."""

    def __init__(self, net: Any, lines: Iterable[str]) -> None:
        self._lines = lines
        # A machine's command would be given what can be read here: an end of file for ever.
        nothing, writer = os.pipe()
        os.dup2(nothing, 0)
        os.close(nothing)
        try:
            super().__init__(net)
        finally:
            os.close(writer)

    def run(self) -> None:
        """Carry them out, up to the first that says `exit`."""
        for line in self._lines:
            if line.strip() and self.onecmd(self.precmd(line)):
                return


def lines_of(net: Any, words: list[str]) -> Iterable[str]:
    """The line that words of a command line are; without any, what can be read."""
    if not words:
        return sys.stdin.read().splitlines()
    # Several words are a command as a shell has taken it apart; Mininet's own are one text.
    of_machine = len(words) > 1 and words[0] in net.nameToNode
    return [shlex.join(words) if of_machine else " ".join(words)]
