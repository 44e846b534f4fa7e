"""The plug-ins of a lab: where they are, and which version of the specification all of them speak."""

from __future__ import annotations

import asyncio
import os
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.cni.node_world import NodeWorld
from testbed.cni.protocol import VERSION, PluginFailed, common_version, environment
from testbed.errors import MissingFeature
from testbed.model.cni import PLUGIN_PATH
from testbed.model.conflist import VERSIONS, NetworkList, types_of

OURS = ("testbed-routed", "testbed-bridged", "testbed-local")
_REMEDY = "apt-get install --no-install-recommends containernetworking-plugins"


def find(kinds: Sequence[str], folders: Sequence[str]) -> dict[str, str]:
    """The executable of each plug-in. Raises MissingFeature that names all that are in no folder."""
    found = {kind: path for kind in kinds if (path := _executable(kind, folders))}
    missing = [kind for kind in kinds if kind not in found]
    if missing:
        where = ", ".join(folders)
        remedy = (
            _REMEDY if tuple(folders) == PLUGIN_PATH else f"{_REMEDY}, or write network.cni.path"
        )
        raise MissingFeature(f"no CNI plug-in {', '.join(missing)} in {where}", remedy)
    return found


def own_folder() -> str:
    """Where our own plug-ins are installed."""
    return sysconfig.get_path("scripts")


def _executable(kind: str, folders: Sequence[str]) -> str:
    for folder in (*folders, own_folder()) if kind in OURS else folders:
        path = Path(folder) / kind
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    return ""


class Plugins:
    """Of one lab. At most as many run at a time as there are CPUs."""

    def __init__(self, listed: NetworkList, folders: Sequence[str]) -> None:
        """Raises MissingFeature."""
        self.executables: Mapping[str, str] = find(types_of(listed.plugins), folders)
        ours = [own_folder()] if any(kind in OURS for kind in self.executables) else []
        self.path = ":".join(dict.fromkeys((*folders, *ours)))
        self.slots = asyncio.Semaphore(os.cpu_count() or 1)
        self._listed = listed
        self._asked = asyncio.Lock()
        self._version = ""

    async def version(self, world: NodeWorld) -> str:
        """The version to use, by asking every plug-in once. Raises MissingFeature, PluginFailed."""
        async with self._asked:
            if not self._version:
                known = {kind: await self._speaks(kind, world) for kind in self.executables}
                self._version, why = common_version(self._listed.versions, known)
                if why:
                    raise MissingFeature(why, "write another cniVersion, or newer plug-ins")
            return self._version

    async def _speaks(self, kind: str, world: NodeWorld) -> tuple[str, ...]:
        """The versions that a plug-in reports; those from before 0.2.0 report none."""
        variables = environment(VERSION, self.path)
        config = {"cniVersion": self._listed.versions[0]}
        loop = asyncio.get_running_loop()
        try:
            async with self.slots:
                said = await loop.run_in_executor(
                    world.executor, world.run, self.executables[kind], variables, config
                )
        except PluginFailed as failed:
            if "unknown CNI_COMMAND" in failed.message:
                return VERSIONS[:1]
            raise
        return tuple(map(str, said.get("supportedVersions") or VERSIONS[:1]))
