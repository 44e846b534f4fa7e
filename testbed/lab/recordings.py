"""What the kernel and the servers note during a trial: conntrack entries, counters, accept logs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from testbed.errors import UsageError
from testbed.kernel.guests import show_to_host
from testbed.lab.cluster import Cluster
from testbed.lab.programs import Programs
from testbed.model.objects.pods import Pod
from testbed.runtime.netns import path_of
from testbed.runtime.processes import LabProcess, Processes, next_message
from testbed.store import Change

_ANSWER_S = 60.0


class Recordings:
    """One recording at a time."""

    def __init__(
        self, cluster: Cluster, programs: Programs, processes: Processes, folder: Path
    ) -> None:
        self._cluster = cluster
        self._programs = programs
        self._processes = processes
        self._folder = folder / "recordings"
        self._folder.mkdir(exist_ok=True)
        self._count = 0
        self._process: LabProcess | None = None
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._picks: list[tuple[str, str]] = []
        self._before: dict[str, dict[str, int]] = {}
        self._pods: dict[str, Pod] = {}
        """By uid: those that lived during the recording, gone or not."""
        cluster.store.watch(self._changed)

    async def start(self) -> None:
        """Note every new connection of every node from now on. Raises UsageError when it does already."""
        if self._process is not None:
            raise UsageError("a recording runs already", "stop it first")
        self._count += 1
        self._answers = asyncio.Queue()
        self._pods = {}
        config = {
            "nodes": {name: path_of(node.namespace) for name, node in self._cluster.nodes.items()},
            "output": str(self._path()),
        }
        self._process = await self._processes.spawn(
            "recorder", config, on_message=self._answers.put_nowait
        )
        self._picks = []
        for node, proxy in self._cluster.companions.items():
            path = self._folder / f"{self._count}-{len(self._picks)}-{node}"
            await proxy.stand("record", str(path))
            self._picks.append((node, str(path)))
        self._before = (await self._ask("counters"))["nodes"]

    async def stop(self) -> dict[str, Any]:
        """entries (path), picks ([node, path] of each proxy that is a process), accept_logs (pod name -> path),
        lost, counters (increase per node).
        """
        if self._process is None:
            raise UsageError("no recording runs", "start one first")
        for _, proxy in self._cluster.companions.items():
            await proxy.stand("record", "")
        try:
            flushed = await self._ask("flush")
            counters = (await self._ask("counters"))["nodes"]
        finally:
            process, self._process = self._process, None
            await process.end()
        logs = self._accept_logs()
        show_to_host(logs.values())
        return {
            "entries": str(self._path()),
            "picks": self._picks,
            "accept_logs": logs,
            "lost": flushed["lost"],
            "counters": {
                node: {
                    name: value - self._before.get(node, {}).get(name, 0)
                    for name, value in now.items()
                }
                for node, now in counters.items()
            },
        }

    def _changed(self, changes: tuple[Change, ...]) -> None:
        if self._process is not None:
            pods = (change.object for change in changes if isinstance(change.object, Pod))
            self._pods.update({pod.meta.uid: pod for pod in pods})

    def _accept_logs(self) -> dict[str, str]:
        """By pod name; a name that two pods have borne in turn is told apart by uid."""
        pods = {**self._pods, **{pod.meta.uid: pod for pod in self._cluster.store.list(Pod)}}
        found: dict[str, str] = {}
        for pod in pods.values():
            path = self._programs.accept_log(pod)
            if path.exists():
                name = pod.meta.name
                found[name if name not in found else f"{name}@{pod.meta.uid}"] = str(path)
        return found

    def _path(self) -> Path:
        return self._folder / str(self._count)

    async def _ask(self, what: str) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.channel is not None
        self._process.channel.send({what: 1})
        return await next_message(self._answers, self._process, _ANSWER_S, "the recorder")
