"""Pods that cache names for their node (`dns.nodeLocal`): what runs in a container of their image."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from errno import EEXIST
from ipaddress import ip_interface

from testbed.errors import UsageError
from testbed.ip import families_of, family_of
from testbed.kernel import netns
from testbed.kernel.addresses import address
from testbed.kernel.netlink import Netlink, NetlinkError
from testbed.lab.container_log import ContainerLog
from testbed.lab.dns_servers import DnsServers
from testbed.model.documents import ConfigMap
from testbed.model.node_local import COREFILE_KEY, NAME, NAMESPACE, UPSTREAM
from testbed.model.node_local_corefile import filled
from testbed.model.objects.services import Service
from testbed.runtime.netns import Place
from testbed.runtime.processes import LabProcess
from testbed.store import Change, Store

_LOOPBACK = 1
"""Index of `lo` in every network namespace."""


@dataclass(slots=True)
class NodeCaches:
    """All of one lab's."""

    servers: DnsServers
    store: Store
    domain: str
    _running: list[tuple[LabProcess, str, str]] = field(default_factory=list)
    """Each with its address and whom it asks."""

    def __post_init__(self) -> None:
        self.store.watch(self._changed)

    async def start(self, place: Place, files: tuple[str, str]) -> tuple[LabProcess, ContainerLog]:
        """A node's cache, when it listens or has ended, and what it prints. `files`: paths of the pod's
        resolv.conf and hosts file.

        Raises UsageError for arguments, a service or a ConfigMap that are not as they must be.
        """
        local, service = _arguments(place.container.args)
        upstream = self._upstream(service, local)
        _has_address(place.netns, local)
        resolv_conf, hosts = files
        config = {
            "listen": [local],
            "corefile": filled(self._template(), self.domain, local, upstream),
            "files": {"/etc/resolv.conf": resolv_conf, "/etc/hosts": hosts},
        }
        process, log = await self.servers.spawn(config, place.netns)
        self._running.append((process, local, upstream))
        return process, log

    def _template(self) -> str:
        found = self.store.snapshot().get(ConfigMap, NAMESPACE, NAME)
        text = (found.body.get("data") or {}).get(COREFILE_KEY) if found is not None else None
        if not text:
            raise UsageError(f"there is no ConfigMap {NAMESPACE}/{NAME} with a {COREFILE_KEY}")
        return str(text)

    def _upstream(self, name: str, local: str) -> str:
        """The cluster address of the service that a cache asks, of the family of its own."""
        service = self.store.snapshot().get(Service, NAMESPACE, name)
        addresses = service.cluster_ips if service is not None else ()
        families = families_of(addresses)
        if family_of(local) not in families:
            raise UsageError(
                f"service {NAMESPACE}/{name} has no address of the family of {local}",
                "make it, or name another one with -upstreamsvc",
            )
        return addresses[families.index(family_of(local))]

    def _changed(self, changes: tuple[Change, ...]) -> None:
        """A Corefile that is another one; the plug-in `reload` looks at it when its time has come."""
        for change in changes:
            meta = change.object.meta
            mine = isinstance(change.object, ConfigMap) and (meta.namespace, meta.name) == (
                NAMESPACE,
                NAME,
            )
            if not mine or change.type == "DELETED":
                continue
            self._running = [one for one in self._running if one[0].running]
            for process, local, upstream in self._running:
                assert process.channel is not None
                text = filled(self._template(), self.domain, local, upstream)
                process.channel.send({"corefile": text})


def _arguments(args: tuple[str, ...]) -> tuple[str, str]:
    """(address, service), as node-cache's -localip and -upstreamsvc. Raises UsageError."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-localip", required=True)
    parser.add_argument("-upstreamsvc", default=UPSTREAM)
    try:
        known, _ = parser.parse_known_args(args)
    except argparse.ArgumentError as error:
        raise UsageError(f"node-cache: {error}") from None
    return known.localip, known.upstreamsvc


def _has_address(namespace: str, local: str) -> None:
    """Give a node the address, on its loopback interface: who sends to it from the node, or from a pod that
    has the node for its gateway, is answered there. Upstream makes a dummy interface for it.
    """
    with netns.entered(namespace), Netlink() as link:
        try:
            link.send([address(ip_interface(local), _LOOPBACK)])
        except NetlinkError as error:
            if error.errno != EEXIST:
                raise
