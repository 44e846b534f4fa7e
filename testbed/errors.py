"""One tree of errors. Each names what is wrong, where, and what to do, and carries its exit code.

Anything that is raised and is not a `TestbedError` is our bug and may look like one.
"""

from __future__ import annotations

from dataclasses import dataclass


class TestbedError(Exception):
    """Any failure that the user can do something about. `exit_code` is the process's."""

    __test__ = False  # pytest: the name is not a test class
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class CheckFailed(TestbedError):
    """It ran, but a check failed or trials are invalid."""


class UsageError(TestbedError):
    """Wrong usage or invalid input."""

    exit_code = 2


class MissingFeature(TestbedError):
    """The host lacks something; `hint` is the remedy."""

    exit_code = 3


class NotBuiltYet(TestbedError):
    """A value of the contract that this version does not implement; `hint` is what to use instead."""

    exit_code = 3


class NotFound(TestbedError):
    """No such lab, or no such object in it."""

    exit_code = 4


class OutOfTimeOrRoom(TestbedError):
    """Timed out, disk full, or a folder that cannot be written."""

    exit_code = 5


class CommandFailed(TestbedError):
    """A tool that the testbed ran on a node said no."""

    def __init__(self, command: str, returncode: int, stderr: str) -> None:
        super().__init__(f"`{command}` ended with code {returncode}: {stderr.strip()}")
        self.command = command
        self.returncode = returncode
        self.stderr = stderr


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a topology: the row that `testbed check -o json` prints.

    `line` and `column` count from 1; `path` is the key's path, as in `workloads.web.port`.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        text = f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


class TopologyError(UsageError):
    """Every mistake found in a topology, all at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
