"""Labs for tests: by the command line as root and as an ordinary user, and as `Lab` values."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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


@pytest.fixture(scope="module", params=["as-whom-tests-run", "as-user-1000"])
def user(request: pytest.FixtureRequest) -> Iterator[User]:
    """The suite's own user and, where that is root, an ordinary one."""
    ordinary = request.param == "as-user-1000"
    if ordinary and os.geteuid() != 0:
        pytest.skip("the suite runs as an ordinary user already")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o777 if ordinary else 0o700)
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        if ordinary:
            env |= {"XDG_RUNTIME_DIR": name, "HOME": name}
        found = User(AS_USER if ordinary else (), env, folder)
        if (
            ordinary
            and subprocess.run(
                [*AS_USER, sys.executable, "-c", "import testbed.lab.client"], env=env, check=False
            ).returncode
        ):
            pytest.skip("user 1000 may not read this checkout or its interpreter")
        yield found


@pytest.fixture
def name() -> str:
    """A lab's name that nobody else has."""
    return unique_name()


def unique_name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"
