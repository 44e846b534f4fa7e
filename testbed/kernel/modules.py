"""Loading kernel modules in process: a program per module costs a guest kernel more than the module."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path

_SYS_FINIT_MODULE = {"x86_64": 313, "aarch64": 273}
_libc = ctypes.CDLL(None, use_errno=True)


def dependencies(modules_dep: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """modules.dep(5): module -> (its file, the files it needs, the last needed first). Pure."""
    found = {}
    for line in modules_dep.splitlines():
        path, _, needed = line.partition(":")
        name = path.rsplit("/", 1)[-1].split(".")[0].replace("-", "_")
        found[name] = (path, tuple(needed.split()))
    return found


def load(names: Iterable[str], folder: Path) -> None:
    """Load modules and what they need, from a folder of modules; those this kernel lacks are left out.

    `folder` has modules.dep. Whether a feature works is for `features` to find out.
    """
    known = dependencies((folder / "modules.dep").read_text())
    loaded: set[str] = set()
    for name in names:
        if name in known:
            path, needed = known[name]
            for file in (*reversed(needed), path):
                if file not in loaded:
                    _load(folder / file)
                    loaded.add(file)


def _load(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        number = _SYS_FINIT_MODULE[os.uname().machine]
        if _libc.syscall(number, fd, b"", 0) != 0:
            code = ctypes.get_errno()
            if code != errno.EEXIST:
                raise OSError(code, f"module {path.name}: {os.strerror(code)}")
    finally:
        os.close(fd)
