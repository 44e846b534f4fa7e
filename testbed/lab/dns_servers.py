"""DNS pods that run the lab's own server: its Corefile, its log, and what it hears of the cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from testbed.dns.chain import read
from testbed.dns.plugin_cfg import PLUGIN_CFG
from testbed.lab.container_log import ContainerLog
from testbed.lab.dns_feed import DnsFeed
from testbed.lab.listeners import everywhere
from testbed.model.documents import ConfigMap
from testbed.model.shorthand import COREFILE_KEY, COREFILE_MAP, DNS_NAMESPACE
from testbed.runtime.netns import Place
from testbed.runtime.processes import LabProcess, Processes
from testbed.store import Change, Store

MAIN = "dns"
"""Its name among what a zygote can fork."""


@dataclass(slots=True)
class DnsServers:
    """All of one lab's."""

    processes: Processes
    folder: Path
    store: Store
    feed: DnsFeed
    order: tuple[str, ...] = PLUGIN_CFG
    """In which order plug-ins see a query."""
    _corefile: str = ""
    """What the ConfigMap held last: as in a volume, it stays where the object goes."""
    _numbers: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.store.watch(self._changed)

    async def start(self, place: Place, files: tuple[str, str]) -> tuple[LabProcess, ContainerLog]:
        """A pod's server, when it listens or has ended. `files`: paths of its resolv.conf and hosts file.

        Raises TestbedError where no process could be made.
        """
        resolv_conf, hosts = files
        corefile = self._corefile
        config = {
            "listen": everywhere(place),
            "corefile": corefile,
            "order": self.order,
            "files": {"/etc/resolv.conf": resolv_conf, "/etc/hosts": hosts},
        }
        process, log = await self.spawn(config, place.netns)
        plan, _ = read(corefile, self.order)
        self.feed.add(process, place.node, pods=plan is not None and plan.watches_pods)
        if corefile != self._corefile:  # changed meanwhile
            self.feed.tell_all({"corefile": self._corefile})
        return process, log

    async def spawn(self, config: dict[str, Any], netns: str) -> tuple[LabProcess, ContainerLog]:
        """A server by its whole configuration, when it listens or has ended, and what it prints."""
        pipe = self.folder / f"dns-log-{next(self._numbers)}"
        os.mkfifo(pipe)
        printed = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        process: LabProcess | None = None

        def hear(message: dict[str, Any]) -> None:
            if message.get("pods") and process is not None:
                self.feed.add_pods(process)

        try:
            process = await self.processes.spawn(MAIN, {**config, "log": str(pipe)}, netns, hear)
        except BaseException:
            os.close(printed)
            raise
        finally:
            pipe.unlink()
        log = ContainerLog()
        log.read_from(printed, "stdout")
        return process, log

    def _changed(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            item = change.object
            if (
                isinstance(item, ConfigMap)
                and (item.meta.namespace, item.meta.name) == (DNS_NAMESPACE, COREFILE_MAP)
                and change.type != "DELETED"
            ):
                self._corefile = str((item.body.get("data") or {}).get(COREFILE_KEY, ""))
                # A server's plug-in `reload` looks at what its volume holds now.
                self.feed.tell_all({"corefile": self._corefile})
