"""The door to a lab's Kubernetes API, which is not there until somebody asks for it.

A lab that nobody asks has the services of its topology and no other, and pays for no server.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.errors import UsageError
from testbed.lab.api_access import Access, kubeconfig, write_private
from testbed.lab.api_users import ADMIN
from testbed.lab.cluster import Cluster
from testbed.lab.control import Call
from testbed.lab.journal import Journal
from testbed.model.documents import ServiceAccount
from testbed.model.objects.pods import Pod
from testbed.model.topology import Topology

if TYPE_CHECKING:
    from testbed.lab.api import LabApi

INSIDE = "inside.conf"
"""Of a lab's folder: the kubeconfig of programs in it."""


def asked_for(topology: Topology) -> bool:
    """Whether pods of a topology are to reach the API: a manifest names a ServiceAccount, or is one."""
    manifests = (one for one in topology.manifests if isinstance(one, dict))
    return any(
        one.get("kind") == ServiceAccount.kind or _account(_pod_spec(one)) for one in manifests
    )


def _pod_spec(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = manifest.get("spec")
    if not isinstance(spec, Mapping):
        return {}
    template = spec.get("template")
    return _pod_spec(template) if isinstance(template, Mapping) else spec


def _account(spec: Mapping[str, Any]) -> str:
    return str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "")


class LazyApi:
    """Opened by its first user; from then on it is there until the lab ends."""

    def __init__(
        self, cluster: Cluster, topology: Topology, folder: Path, journal: Journal
    ) -> None:
        """`folder` is the lab's."""
        self._folder = folder
        self._make = partial(_api, cluster, topology, folder, journal)
        self._lock = asyncio.Lock()
        self._api: LabApi | None = None

    async def opened(self) -> LabApi:
        """The API, serving."""
        async with self._lock:
            if self._api is None:
                api = self._make()
                await api.start()
                self._api = api
        return self._api

    def account(self, pod: Pod) -> Path | None:
        """A folder of what lets a pod's programs in, as kubelet projects it: token, ca.crt, namespace.

        None: the API is not there, or the pod does not want it.
        """
        return self._api.accounts.folder(pod) if self._api is not None else None

    async def access(self) -> dict[str, Any]:
        """ca and token for whoever owns the lab, and the address outside it ("": none yet)."""
        api = await self.opened()
        credentials = api.credentials
        return {
            "address": api.outside,
            "ca": credentials.ca_pem,
            "token": credentials.token(ADMIN),
        }

    async def file_inside(self) -> Path:
        """A kubeconfig for programs of the lab, as its admin."""
        api = await self.opened()
        found = Access(api.inside, api.credentials.ca_pem, api.credentials.token(ADMIN))
        path = self._folder / INSIDE
        write_private(path, json.dumps(kubeconfig(self._folder.name, found)))
        return path

    async def listen(self, call: Call) -> dict[str, Any]:
        """Serve on the caller's socket, too. As `access`."""
        if len(call.fds) != 1:
            raise UsageError("listen_api needs one listening socket")
        api = await self.opened()
        listener = socket.socket(fileno=os.dup(call.fds[0]))
        await api.listen(listener, call.params["address"])
        return await self.access()


def _api(cluster: Cluster, topology: Topology, folder: Path, journal: Journal) -> LabApi:
    from testbed.lab.api import LabApi  # only these labs pay for an HTTP server

    return LabApi(cluster, topology, folder, journal)
