"""A guest kernel for single commands: `python -m testbed.sandbox.errand KERNEL FOLDER` boots one.

A line on its standard input is a request to the guest's agent, a line on its standard output the answer. It
ends, and everything in the guest with it, when its standard input does.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from testbed.errors import TestbedError
from testbed.kernel import guests
from testbed.kernel.guests import GuestKernel
from testbed.kernel.search_path import with_tools
from testbed.sandbox import guest, world

_END_S = 60.0


class GuestShell:
    """A booted guest kernel that runs commands as its root. Use as a context manager.

    Raises MissingFeature where there is no guest kernel, TestbedError where it does not boot.
    """

    def __init__(self, kernel: GuestKernel | None = None) -> None:
        self.kernel = kernel or guests.best()
        self.folder = Path(tempfile.mkdtemp(prefix="testbed-guest-"))
        """Files written here, and only here, are seen on both sides."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, self.kernel.name, str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            self._hear()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> GuestShell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(
        self, argv: Sequence[str], stdin: str = "", timeout_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; code 124 where it was killed after `timeout_s`."""
        assert self._process.stdin is not None
        request = {"argv": list(argv), "stdin": stdin, "timeout_s": timeout_s}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._hear()
        return subprocess.CompletedProcess(
            list(argv), answer["code"], answer["stdout"], answer["stderr"]
        )

    def close(self) -> None:
        """End the guest; returns when nothing of it is left."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            world_s_init = os.pidfd_open(int((self.folder / "pid").read_text()))
        except (OSError, ValueError):  # it has ended, or never began
            world_s_init = None
        self._process.stdin.close()
        if world_s_init is not None:
            select.select([world_s_init], [], [], _END_S)
            os.close(world_s_init)
        self._process.stdout.close()
        self._process.wait(_END_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = (self.folder / "log").read_text(errors="replace").strip().splitlines()
            raise TestbedError(f"the guest kernel ended: {said[-1] if said else 'it said nothing'}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def main() -> None:
    """The process beside the guest, in the world that holds both."""
    kernel, folder = guests.named(sys.argv[1]), Path(sys.argv[2])
    world.enter(lambda: _attend(kernel, folder), folder / "pid")


def _attend(kernel: GuestKernel, folder: Path) -> int:
    running = guest.boot(kernel, folder, "testbed.sandbox.agent", with_tools(os.environ))
    agent = running.hello()
    threading.Thread(target=_requests, args=(agent,), daemon=True).start()
    with agent.makefile("rb") as answers:
        for line in answers:
            sys.stdout.write(line.decode())
            sys.stdout.flush()
    return 1


def _requests(agent: Any) -> None:
    for line in sys.stdin:
        agent.sendall(line.encode())
    # Nobody asks any more. PID 1 ends with us, and the kernel ends the guest.
    os._exit(0)


if __name__ == "__main__":
    main()
