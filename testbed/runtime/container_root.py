"""A container's file system: the host's, with a layer of its own above it, and its volumes.

What the container writes goes to its layer, which is a part of the lab's tmpfs: the host sees nothing of it. A
file of the host that must be shown by itself, since its folder holds somebody's mount, is shown read-only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from testbed.sandbox.world import in_user_namespace, mount

_MS_BIND, _MS_REC = 0x1000, 0x4000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MNT_DETACH = 2
_SYS_MOUNT_SETATTR = 442
_SYS_PIVOT_ROOT = {"x86_64": 155}
_SYS_PIVOT_ROOT_ELSEWHERE = 41
_AT_FDCWD, _MOUNT_ATTR_RDONLY = -100, 1
_OWN = ("/proc", "/sys", "/dev")
"""Made anew in every container."""
_EMPTY = ("/tmp", "/var/tmp")
"""What others have left there is not the container's."""
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
_HIDDEN = ("/run/systemd/resolve", "/run/nscd", "/var/run/nscd")
"""Sockets by which libc would ask the *host's* resolver instead of the pod's."""
_OLD = "/.host"
_TRIES = 3
"""At an entry of the host's, which others may remove, and make again, while it is being shown."""

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of the lab, or of the host, that the container sees at `target`."""

    source: str
    target: str
    read_only: bool = False


def enter(scratch: Path, avoid: str, mounts: Iterable[Mount]) -> None:
    """Make the root in this process's own mount and PID namespaces, and be in it.

    `scratch` is the container's folder in the lab's tmpfs, which is mounted at `avoid`. Raises OSError.
    """
    mounts = sorted(mounts, key=lambda one: PurePosixPath(one.target).parts)
    root = scratch / "root"
    root.mkdir(exist_ok=True)
    sources = [os.open(one.source, os.O_PATH | os.O_CLOEXEC) for one in mounts]
    mount(str(root), str(root), flags=_MS_BIND)
    _Layers(scratch, _opened_up(avoid, mounts)).show("/", str(root))
    for folder in _OWN:
        (root / folder[1:]).mkdir(exist_ok=True)
    mount("proc", f"{root}/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _sys(f"{root}/sys")
    _dev(root / "dev")
    _pivot(root)
    for folder in _HIDDEN:
        if Path(folder).is_dir():
            mount("tmpfs", folder, "tmpfs", data="size=64k")
    for one, source in zip(mounts, sources, strict=True):
        _mount(one, source)
        os.close(source)
    _check(_libc.umount2(_OLD.encode(), _MNT_DETACH), f"umount {_OLD}")
    os.rmdir(_OLD)


def _opened_up(avoid: str, mounts: Iterable[Mount]) -> set[str]:
    """Folders that must be shown entry by entry: a mount is below, or must be made in a folder of others'."""
    below = [
        point
        for point in _mount_points()
        if not _is_in(point, avoid) and not any(_is_in(point, own) for own in _OWN)
    ]
    if in_user_namespace():
        below += [one.target for one in mounts if not os.path.exists(one.target)]
    below += _EMPTY
    return {str(parent) for point in below for parent in PurePosixPath(point).parents}


def _mount_points() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield line.split(" ")[4].encode().decode("unicode_escape")


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


@dataclass(frozen=True, slots=True)
class _Layers:
    scratch: Path
    opened_up: set[str]

    def show(self, source: str, target: str) -> None:
        """Show the entries of a folder one by one."""
        for entry in os.scandir(source):
            if entry.path in _OWN:
                continue
            for tries_left in reversed(range(_TRIES)):
                try:
                    self._entry(entry, f"{target}/{entry.name}")
                    break
                except FileNotFoundError:
                    if not os.path.lexists(entry.path):
                        break  # somebody has just removed it from the host
                    if not tries_left:
                        raise

    def _entry(self, entry: os.DirEntry[str], there: str) -> None:
        if entry.is_symlink():
            with suppress(FileExistsError):
                os.symlink(os.readlink(entry.path), there)
        elif entry.path in _EMPTY:
            os.makedirs(there, exist_ok=True)
            os.chmod(there, 0o1777)
        elif entry.is_dir():
            os.makedirs(there, exist_ok=True)
            if entry.path in self.opened_up:
                with suppress(PermissionError):  # what we may not look into stays empty
                    self.show(entry.path, there)
            else:
                self._layer(entry.path, there)
        else:
            Path(there).touch()
            with suppress(PermissionError):
                mount(entry.path, there, flags=_MS_BIND)
                _read_only(there)

    def _layer(self, source: str, target: str) -> None:
        name = source[1:].replace("/", "\\x2f")
        upper, work = self.scratch / "upper" / name, self.scratch / "work" / name
        upper.mkdir(parents=True, exist_ok=True)
        work.mkdir(parents=True, exist_ok=True)
        status = os.stat(source)
        os.chmod(upper, stat.S_IMODE(status.st_mode))
        with suppress(OSError):  # a user that is not mapped here
            os.chown(upper, status.st_uid, status.st_gid)
        layers = (("lowerdir", source), ("upperdir", str(upper)), ("workdir", str(work)))
        options = ",".join(f"{key}={_escaped(path)}" for key, path in layers)
        if in_user_namespace():
            options += ",userxattr"
        try:
            mount("overlay", target, "overlay", data=options)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise OSError(
                    errno.ENODEV, "this kernel has no overlayfs: modprobe overlay"
                ) from None
            if not os.path.ismount(source):
                raise
            # Not every file system can lie under another.
            mount(source, target, flags=_MS_BIND | _MS_REC)
            _read_only(target)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _sys(target: str) -> None:
    try:
        mount("sysfs", target, "sysfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    except OSError:  # a container host may refuse it: then the one that is there
        mount("/sys", target, flags=_MS_BIND | _MS_REC)


def _dev(folder: Path) -> None:
    for name in _DEVICES:
        (folder / name).touch()
        mount(f"/dev/{name}", str(folder / name), flags=_MS_BIND)
    for name in ("pts", "shm"):
        (folder / name).mkdir(exist_ok=True)
    mount("/dev/pts", str(folder / "pts"), flags=_MS_BIND)
    mount("shm", str(folder / "shm"), "tmpfs", _MS_NOSUID | _MS_NODEV, "size=64m,mode=1777")
    for name, target in _LINKS.items():
        with suppress(FileExistsError):
            os.symlink(target, folder / name)


def _pivot(root: Path) -> None:
    old = Path(f"{root}{_OLD}")
    old.mkdir(exist_ok=True)
    number = _SYS_PIVOT_ROOT.get(os.uname().machine, _SYS_PIVOT_ROOT_ELSEWHERE)
    _check(_libc.syscall(number, str(root).encode(), str(old).encode()), "pivot_root")
    os.chdir("/")


def _mount(wanted: Mount, source: int) -> None:
    target = Path(wanted.target)
    if target.is_symlink():  # as /etc/resolv.conf may be, to a place that is hidden
        target = Path(os.path.realpath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISDIR(os.fstat(source).st_mode):
        target.mkdir(exist_ok=True)
    elif not target.exists():
        target.touch()
    mount(f"/proc/self/fd/{source}", str(target), flags=_MS_BIND | _MS_REC)
    if wanted.read_only:
        _read_only(str(target))


def _read_only(target: str) -> None:
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(
        _SYS_MOUNT_SETATTR, _AT_FDCWD, target.encode(), 0, attributes, ctypes.sizeof(attributes)
    )
    _check(result, f"read-only {target}")


def _check(result: Any, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
