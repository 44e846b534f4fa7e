"""How pods are joined to their node: the seam behind which built-in links and CNI plug-ins stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from testbed.model.objects.pods import Pod
from testbed.podnet.addresses import Addresses


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a pod has got."""

    addresses: Addresses
    node_interface: str = ""
    """The node's end of its link; "" where it has none of its own."""


class PodLinks(Protocol):
    """One node's. Called from the supervisor's event loop, for one pod never twice at a time."""

    maps_ports: bool
    """Whether `attach` takes care of the pod's host ports, too."""

    async def attach(self, pod: Pod, namespace: int) -> Attachment:
        """Join a pod's namespace (a descriptor, open until `detach` has returned) to the node.

        Raises TestbedError, OutOfTimeOrRoom where no address is left; nothing is attached then.
        """

    async def detach(self, pod_uid: str) -> None:
        """Undo it, and give the addresses back. Idempotent."""

    async def check(self, pod_uid: str) -> None:
        """Raises CheckFailed where a pod's link is no longer what `attach` made it."""

    def cut(self) -> None:
        """The node has lost its power: whatever an agent of the node would undo is not undone any more."""

    def more_addresses(self, pod_uid: str, count: int) -> tuple[Addresses, ...]:
        """`count` times what the pod may send from, its own addresses first; more are wired as needed and
        stay. Raises UsageError where pods cannot have more than their own.
        """
