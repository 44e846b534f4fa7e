"""Where a node's plug-ins run: its network namespace, with a /var/lib/cni and an xtables lock of its own.

A lab's nodes share the lab's mount namespace; plug-ins keep what they have given out below /var/lib/cni, and
two machines must not share that. So a thread per node has mounts of its own, and what it starts inherits them.
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
from testbed.kernel.search_path import with_admin_folders
from testbed.sandbox import world

STATE = Path("/var/lib/cni")
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
        tools = _tools(around.folder / "bin", around.variant)
        path = f"{tools}:{with_admin_folders(os.environ.get('PATH', os.defpath))}"
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
    path = with_admin_folders(os.environ.get("PATH", os.defpath))
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
    state = around.folder / "state"
    if not STATE.is_dir():
        _make_room(STATE, around.folder / "var-lib")
    world.bind(str(state), str(STATE))


def _make_room(wanted: Path, beside: Path) -> None:
    """Let there be a folder where the host has none: a folder of our own shows what is around it."""
    around = wanted.parent
    beside.mkdir(exist_ok=True)
    world.mount(str(around), str(beside), flags=_MS_REC_BIND)
    world.mount("tmpfs", str(around), "tmpfs")
    for name in os.listdir(beside):
        (around / name).symlink_to(beside / name)
    wanted.mkdir()
