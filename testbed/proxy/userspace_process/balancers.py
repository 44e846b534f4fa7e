"""Balancers by name: the built-in ones, and those that installed packages offer as entry points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import MissingFeature
from testbed.proxy.userspace_balancer import BUILT_IN, ENTRY_POINTS, Make

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def find_balancer(name: str) -> Make:
    """The class that a name stands for. Raises MissingFeature."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    installed = _installed()
    if name not in installed:
        raise MissingFeature(
            f"no balancer {name!r} in the entry points {ENTRY_POINTS}",
            f"there is {', '.join(balancer_names())}; install the package that has it where testbed is"
            " installed",
        )
    try:
        make: Make = installed[name].load()
    except Exception as error:
        raise MissingFeature(f"balancer {name!r} does not load: {error!r}") from error
    return make


def balancer_names() -> list[str]:
    """Every name that `find_balancer` knows, sorted."""
    return sorted({*BUILT_IN, *_installed()})


def _installed() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # costs 10 ms, which most labs need not pay

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
