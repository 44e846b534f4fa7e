"""Where a node's plug-ins run: its network namespace, with its own /var/lib/cni, /run/cni and xtables lock.

A lab's nodes share the lab's mount namespace; plug-ins keep what they have given out in those folders, and two
machines must not share them. So a thread per node has mounts of its own, and what it starts inherits them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.cni.protocol import Json, PluginFailed
from testbed.kernel import netns
from testbed.kernel.search_path import tool_path
from testbed.sandbox import world

STATE, RUN = Path("/var/lib/cni"), Path("/run/cni")
"""Where plug-ins keep what they have given out, and what is gone when the machine is."""
PATIENCE_S = 60.0
"""Longer no plug-in may take."""
_MS_REC_BIND = 0x1000 | 0x4000
_TOOLS = ("iptables", "ip6tables")
_ENDINGS = ("", "-save", "-restore")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Of one node."""

    namespace: int
    folder: Path
    """What the node's plug-ins keep is in it, also over a reboot."""
    variant: str
    """nft or legacy: which iptables `iptables` is, for plug-ins as for the node's proxy."""
    env: Mapping[str, str] = field(default_factory=dict)


class NodeWorld:
    """Runs plug-ins on one node, one after the other."""

    def __init__(self, around: Surroundings) -> None:
        self.folder = around.folder
        (around.folder / "state").mkdir(parents=True, exist_ok=True)
        shutil.rmtree(around.folder / "run", ignore_errors=True)
        (around.folder / "run").mkdir()
        tools = _tools(around.folder / "bin", around.variant)
        path = f"{tools}:{tool_path()}"
        self._env = {**os.environ, **around.env, "PATH": path}
        self._thread = ThreadPoolExecutor(1, initializer=_enter, initargs=(around,))

    @property
    def state(self) -> Path:
        """What the node's plug-ins see as /var/lib/cni."""
        return self.folder / "state"

    @property
    def executor(self) -> ThreadPoolExecutor:
        return self._thread

    def run(self, executable: str, variables: Mapping[str, str], config: Json) -> Json:
        """Run a plug-in to its end, in `executor`'s thread; returns what it prints, {} for nothing.

        Raises PluginFailed.
        """
        plugin, command = Path(executable).name, variables["CNI_COMMAND"]
        process = subprocess.Popen(
            [executable],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self._env, **variables},
            cwd="/",
            process_group=0,
        )
        try:
            out, err = process.communicate(json.dumps(config).encode(), PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            said = {"msg": f"it had not ended after {PATIENCE_S:g} s"}
            raise PluginFailed(plugin, command, said) from None
        if process.returncode:
            raise PluginFailed(plugin, command, _error(out, err, process.returncode))
        try:
            printed = json.loads(out) if out.strip() else {}
        except ValueError:
            printed = None
        if not isinstance(printed, dict):
            shown = out.decode(errors="replace").strip()[:200]
            raise PluginFailed(plugin, command, {"msg": f"its answer is no JSON object: {shown!r}"})
        return printed

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def _error(out: bytes, err: bytes, code: int) -> Json:
    """What a plug-in that failed printed: an error object, or anything."""
    try:
        said: Any = json.loads(out)
    except ValueError:
        said = None
    if isinstance(said, dict) and said.get("msg"):
        return said
    text = (out + err).decode(errors="replace").strip()[:500]
    return {"msg": text or f"it ended with code {code} and said nothing"}


def _tools(folder: Path, variant: str) -> Path:
    """A folder in which `iptables` is the variant that the node's proxy has."""
    folder.mkdir(exist_ok=True)
    path = tool_path()
    for tool in _TOOLS:
        for ending in _ENDINGS:
            found = shutil.which(f"{tool}-{variant}{ending}", path=path)
            link = folder / f"{tool}{ending}"
            if found and not link.is_symlink():
                link.symlink_to(found)
    return folder


def _enter(around: Surroundings) -> None:
    """Let the calling thread be on the node."""
    netns.setns(around.namespace)
    netns.unshare(netns.CLONE_NEWNS)
    for own, seen in (("state", STATE), ("run", RUN)):
        if not seen.is_dir():
            _make_room(seen)
        world.bind(str(around.folder / own), str(seen))


def _make_room(wanted: Path) -> None:
    """Let there be a folder where the host has none: a new folder around it shows all that is beside it."""
    around = wanted.parent
    old = os.open(around, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(around) as found:
            beside = list(found)
        world.mount("tmpfs", str(around), "tmpfs")
        for entry in beside:
            here, there = around / entry.name, f"/proc/thread-self/fd/{old}/{entry.name}"
            if entry.is_symlink():
                here.symlink_to(os.readlink(there))
                continue
            if entry.is_dir():
                here.mkdir()
            else:
                here.touch()
            world.mount(there, str(here), flags=_MS_REC_BIND)
    finally:
        os.close(old)
    wanted.mkdir()
