"""The factor `mode`: the label that results carry, and the topology that it asks for.

Labels are those of MEASURING.md: iptables-legacy, iptables-nft, nftables, ipvs/SCHEDULER,
userspace or userspace/BALANCER, external.
"""

from __future__ import annotations

from typing import Any, get_args

from testbed.errors import UsageError
from testbed.model.proxy import Scheduler
from testbed.model.topology import Topology
from testbed.proxy.userspace_balancer import DEFAULT
from testbed.proxy.userspace_process.balancers import balancer_names
from testbed.spelling import did_you_mean

SCHEDULERS: tuple[str, ...] = get_args(Scheduler)

MODES: tuple[str, ...] = (
    "iptables-legacy",
    "iptables-nft",
    "nftables",
    *(f"ipvs/{scheduler}" for scheduler in SCHEDULERS),
    "userspace",
    *(f"userspace/{name}" for name in balancer_names() if name != DEFAULT),
    "external",
)
"""Every label; those of balancers that are installed here, too."""


def with_mode(topology: Topology, label: str) -> Topology:
    """The topology with its proxy in that mode. Raises UsageError for a label that is none."""
    mode, _, variety = label.partition("/")
    if label.startswith("iptables-"):
        mode, _, variety = label.partition("-")
    changes = _changes(mode, variety)
    if changes is None:
        hint = did_you_mean(label, MODES) or f"known: {', '.join(MODES)}"
        raise UsageError(f"no proxy mode is called {label!r}", hint)
    if mode == "external" and not topology.proxy.external.command:
        raise UsageError(
            "proxy mode external needs a topology that says proxy.external.command",
            "--topology FILE; docs/proxy-modes.md has an example",
        )
    # Through validation: what a label names must be what a topology may say.
    proxy = topology.proxy.model_dump(by_alias=True) | {"mode": mode}
    for part, settings in changes.items():
        proxy[part] = {**proxy[part], **settings}
    return topology.model_copy(update={"proxy": type(topology.proxy).model_validate(proxy)})


def _changes(mode: str, variety: str) -> dict[str, Any] | None:
    """What else a mode's proxy needs to be told; None where there is no such variety."""
    if mode == "iptables" and variety in {"legacy", "nft"}:
        return {"iptables": {"variant": variety}}
    if mode == "ipvs" and variety in SCHEDULERS:
        return {"ipvs": {"scheduler": variety}}
    if mode == "userspace" and variety:
        return {"userspace": {"balancer": variety}}
    if mode in {"nftables", "userspace", "external"} and not variety:
        return {}
    return None
