"""`exec`: a user's command in a place of the lab, on the user's own file descriptors."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from testbed.errors import NotFound, OutOfTimeOrRoom, UsageError
from testbed.lab.control import Call
from testbed.lab.docker_container import Command, prepared
from testbed.lab.places import Places
from testbed.runtime.processes import LabProcess, Processes

_HANGUP_S = 2.0
"""A command whose caller has gone gets this long after SIGHUP."""


class Execution:
    """Runs commands; each ends with its caller at the latest."""

    def __init__(self, places: Places, processes: Processes) -> None:
        self._places = places
        self._processes = processes
        self._running: dict[tuple[int, int], LabProcess | Command] = {}

    async def execute(self, call: Call) -> int:
        """params: where, argv, env, tty, timeout_s, inside (see `Lab.execute`); three file descriptors. The
        command's own exit code.
        """
        params = call.params
        if len(call.fds) != 3:
            raise UsageError("exec needs standard input, output and error")
        process = await self._begin(params, call.fds)
        key = (id(call.client), call.ident)
        self._running[key] = process
        call.progress({"started": True})
        try:
            await asyncio.wait_for(process.ended.wait(), params.get("timeout_s"))
        except TimeoutError:
            raise OutOfTimeOrRoom(
                f"{' '.join(params['argv'][:1])} in {params['where']} did not end in"
                f" {params['timeout_s']:g} s"
            ) from None
        finally:
            del self._running[key]
            await _put_down(process)
        assert process.code is not None
        return process.code

    async def _begin(self, params: dict[str, Any], fds: list[int]) -> LabProcess | Command:
        container = self._places.container(params["where"]) if params.get("inside") else ""
        if not container or not params["argv"]:
            config, netns = self._what(params)
            return await self._processes.execute(config, netns, fds)
        daemon, tty = self._places.daemon, params.get("tty", False)
        what, ident = await prepared(daemon, container, params["argv"], stdin=True, tty=tty)
        process = await self._processes.execute(what.config, what.netns, fds, what.main)
        return Command(daemon, ident, process)

    def _what(self, params: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """What is to run, and the path of its network namespace."""
        where, argv = params["where"], params["argv"]
        common: dict[str, Any] = {"env": params.get("env", {}), "tty": params.get("tty", False)}
        if line := self._places.mininet(where, argv):
            names = {"hostname": where, "resolv_conf": "", "hosts": ""}
            return {"argv": line, **common, **names}, ""
        if not argv:
            raise UsageError("no command to run", "testbed exec LAB WHERE -- COMMAND")
        place = self._places.find(where)
        resolv_conf, hosts = self._places.files(place)
        names = {"hostname": place.hostname, "resolv_conf": resolv_conf, "hosts": hosts}
        if tools := self._places.tools(place):
            path = common["env"].get("PATH", os.defpath)
            common["env"] = {**common["env"], "PATH": f"{tools}:{path}"}
        return {"argv": argv, **common, **names}, place.netns

    async def signal(self, call: Call) -> None:
        """params: id (of the exec call), signum. For what the user presses on the terminal."""
        process = self._running.get((id(call.client), call.params["id"]))
        if process is None:
            raise NotFound("that command has ended")
        process.signal(int(call.params["signum"]))


async def _put_down(process: LabProcess | Command) -> None:
    """End what is left of a command: its session's leader; its children die with the terminal or the lab."""
    if not process.running:
        return
    process.signal(signal.SIGHUP)
    try:
        await asyncio.wait_for(process.ended.wait(), _HANGUP_S)
    except TimeoutError:
        process.signal(signal.SIGKILL)
        await process.ended.wait()
