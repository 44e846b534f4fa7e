"""When a change is in force on every node, whoever's proxy runs there."""

from __future__ import annotations

from testbed.claims.stage import Stage
from testbed.events import Event

NODE = "n1"
"""Where the clients of stale flows are, and whose proxy is restarted: connections through a userspace proxy
end with it.
"""
CALM_NODE = "n2"
"""Where all others are."""
SERVES = "serves"
"""The label that moves pods in and out of services."""
PATIENCE_S = 60.0
UNTOLD_S = 2.0
"""Somebody else's proxy does not say when it has finished: twice its usual pause between two syncs."""


def in_place(stage: Stage) -> None:
    """Return when every node's rules, and its connection tracking entries, are as they are going to be."""
    stage.lab.apply(lambda topology: topology)
    if stage.mode == "external":
        stage.lab.pause(UNTOLD_S)


def await_endpoint(stage: Stage, kind: str, ip: str, since_ns: int) -> None:
    """Return when every node's rules hold an endpoint's coming (`endpoint-ready`) or going
    (`endpoint-not-ready`). Raises OutOfTimeOrRoom.
    """
    await_write(stage, kind, ip, since_ns)
    in_place(stage)


def await_write(stage: Stage, kind: str, ip: str, since_ns: int) -> None:
    """Return when the store holds it, whoever has heard of it. Raises OutOfTimeOrRoom."""

    def is_meant(event: Event) -> bool:
        return (
            (event.source, event.kind) == ("store", kind)
            and event.t_ns >= since_ns
            and event.detail.get("pod_ip") == ip
        )

    stage.lab.wait_event(is_meant, PATIENCE_S)
