"""Which labs there are: one folder each, alive as long as its lock is held.

The supervisor holds an flock on `lock`; the kernel drops it with the last process of the lab, so a folder
whose lock is free belongs to a lab that has ended, and vanishes when somebody looks.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import NotFound, OutOfTimeOrRoom, UsageError

MARKER = "TESTBED_LAB"
"""Environment variable that every process of a lab bears; its value is the lab's name."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def root() -> Path:
    """The folder of this user's labs: $XDG_RUNTIME_DIR/testbed, for root /run/testbed."""
    if os.getuid() == 0:
        return Path("/run/testbed")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "testbed" if runtime else Path(f"/tmp/testbed-{os.getuid()}")


def folder(name: str) -> Path:
    """The folder of a lab, there or not. Raises UsageError for what can be no lab's name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a lab", "small letters, digits and dashes, as in quickstart-2"
        )
    return root() / name


def make_folder(name: str) -> Path:
    """A fresh folder for a lab that starts. Raises OutOfTimeOrRoom where it cannot be written."""
    path = folder(name)
    _make_root()
    try:
        if root().stat().st_uid != os.getuid():
            raise OutOfTimeOrRoom(f"{root()} belongs to another user", "set XDG_RUNTIME_DIR")
        if path.exists() and not is_alive(path):
            shutil.rmtree(path)
        path.mkdir(mode=0o700)
    except OSError as error:
        raise OutOfTimeOrRoom(f"cannot make {path}: {error.strerror}") from None
    return path


def _make_root() -> None:
    try:
        root().mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutOfTimeOrRoom(
            f"cannot make {root()}: {error.strerror}", "set XDG_RUNTIME_DIR to a folder of yours"
        ) from None


def hold(path: Path) -> int:
    """Take the lab's lock for as long as this process and its children live."""
    fd = os.open(path / "lock.new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    # Nobody ever sees the lock of a lab that starts free.
    (path / "lock.new").rename(path / "lock")
    return fd


def is_alive(path: Path) -> bool:
    """Whether a process of the lab still holds its lock."""
    try:
        fd = os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


@contextmanager
def starting(name: str) -> Iterator[None]:
    """One `up` of a name at a time: a second one waits for the first.

    Raises UsageError for what can be no lab's name, OutOfTimeOrRoom.
    """
    path = folder(name).with_name(f".{name}.starting")
    _make_root()
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OutOfTimeOrRoom(f"cannot make {path}: {error.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _is_at(fd, path):
                yield
                return
        finally:
            os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    """Whether an open file is still the one at `path`: a lab that ends takes its files away."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def remove(path: Path) -> None:
    """Take away what an ended lab left on disk."""
    shutil.rmtree(path, ignore_errors=True)
    (path.parent / f".{path.name}.starting").unlink(missing_ok=True)


def folders() -> list[Path]:
    """The folders of this user's labs, living or not. Raises OutOfTimeOrRoom where none can be read."""
    try:
        return sorted(path for path in root().iterdir() if path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise OutOfTimeOrRoom(
            f"cannot read {root()}: {error.strerror}", "set XDG_RUNTIME_DIR to a folder of yours"
        ) from None


def names() -> list[str]:
    """The labs that run. Folders of ended ones vanish. Raises OutOfTimeOrRoom."""
    found: list[str] = []
    for path in folders():
        if not _NAME.fullmatch(path.name):
            continue
        if is_alive(path):
            found.append(path.name)
        elif (path / "lock").exists():  # without one it is only just starting
            remove(path)
    return found


def find(name: str) -> Path:
    """The folder of a lab that runs. Raises NotFound with the names that do."""
    path = folder(name)
    if not is_alive(path):
        running = names()
        hint = f"running: {', '.join(running)}" if running else "no lab runs; `testbed up FILE`"
        raise NotFound(f"no lab {name!r}", hint)
    return path


def pid_file(path: Path) -> Path:
    """Where PID 1 of the lab writes its pid, as the host counts."""
    return path / "pid"


def pid(path: Path) -> int | None:
    """PID 1 of the lab, as the host counts."""
    try:
        return int(pid_file(path).read_text())
    except (OSError, ValueError):
        return None
