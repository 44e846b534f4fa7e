"""`exec`: a user's command in a place of the lab, on the user's own file descriptors."""

from __future__ import annotations

import asyncio
import signal

from testbed.errors import NotFound, OutOfTimeOrRoom, UsageError
from testbed.lab.control import Call
from testbed.lab.places import Places
from testbed.runtime.processes import LabProcess, Processes

_HANGUP_S = 2.0
"""A command whose caller has gone gets this long after SIGHUP."""


class Execution:
    """Runs commands; each ends with its caller at the latest."""

    def __init__(self, places: Places, processes: Processes) -> None:
        self._places = places
        self._processes = processes
        self._running: dict[tuple[int, int], LabProcess] = {}

    async def execute(self, call: Call) -> int:
        """params: where, argv, env, tty, timeout_s; three file descriptors. The command's own exit code."""
        params = call.params
        if not params["argv"]:
            raise UsageError("no command to run", "testbed exec LAB WHERE -- COMMAND")
        if len(call.fds) != 3:
            raise UsageError("exec needs standard input, output and error")
        place = self._places.find(params["where"])
        resolv_conf, hosts = self._places.files(place)
        config = {
            "argv": params["argv"],
            "env": params.get("env", {}),
            "hostname": place.hostname,
            "resolv_conf": resolv_conf,
            "hosts": hosts,
            "tty": params.get("tty", False),
        }
        process = await self._processes.execute(config, place.netns, call.fds)
        key = (id(call.client), call.ident)
        self._running[key] = process
        call.progress({"started": True})
        try:
            await asyncio.wait_for(process.ended.wait(), params.get("timeout_s"))
        except TimeoutError:
            raise OutOfTimeOrRoom(
                f"{params['argv'][0]} in {place.name} did not end in {params['timeout_s']:g} s"
            ) from None
        finally:
            del self._running[key]
            await _put_down(process)
        assert process.code is not None
        return process.code

    async def signal(self, call: Call) -> None:
        """params: id (of the exec call), signum. For what the user presses on the terminal."""
        process = self._running.get((id(call.client), call.params["id"]))
        if process is None:
            raise NotFound("that command has ended")
        process.signal(int(call.params["signum"]))


async def _put_down(process: LabProcess) -> None:
    """End what is left of a command: its session's leader; its children die with the terminal or the lab."""
    if not process.running:
        return
    process.signal(signal.SIGHUP)
    try:
        await asyncio.wait_for(process.ended.wait(), _HANGUP_S)
    except TimeoutError:
        process.signal(signal.SIGKILL)
        await process.ended.wait()
