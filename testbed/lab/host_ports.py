"""The host ports of one node: its tables follow its pods."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.ip import IPAddress
from testbed.kernel import netns, sysctl
from testbed.kernel.run import Shell
from testbed.model.objects.pods import Pod
from testbed.podnet.host_ports import PortMapping, command, mappings


class HostPorts:
    """Of one node (a `runtime.netns.PortMapper`)."""

    def __init__(self, shell: Shell, namespace: int, families: Sequence[int]) -> None:
        self._shell = shell
        self._namespace = namespace
        self._families = tuple(families)
        self._pods: dict[str, tuple[PortMapping, ...]] = {}

    async def map(self, pod: Pod, addresses: Sequence[IPAddress], interface: str) -> None:
        """Pass on what comes to a pod's host ports; `interface` is the node's end of its link (""
        where there is none). Raises TestbedError.
        """
        wanted = mappings(pod, addresses)
        if wanted:
            if interface:  # else nobody reaches one by 127.0.0.1
                with netns.entered(self._namespace):
                    sysctl.write([(f"ipv4/conf/{interface}/route_localnet", "1")])
            self._pods[pod.meta.uid] = wanted
            await self._write()

    async def unmap(self, pod_uid: str) -> None:
        """Of a pod that is no more."""
        if self._pods.pop(pod_uid, ()):
            await self._write()

    async def _write(self) -> None:
        every = [one for mapped in self._pods.values() for one in mapped]
        await self._shell.run_all([command(every, self._families)])
