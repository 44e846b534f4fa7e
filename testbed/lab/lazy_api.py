"""The door to a lab's Kubernetes API, which is not there until somebody asks for it.

A lab that nobody asks has the services of its topology and no other, and pays for no server.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

from testbed.errors import UsageError
from testbed.lab.api_users import ADMIN
from testbed.lab.cluster import Cluster
from testbed.lab.control import Call
from testbed.lab.journal import Journal

if TYPE_CHECKING:
    from testbed.lab.api import LabApi


class LazyApi:
    """Opened by its first user; from then on it is there until the lab ends."""

    def __init__(self, cluster: Cluster, journal: Journal) -> None:
        self._cluster = cluster
        self._journal = journal
        self._lock = asyncio.Lock()
        self._api: LabApi | None = None

    async def opened(self) -> LabApi:
        """The API, serving."""
        async with self._lock:
            if self._api is None:
                from testbed.lab.api import LabApi  # only these labs pay for an HTTP server

                api = LabApi(self._cluster, self._journal)
                await api.start()
                self._api = api
        return self._api

    async def access(self) -> dict[str, Any]:
        """ca and token for whoever owns the lab, and the address outside it ("": none yet)."""
        api = await self.opened()
        credentials = api.credentials
        return {
            "address": api.outside,
            "ca": credentials.ca_pem,
            "token": credentials.token(ADMIN),
        }

    async def listen(self, call: Call) -> dict[str, Any]:
        """Serve on the caller's socket, too. As `access`."""
        if len(call.fds) != 1:
            raise UsageError("listen_api needs one listening socket")
        api = await self.opened()
        listener = socket.socket(fileno=os.dup(call.fds[0]))
        await api.listen(listener, call.params["address"])
        return await self.access()
