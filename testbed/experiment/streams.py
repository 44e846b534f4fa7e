"""The traffic that trials have in common: the subject's, and beside it the way straight to its pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from testbed.experiment.subjects import Subject
from testbed.traffic.spec import LoadSpec

_CONTROL_SHARE = 1 / 3
"""Of the main stream's rate: enough for a ratio, too little to be the load."""
_CONTROL_SEEDS = 100
_FOREVER = 1_000_000
"""Requests on one connection: more than a trial sends."""
_REUSED_TIMEOUT_S = 5.0
"""Also at the end: a request is lost when nobody answers it, not because it was among the last."""


def outage(
    subject: Subject, *, rate_rps: float, duration_s: float, timeout_s: float, seed: int = 0
) -> LoadSpec:
    """Stream `outage`: new connections to the service in equal steps, which show when it answers again. Its
    source is left open.
    """
    return LoadSpec(
        source="",
        url=subject.url(),
        rate_rps=rate_rps,
        arrivals="constant",
        duration_s=duration_s,
        timeout_s=timeout_s,
        drain_s=timeout_s,
        seed=seed,
        label="outage",
    )


def kept(new: LoadSpec, *, rate_rps: float, connections: int) -> LoadSpec:
    """Stream `kept` beside one of new connections: requests on connections that stay open."""
    return replace(
        new,
        label="kept",
        rate_rps=rate_rps,
        arrivals="poisson",
        connections=connections,
        reuse=_FOREVER,
    )


def reused(
    subject: Subject, url: str, factors: Mapping[str, Any], control_rps: float, seed: int
) -> tuple[LoadSpec, ...]:
    """Stream `main` from every client to `url`, on connections that carry `reuse` requests each, and from one
    node a thin stream `control` straight to a pod. `factors`: `rate_rps` (of all), `reuse`, `duration_s`.
    """
    main = LoadSpec(
        source="",
        url=url,
        rate_rps=float(factors["rate_rps"]) / len(subject.clients),
        reuse=int(factors["reuse"]),
        duration_s=float(factors["duration_s"]),
        timeout_s=_REUSED_TIMEOUT_S,
        drain_s=_REUSED_TIMEOUT_S,
        label="main",
    )
    control = replace(
        main,
        source=subject.controls[0].name,
        url=subject.direct_url(subject.control_for(subject.clients[0])),
        rate_rps=control_rps,
        reuse=1,
        seed=seed + _CONTROL_SEEDS,
        label="control",
    )
    return (
        *(
            replace(main, source=client.name, seed=seed + number)
            for number, client in enumerate(subject.clients)
        ),
        control,
    )


def main_and_control(
    subject: Subject, rate_rps: float, duration_s: float, seed: int
) -> tuple[LoadSpec, ...]:
    """Stream `main` from every client to the service, `rate_rps` of all together, and from every node a
    stream `control` straight to a pod (MEASURING.md: every latency has one).
    """
    share_rps = rate_rps / len(subject.clients)
    main = LoadSpec(
        source="", url=subject.url(), rate_rps=share_rps, duration_s=duration_s, label="main"
    )
    return (
        *(
            replace(main, source=client.name, seed=seed + number)
            for number, client in enumerate(subject.clients)
        ),
        *(
            replace(
                main,
                source=control.name,
                url=subject.direct_url(subject.control_for(control)),
                rate_rps=share_rps * _CONTROL_SHARE,
                seed=seed + _CONTROL_SEEDS + number,
                label="control",
            )
            for number, control in enumerate(subject.controls)
        ),
    )
