"""Init of a guest kernel that runs single commands for its host, one at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from testbed.sandbox import guest_init

_TIMED_OUT, _NOT_FOUND = 124, 127


def main() -> None:
    """Never returns: a kernel without init panics."""
    guest_init.prepare(Path(sys.argv[1]))
    _, host = guest_init.hello()
    with host, host.makefile("rwb") as lines:
        _say(lines, {"up": True})
        for line in lines:
            _say(lines, _run(json.loads(line)))


def _say(lines: Any, message: dict[str, Any]) -> None:
    lines.write(json.dumps(message).encode() + b"\n")
    lines.flush()


def _run(request: dict[str, Any]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            request["argv"],
            input=request["stdin"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=request["timeout_s"],
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return _answer(_TIMED_OUT, f"{request['argv'][0]} was killed: {error}")
    except OSError as error:
        return _answer(_NOT_FOUND, str(error))
    return _answer(done.returncode, done.stderr, done.stdout)


def _answer(code: int, stderr: str, stdout: str = "") -> dict[str, Any]:
    return {"code": code, "stdout": stdout, "stderr": stderr}


if __name__ == "__main__":
    main()
