"""Building the full guest kernel: the distribution's own kernel source, configured for labs.

What has been fetched, unpacked and compiled stays in the work folder until a build succeeds, so that an
interrupted one goes on where it was. The finished kernel appears whole, by one rename.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import CommandFailed, MissingFeature, OutOfTimeOrRoom
from testbed.kernel.guests import BUILT, GuestKernel, cache_folder, release

Say = Callable[[str], None]
CONFIG = Path(__file__).with_name("guest.config")
TOOLS = {
    "make": "make",
    "gcc": "gcc libc6-dev",
    "ld": "binutils",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "tar": "tar",
    "xz": "xz-utils",
}
"""Program -> the Debian packages that have it."""
_SOURCES = Path("/usr/src")
_PACKAGE = re.compile(r"linux-source-\d+(?:\.\d+)+")
_EVERY = 100
"""Files compiled between two lines of progress."""


def build(say: Say) -> GuestKernel:
    """Build the guest kernel, or return the one that is there.

    Raises MissingFeature for missing tools or source, CommandFailed, OutOfTimeOrRoom where another build runs.
    """
    _require_tools()
    work = cache_folder() / ".build"
    work.mkdir(parents=True, exist_ok=True)
    with _alone(work):
        tree = _source(work, say)
        target = cache_folder() / name_of(tree)
        if not (target / "linux").exists():
            _compile(tree, work, say)
            _install(tree / "linux", target)
        shutil.rmtree(work)
    binary = target / "linux"
    return GuestKernel(BUILT, binary, release(binary))


def _require_tools() -> None:
    missing = [packages for tool, packages in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        tools = ", ".join(tool for tool, packages in TOOLS.items() if packages in missing)
        raise MissingFeature(
            f"to build a kernel, {tools} are needed",
            f"apt-get install --no-install-recommends {' '.join(missing)}",
        )


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutOfTimeOrRoom("a guest kernel is being built already", "wait for it") from None
        yield


def _source(work: Path, say: Say) -> Path:
    """The unpacked source tree."""
    tree = work / "source"
    if not tree.exists():
        archive = newest(_SOURCES) or newest(work / "package") or _fetch(work, say)
        say(f"unpacking {archive.name}")
        part = work / "source.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        _run(["tar", "-xf", str(archive), "-C", str(part), "--strip-components=1"])
        part.rename(tree)
    return tree


def newest(folder: Path) -> Path | None:
    """The kernel source archive of the highest version anywhere in a folder."""
    found = [path for path in folder.rglob("linux-source-*.tar.*") if path.is_file()]
    return max(found, key=lambda path: _version(path.name), default=None)


def _version(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", name)))


def _fetch(work: Path, say: Say) -> Path:
    """The source's archive, out of the distribution's package: neither needs root."""
    # The one that the distribution's own kernel is made from; linux-source depends on it.
    names = _PACKAGE.findall(_run(["apt-cache", "depends", "linux-source"]))
    if not names:
        raise MissingFeature(
            "no kernel source in the package lists",
            "apt-get update, or put linux-source-*.tar.xz in /usr/src",
        )
    say(f"fetching {names[0]} (about 140 MB)")
    fetched = work / "fetched"
    fetched.mkdir(exist_ok=True)
    _run(["apt-get", "download", names[0]], fetched)
    (package,) = fetched.glob("*.deb")
    part = work / "package.part"
    shutil.rmtree(part, ignore_errors=True)
    _run(["dpkg-deb", "-x", str(package), str(part)])
    part.rename(work / "package")
    archive = newest(work / "package")
    if archive is None:
        raise MissingFeature(f"{package.name} holds no kernel source", "put one in /usr/src")
    return archive


def name_of(tree: Path) -> str:
    """The folder of what this source and configuration make: version and a digest of the configuration."""
    head = (tree / "Makefile").read_text().splitlines()[:10]
    numbers = dict(
        re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", "\n".join(head), re.MULTILINE)
    )
    digest = hashlib.sha256(CONFIG.read_bytes()).hexdigest()[:8]
    return f"{numbers['VERSION']}.{numbers['PATCHLEVEL']}.{numbers['SUBLEVEL']}-{digest}"


def _compile(tree: Path, work: Path, say: Say) -> None:
    config = tree / ".config"
    base = (tree / "arch/um/configs/x86_64_defconfig").read_text()
    wanted = base + CONFIG.read_text()
    note = work / "configured"
    if not note.exists() or note.read_text() != wanted:
        config.write_text(wanted)
        _run(["make", "ARCH=um", "olddefconfig"], tree)
        note.write_text(wanted)
    say("compiling; this takes some minutes")
    _make(["make", "ARCH=um", f"-j{len(os.sched_getaffinity(0))}", "linux"], tree, say)


def _make(argv: Sequence[str], tree: Path, say: Say) -> None:
    compiled = 0
    last: list[str] = []
    with subprocess.Popen(
        argv,
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = [*last[-9:], line]
            compiled += line.lstrip().startswith("CC ")
            if line.lstrip().startswith("CC ") and compiled % _EVERY == 0:
                say(f"{compiled} files compiled")
    if process.returncode != 0:
        raise CommandFailed(" ".join(argv), process.returncode, "".join(last))


def _install(binary: Path, target: Path) -> None:
    """All or nothing: a kernel that does not even say its version is none."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    _run(["strip", "-o", str(part / "linux"), str(binary)])
    release(part / "linux")
    part.rename(target)


def _run(argv: Sequence[str], folder: Path | None = None) -> str:
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise MissingFeature(
            f"{argv[0]} is not installed",
            "on other distributions put linux-source-*.tar.xz in /usr/src",
        ) from None
    if done.returncode != 0:
        raise CommandFailed(" ".join(argv), done.returncode, done.stderr)
    return done.stdout
