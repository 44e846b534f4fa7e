"""A command in a lab that runs beside the trial, and may say something before its end."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol


class Executes(Protocol):
    """The part of a lab, on a connection of its own, that runs a command."""

    def execute(
        self,
        where: str,
        argv: Sequence[str],
        fds: tuple[int, int, int],
        env: Mapping[str, str],
        *,
        timeout_s: float | None = ...,
    ) -> int: ...
    def close(self) -> None: ...


class Beside:
    """A command under way. `line` and `result` wait; the lab ends it after `timeout_s`.

    Its input is open until `stop`: a command that goes on for as long as it may reads it.
    """

    def __init__(self, lab: Executes, where: str, argv: Sequence[str], timeout_s: float) -> None:
        self._argv = list(argv)
        self._code: Future[int] = Future()
        self._said: list[str] = []
        in_read, self._input = os.pipe()
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        self._out = os.fdopen(out_read)
        self._err: Future[str] = Future()

        def execute() -> None:
            fds = (in_read, out_write, err_write)
            try:
                self._code.set_result(
                    lab.execute(where, argv, fds, dict(os.environ), timeout_s=timeout_s)
                )
            except BaseException as error:  # whoever asks for the result gets it
                self._code.set_exception(error)
            finally:
                for fd in fds:
                    os.close(fd)
                lab.close()

        def listen() -> None:
            with os.fdopen(err_read) as pipe:
                self._err.set_result(pipe.read())

        for target in (execute, listen):
            threading.Thread(target=target, daemon=True).start()

    def line(self) -> str:
        """The next line that it prints; empty where it has ended without."""
        said = self._out.readline()
        self._said.append(said)
        return said

    def stop(self) -> None:
        """End its input: what it does on that is its own business. Idempotent."""
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

    def result(self) -> subprocess.CompletedProcess[str]:
        """Its code and all that it printed. Raises what `Lab.exec` raises."""
        if not self._out.closed:
            with self._out:
                self._said.append(self._out.read())
        code = self._code.result()
        self.stop()
        return subprocess.CompletedProcess(
            self._argv, code, "".join(self._said), self._err.result()
        )
