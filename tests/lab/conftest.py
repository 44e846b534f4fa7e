"""Labs for tests: by the command line as root and as an ordinary user, and as `Lab` values."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.lab.outer import AS_USER, ROOT, TESTBED


@dataclass(frozen=True, slots=True)
class User:
    """Who types the commands, and where this user's labs are."""

    prefix: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    """A folder that this user may write to."""

    def argv(self, *arguments: str) -> list[str]:
        """The command line of `testbed ARGUMENTS`."""
        return [*self.prefix, *TESTBED, *arguments]

    def testbed(
        self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `testbed ARGUMENTS` to its end."""
        return subprocess.run(
            self.argv(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**self.env, **(env or {})},
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `testbed ARGUMENTS` with pipes."""
        return subprocess.Popen(
            self.argv(*arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
        )

    def file(self, name: str, text: str) -> str:
        """A file that this user can read; its path."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)
        return str(path)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that everybody may use, with a short path."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        path.chmod(0o777)
        yield path


_LEAST = "as-who-may-least"
ONCE = pytest.mark.parametrize("user", [_LEAST], indirect=True, scope="module")
"""For what does not depend on who types: as an ordinary user, or as the suite's own where that is one."""


@pytest.fixture(scope="module", params=["as-whom-tests-run", "as-user-1000"])
def user(request: pytest.FixtureRequest) -> Iterator[User]:
    """The suite's own user and, where that is root, an ordinary one; see `ONCE`."""
    ordinary = request.param == "as-user-1000"
    if request.param == _LEAST:
        ordinary = os.geteuid() == 0 and _user_1000_may_read_this()
    elif ordinary and os.geteuid() != 0:
        pytest.skip("the suite runs as an ordinary user already")
    elif ordinary and not _user_1000_may_read_this():
        pytest.skip("user 1000 may not read this checkout or its interpreter")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o777 if ordinary else 0o700)
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        if ordinary:
            env |= {"XDG_RUNTIME_DIR": name, "HOME": name}
        yield User(AS_USER if ordinary else (), env, folder)


@cache
def _user_1000_may_read_this() -> bool:
    argv = [*AS_USER, sys.executable, "-c", "import testbed.lab.starting"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, env=env, check=False).returncode == 0


@pytest.fixture
def name() -> str:
    """A lab's name that nobody else has."""
    return unique_name()


def unique_name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"
