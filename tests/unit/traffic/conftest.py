"""Lab processes as the zygote runs them: a forked child and the supervisor's end of its channel."""

from __future__ import annotations

import json
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.ports import free_port

ANSWER_S = 60.0


@dataclass
class Process:
    """`code` after `ended`; lines that it says, one at a time, by `hears`."""

    pid: int
    channel: socket.socket
    code: int | None = None
    _lines: Any = field(init=False)

    def __post_init__(self) -> None:
        self.channel.settimeout(ANSWER_S)
        self._lines = self.channel.makefile("r")

    def hears(self) -> dict[str, Any]:
        line = self._lines.readline()
        assert line, "the process ended without a word"
        message: dict[str, Any] = json.loads(line)
        return message

    def tell(self, message: dict[str, Any]) -> None:
        self.channel.sendall(json.dumps(message).encode() + b"\n")

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def ended(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code


Spawn = Callable[..., Process]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start `main(config, channel)` in a child; whatever is left at the end is killed."""
    started: list[Process] = []

    def start(main: Callable[[dict[str, Any], socket.socket], None], config: Any) -> Process:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ours.close()
                main(config, theirs)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        theirs.close()
        started.append(Process(pid, ours))
        return started[-1]

    yield start
    for process in started:
        if process.code is None:
            os.kill(process.pid, 9)
            process.ended()
        process.channel.close()


@pytest.fixture
def port() -> int:
    """A port of the loopback that is free for TCP and UDP."""
    return free_port()
