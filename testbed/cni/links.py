"""Pod links made by CNI plug-ins."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.apiserver.validation.quantity import quantity
from testbed.clock import now_ns
from testbed.cni.attachments import Attachments
from testbed.cni.protocol import Attached, Container, Json, PluginFailed, attached
from testbed.errors import CheckFailed, TestbedError, UsageError
from testbed.events import Event, Record
from testbed.ip import FAMILY_NAMES
from testbed.kernel import links, netlink, netns
from testbed.model.conflist import NetworkList
from testbed.model.objects.metadata import name_of
from testbed.model.objects.pods import Pod
from testbed.podnet.addresses import Addresses
from testbed.podnet.host_ports import port_mappings
from testbed.podnet.link import POD_INTERFACE
from testbed.runtime.netns import path_of
from testbed.runtime.pod_links import Attachment

_DEL_TRIES, _DEL_PAUSE_S = 3, 0.5
_BURST_BITS = 2**31 - 1
"""As kubelet's runtimes have it: the plug-in bandwidth takes bursts up to what 32 bits hold."""


@dataclass(frozen=True, slots=True)
class Place:
    """The node that pods are attached to."""

    name: str
    families: tuple[int, ...]
    """Of the cluster, the primary one first."""


@dataclass(frozen=True, slots=True)
class _Joined:
    pod: Pod
    container: Container


class PluginLinks:
    """One node's (a `PodLinks`)."""

    def __init__(
        self, place: Place, listed: NetworkList, attachments: Attachments, record: Record
    ) -> None:
        self.maps_ports = any(
            (plugin.get("capabilities") or {}).get("portMappings") for plugin in listed.plugins
        )
        self._place = place
        self._attachments = attachments
        self._record = record
        self._joined: dict[str, _Joined] = {}
        self._left: list[Container] = []
        """Those whose DEL failed."""
        self._begun = False
        self._beginning = asyncio.Lock()
        self._powered = True

    async def attach(self, pod: Pod, namespace: int) -> Attachment:
        await self._begin()
        with netns.entered(namespace), netlink.Netlink() as link:
            link.send([links.link_up(1)])  # as kubelet's runtimes do with the plug-in loopback
        container = Container(
            hashlib.sha256(f"{self._place.name}/{pod.meta.uid}".encode()).hexdigest(),
            path_of(namespace),
            POD_INTERFACE,
            _args(pod),
            capabilities(pod),
        )
        start_ns = now_ns()
        try:
            if container.id in {one.id for one in self._left}:
                await self._delete(container)
            found = await self._add(container)
        except PluginFailed as failed:
            self._note("failed", pod, _said(failed))
            raise
        self._joined[pod.meta.uid] = _Joined(pod, container)
        detail = {"start_ns": start_ns, "addresses": [str(one) for one in found.addresses]}
        self._note("added", pod, detail)
        return Attachment(_in_order(found, self._place.families), found.node_interface)

    async def detach(self, pod_uid: str) -> None:
        joined = self._joined.pop(pod_uid, None)
        if joined is None or not self._powered:
            return
        for rest in reversed(range(_DEL_TRIES)):
            try:
                await self._delete(joined.container)
                return
            except PluginFailed as failed:
                self._note("failed", joined.pod, _said(failed))
                if rest:
                    await asyncio.sleep(_DEL_PAUSE_S)
        self._left.append(joined.container)

    async def check(self, pod_uid: str) -> None:
        joined = self._joined.get(pod_uid)
        if joined is None:
            return  # it went meanwhile
        try:
            await self._attachments.check(joined.container)
        except PluginFailed as failed:
            self._note("failed", joined.pod, _said(failed))
            raise CheckFailed(f"pod {name_of(joined.pod)}: {failed}") from None

    def more_addresses(self, pod_uid: str, count: int) -> tuple[Addresses, ...]:
        raise UsageError(
            f"this load needs {count} client addresses, and CNI plug-ins give a pod one",
            "use fewer connections or a lower rate, --reuse, or several clients",
        )

    def cut(self) -> None:
        """The node has no power any more: what was attached is found when it boots."""
        self._powered = False
        self._attachments.close()

    async def _begin(self) -> None:
        """Once, before the first pod: what an earlier life of the node left is undone."""
        async with self._beginning:
            if self._begun:
                return
            try:
                await self._attachments.collect(one.container for one in self._joined.values())
                await self._attachments.status()
            except PluginFailed as failed:
                detail = _said(failed)
                self._record(Event(now_ns(), "cni", self._place.name, "failed", "", 0, detail))
                raise
            self._begun = True

    async def _add(self, container: Container) -> Attached:
        result = await self._attachments.add(container)
        version = await self._attachments.version()
        try:
            found = attached(result, version, container.interface)
            _in_order(found, self._place.families)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            await self._delete(container)
            raise PluginFailed("the list", "ADD", {"msg": f"its result is none: {error}"}) from None
        except TestbedError:
            await self._delete(container)
            raise
        return found

    async def _delete(self, container: Container) -> None:
        await self._attachments.delete(container)
        self._left = [one for one in self._left if one.id != container.id]

    def _note(self, kind: str, pod: Pod, detail: Mapping[str, Any]) -> None:
        self._record(Event(now_ns(), "cni", self._place.name, kind, name_of(pod), 0, detail))


def _said(failed: PluginFailed) -> dict[str, Any]:
    return {
        "plugin": failed.plugin,
        "command": failed.command,
        "code": failed.code,
        "message": failed.message,
    }


def _in_order(found: Attached, families: tuple[int, ...]) -> Addresses:
    """A pod's addresses, the primary family's first; those of other families are nobody's business.

    Raises PluginFailed where it has none of the primary family.
    """
    by_family = {one.version: one.ip for one in reversed(found.addresses)}
    if families[0] not in by_family:
        lacks = f"the result has no {FAMILY_NAMES[families[0]]} address for {POD_INTERFACE}"
        raise PluginFailed("the list", "ADD", {"msg": lacks})
    return tuple(by_family[family] for family in families if family in by_family)


def _args(pod: Pod) -> tuple[tuple[str, str], ...]:
    """What kubelet's runtimes pass as CNI_ARGS."""
    meta = pod.meta
    return (
        ("IgnoreUnknown", "1"),
        ("K8S_POD_NAMESPACE", meta.namespace),
        ("K8S_POD_NAME", meta.name),
        ("K8S_POD_INFRA_CONTAINER_ID", meta.uid),
        ("K8S_POD_UID", meta.uid),
    )


MAC_ANNOTATION = "testbed/mac"
IPS_ANNOTATION = "testbed/ips"
"""What a pod asks for, for plug-ins that have the capability of that name."""


def capabilities(pod: Pod) -> Json:
    """What a pod asks for, by capability, as kubelet's runtimes say it. Raises UsageError."""
    asked: dict[str, Any] = {"io.kubernetes.cri.pod-annotations": dict(pod.meta.annotations)}
    if ports := port_mappings(pod):
        asked["portMappings"] = ports
    if bandwidth := _bandwidth(pod):
        asked["bandwidth"] = bandwidth
    if mac := pod.meta.annotations.get(MAC_ANNOTATION):
        asked["mac"] = mac
    if ips := pod.meta.annotations.get(IPS_ANNOTATION):
        asked["ips"] = [one.strip() for one in ips.split(",")]
    return asked


def _bandwidth(pod: Pod) -> dict[str, int]:
    """Of Kubernetes' annotations: `kubernetes.io/ingress-bandwidth: 10M`."""
    found: dict[str, int] = {}
    for direction in ("ingress", "egress"):
        key = f"kubernetes.io/{direction}-bandwidth"
        if written := pod.meta.annotations.get(key):
            try:
                found[f"{direction}Rate"] = int(quantity(written))
            except (ValueError, KeyError, ArithmeticError):
                raise UsageError(f"{key}: {written!r} is no quantity", "as in 10M") from None
            found[f"{direction}Burst"] = _BURST_BITS
    return found
