"""Which guest kernels there are: User-Mode Linux, packaged by the distribution or built here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import MissingFeature
from testbed.kernel.search_path import tool_path

PACKAGED, BUILT = "packaged", "built"
_MODULES = Path("/usr/lib/uml/modules")
REMEDIES = {
    PACKAGED: "apt-get install --no-install-recommends user-mode-linux",
    BUILT: "testbed kernel build",
}


@dataclass(frozen=True, slots=True)
class GuestKernel:
    """A kernel that runs as an ordinary process. `modules` is its folder of modules, None where all
    is built in.
    """

    name: str
    binary: Path
    release: str
    modules: Path | None = None

    @property
    def label(self) -> str:
        """As `ls` and results show it: uml 6.1.176."""
        return f"uml {self.release}"


LABEL = "TESTBED_KERNEL"
"""Environment variable that a guest's processes bear: its label."""


def label_here() -> str:
    """The kernel that carries this process, as `ls` and results show it."""
    return os.environ.get(LABEL) or f"host {os.uname().release}"


def in_guest() -> bool:
    """Whether a guest kernel carries this process."""
    return LABEL in os.environ


def show_to_host(paths: Iterable[str]) -> None:
    """Let the host see what has been written to these files through memory maps.

    A guest keeps it until the file is closed by somebody, and neither sync nor fsync say otherwise.
    """
    if in_guest():
        for path in paths:
            Path(path).open("rb").close()


def cache_folder() -> Path:
    """Where built kernels and what was found out about kernels lie: the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(home) / "testbed" / "kernels"


def installed() -> tuple[GuestKernel, ...]:
    """The guest kernels of this host, the one that can most first."""
    return tuple(_installed())


def best() -> GuestKernel:
    """The guest kernel to use. Raises MissingFeature where there is none."""
    for kernel in _installed():
        return kernel
    raise MissingFeature("there is no guest kernel on this host", " or ".join(REMEDIES.values()))


def named(name: str) -> GuestKernel:
    """The guest kernel of a name, `packaged` or `built`. Raises MissingFeature where there is none."""
    for kernel in _installed():
        if kernel.name == name:
            return kernel
    raise MissingFeature(f"there is no {name} guest kernel on this host", REMEDIES[name])


def _installed() -> Iterator[GuestKernel]:
    built = cache_folder().glob("*/linux")
    for binary in sorted(built, key=lambda path: path.stat().st_mtime, reverse=True):
        yield GuestKernel(BUILT, binary, release(binary))
    path = tool_path()
    packaged = shutil.which("linux.uml", path=path)
    if packaged is not None:
        version = release(Path(packaged))
        yield GuestKernel(PACKAGED, Path(packaged), version, _MODULES / version)


def release(binary: Path) -> str:
    """What a kernel calls itself, as in 6.1.176."""
    done = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()
