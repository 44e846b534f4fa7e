"""What the machine is: kernel, CPU, tools, packages and sysctls, for `run.json`."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import testbed

_TOOLS = {
    "iptables-nft": ("--version",),
    "iptables-legacy": ("--version",),
    "nft": ("--version",),
    "conntrack": ("--version",),
    "ip": ("-V",),
}
_SYSCTLS = (
    "net.core.netdev_max_backlog",
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_syn_linear_timeouts",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_tw_reuse",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_max",
    "kernel.sched_autogroup_enabled",
)
"""Of the host. A lab sets its own per namespace, the same in every trial."""


def host_kernel() -> dict[str, str]:
    """The machine's own kernel, where it carries the labs."""
    return {
        "carrier": "host",
        "release": platform.release(),
        "version": platform.version(),
        "machine": platform.machine(),
    }


def guest_kernel(name: str, release: str) -> dict[str, str]:
    """A guest kernel that carries the labs, and the machine's own beneath it."""
    return {**host_kernel(), "carrier": "uml", "release": release, "version": f"{name} guest"} | {
        "host_release": platform.release()
    }


def environment(kernel: Mapping[str, str]) -> dict[str, Any]:
    """The machine as JSON values; `kernel` carries the labs. What cannot be read is null, never a guess."""
    return {
        "testbed": testbed.__version__,
        "commit": _commit(),
        "host": platform.node(),
        "kernel": dict(kernel),
        "distribution": _distribution(),
        "cpu": {"model": _cpu_model(), "online": os.cpu_count()},
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "root": os.geteuid() == 0,
        "python": platform.python_version(),
        "tools": {name: _version(name, arguments) for name, arguments in _TOOLS.items()},
        "packages": {
            dist.metadata["Name"]: dist.version
            for dist in sorted(distributions(), key=lambda dist: str(dist.metadata["Name"]).lower())
        },
        "sysctls": {name: _sysctl(name) for name in _SYSCTLS},
    }


@cache
def _version(tool: str, arguments: tuple[str, ...]) -> str | None:
    # An ordinary user's PATH lacks the folders that Debian keeps network tools in.
    found = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        return None
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if lines else None


@cache
def _commit() -> str | None:
    """The source's git commit, with `-dirty` for changes since; None outside a checkout."""
    source = Path(testbed.__file__).parent.parent
    if not (source / ".git").exists() or shutil.which("git") is None:
        return None
    done = subprocess.run(
        ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None


def _cpu_model() -> str | None:
    found = re.search(r"^model name\s*:\s*(.+)$", _read("/proc/cpuinfo") or "", re.MULTILINE)
    return found[1] if found else platform.processor() or None


def _distribution() -> str | None:
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', _read("/etc/os-release") or "", re.MULTILINE)
    return found[1] if found else None


def _sysctl(name: str) -> str | None:
    value = _read(f"/proc/sys/{name.replace('.', '/')}")
    return None if value is None else " ".join(value.split())


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except OSError:
        return None
