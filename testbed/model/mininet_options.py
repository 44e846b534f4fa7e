"""What a Mininet Topo says of its machines and links, in the words of a topology."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from testbed.model.fields import words
from testbed.model.shape import DEFAULT_QUEUE

Info = Mapping[str, Any]
_SHAPES = frozenset({"bw", "delay", "jitter", "loss", "max_queue_size"})
_OF_NO_MATTER = words(
    "node1 node2 port1 port2 params1 params2 cls key intfName1 intfName2 addr1 addr2 fast use_htb"
    " gro txo rxo disable_gro"
)
"""Options that say nothing about where packets go, or that the lab decides itself."""
_LINKS = frozenset({"Link", "TCLink", "TCULink", "OVSLink"})
_BRIDGES = frozenset({"Switch", "LinuxBridge", "OVSBridge", "OVSSwitch", "OVSKernelSwitch"})
_MICROSECONDS = re.compile(r"\d+(\.\d+)?")


class OptionError(Exception):
    """An option that no machine or link of a lab can have."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def refuse_switches(switches: Mapping[str, Info]) -> None:
    """Raise OptionError for a switch that is more than a learning bridge."""
    for name, info in switches.items():
        cls = getattr(info.get("cls"), "__name__", None)
        if cls is not None and cls not in _BRIDGES:
            hint = "switches are learning bridges: leave cls out"
            raise OptionError(f"switch {name} is a {cls}", hint)


def special_hosts(hosts: Mapping[str, Info]) -> dict[str, str]:
    """Hosts that are not plain ones, and what each is. Raises OptionError for limits, which no host has."""
    found = {}
    for name, info in hosts.items():
        for key in ("cpu", "cores", "privateDirs"):
            if info.get(key):
                hint = "hosts share this machine: leave it out"
                raise OptionError(f"host {name} has {key}", hint)
        cls = getattr(info.get("cls"), "__name__", None)
        if cls is not None and cls not in {"Host", "Node"}:
            found[name] = cls
    return found


def link_of(info: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    """An entry of `links:`."""
    ends = [names[str(info["node1"])], names[str(info["node2"])]]
    both = " and ".join(ends)
    cls = getattr(info.get("cls"), "__name__", "Link")
    if cls not in _LINKS:
        raise OptionError(f"the link of {both} is a {cls}", f"one of {', '.join(sorted(_LINKS))}")
    for unknown in sorted(set(info) - _SHAPES - _OF_NO_MATTER):
        if info[unknown]:
            hint = f"links have {', '.join(sorted(_SHAPES))}"
            raise OptionError(
                f"the link of {both} has {unknown}, which no link here can have", hint
            )
    common = {key: info[key] for key in _SHAPES if info.get(key) is not None}
    there, back = ({**common, **(info.get(side) or {})} for side in ("params1", "params2"))
    return _asymmetric(ends, _shape(there, both), _shape(back, both))


def _asymmetric(ends: list[str], there: Info, back: Info) -> dict[str, Any]:
    """`back` says what is otherwise, and cannot say that a rate is none: that way is written first, then."""
    if there == back:
        return {"endpoints": ends, **there}
    if "rate" in there and "rate" not in back:
        ends, there, back = ends[::-1], back, there
    nothing = {"delay": "0s", "jitter": "0s", "loss": "0%", "queue": DEFAULT_QUEUE}
    otherwise = {key: back.get(key, nothing[key]) for key in there if key in nothing}
    return {"endpoints": ends, **there, "back": {**otherwise, **back}}


def _shape(options: Mapping[str, Any], both: str) -> dict[str, Any]:
    """Mininet's units (Mbit/s, per cent, tc's times, packets) in a topology's."""
    found: dict[str, Any] = {}
    try:
        for ours in ("delay", "jitter"):
            if options.get(ours):
                text = str(options[ours]).strip()
                found[ours] = f"{text}us" if _MICROSECONDS.fullmatch(text) else text
        if options.get("bw"):
            found["rate"] = f"{float(options['bw']):.10g}mbit"
        if options.get("loss"):
            found["loss"] = f"{float(options['loss']):.10g}%"
        if options.get("max_queue_size"):
            found["queue"] = int(options["max_queue_size"])
    except (TypeError, ValueError) as error:
        raise OptionError(f"the link of {both}: {error}", "bw and loss are numbers") from None
    return found
