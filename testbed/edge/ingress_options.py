"""What an ingress controller's container is told by its arguments, as in `--threads=2`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from testbed.errors import UsageError
from testbed.model.ingress_objects import HEALTH_PORT, IMAGE, STATS_PORT
from testbed.spelling import nearest
from testbed.units import duration_s

CONTROLLER = "haproxy.org/ingress-controller"
BALANCES = ("roundrobin", "static-rr", "leastconn", "random", "source", "first")
"""HAProxy's `balance` where it needs no argument."""


@dataclass(frozen=True, slots=True)
class Options:
    """Of one controller."""

    controller: str = CONTROLLER
    """The IngressClasses of this one are its."""
    http_port: int = 80
    https_port: int = 443
    redirect_port: int = 443
    """The port that redirects to HTTPS name."""
    healthz_port: int = HEALTH_PORT
    stats_port: int = STATS_PORT
    balance: str = "roundrobin"
    threads: int = 1
    server_slots: int = 16
    """Servers that a backend has room for grow by so many; more than there is room for is a reload."""
    check_interval: str = "2s"
    """0: endpoints are not asked whether they answer."""
    sync_period: str = "0s"
    """The least time from one change to the next."""
    publish_service: str = ""
    """namespace/name: ingresses have its addresses; else those of the nodes that the pods are on."""

    @property
    def check_interval_s(self) -> float:
        return duration_s(self.check_interval)

    @property
    def sync_period_s(self) -> float:
        return duration_s(self.sync_period)


_TYPES: Mapping[str, type] = {one.name: type(one.default) for one in fields(Options)}


def options_of(arguments: Iterable[str]) -> Options:
    """Raises UsageError for what is no argument of it."""
    found: dict[str, Any] = {}
    for argument in arguments:
        word, equals, value = argument.removeprefix("--").partition("=")
        name = word.replace("-", "_")
        if not argument.startswith("--") or not equals or name not in _TYPES:
            meant = nearest(name, _TYPES)
            hint = f"did you mean {_flag(meant)}?" if meant else "there is " + ", ".join(_FLAGS)
            raise UsageError(f"{argument!r} is no argument of {IMAGE}", hint)
        try:
            found[name] = int(value) if _TYPES[name] is int else value
            if name in ("check_interval", "sync_period"):
                duration_s(value)
        except ValueError as error:
            raise UsageError(f"{argument}: {error}") from None
    options = Options(**found)
    if options.balance not in BALANCES:
        raise UsageError(f"no balance {options.balance!r}", f"there is {', '.join(BALANCES)}")
    for name in ("threads", "server_slots"):
        if getattr(options, name) < 1:
            raise UsageError(f"{_flag(name)} must be 1 at least")
    return options


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


_FLAGS = tuple(_flag(name) for name in _TYPES)
