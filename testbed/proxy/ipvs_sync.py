"""From what IPVS mode has in a node's kernel to what it should have, as the tools' input.

Sets and rules come first, then virtual servers, then the addresses that lead to them: who reaches an
address finds it served. What goes, goes in the opposite order of what it depends on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import NamedTuple

from testbed.command import Command
from testbed.proxy import iptables_restore
from testbed.proxy.ipvs_layers import ADDRESS, IPSET, IPVS, Touched
from testbed.proxy.ipvs_plan import DEVICE_KEY, Assembled, touched
from testbed.proxy.ipvs_services import DEVICE
from testbed.proxy.ruleset import Chains, Ruleset

RESTORE_SERVERS = ("ipvsadm", "--restore")
_NOTHING: Chains = MappingProxyType({})
_QUIET = "-m -w 0"
"""The weight of a destination that keeps its connections and gets no new ones."""

# Both families' proxies want the one device, and either may come first.
_MAKE_DEVICE = Command(
    (
        "sh",
        "-c",
        f"ip link show dev {DEVICE} >/dev/null 2>&1 || ip link add {DEVICE} type dummy",
    )
)


class _Change(NamedTuple):
    """One key that differs; an empty side lacks it."""

    key: str
    old: tuple[str, ...]
    new: tuple[str, ...]


def commands(have: Ruleset, want: Ruleset, iptables_restore_tool: str) -> list[Command]:
    """The commands that turn `have` into `want`."""
    sets = list(_changes(have, want, IPSET))
    addresses = list(_changes(have, want, ADDRESS))
    found = [_MAKE_DEVICE] if any(one.key == DEVICE_KEY and one.new for one in addresses) else []
    found += _fed(("ipset", "restore"), _set_lines(sets))
    found += iptables_restore.commands(_chains_of(have), _chains_of(want), iptables_restore_tool)
    servers = list(_changes(have, want, IPVS))
    found += _fed(RESTORE_SERVERS, _server_lines(servers, have.lingering))
    found += _fed(("ip", "-batch", "-"), _address_lines(addresses))
    found += _fed(("ipset", "restore"), _destructions(sets))
    return found


def lingering(have: Ruleset, want: Ruleset) -> frozenset[str]:
    """The destinations that `commands(have, want)` leaves to end their connections."""
    left = {one for one in have.lingering if _still_lingers(one, want)}
    for change in _changes(have, want, IPVS):
        if change.new:
            kept = set(change.new)
            left.update(
                _destination(line)
                for line in change.old[1:]
                if line not in kept and drains(change.key)
            )
    return frozenset(left)


def drains(service: str) -> bool:
    """Whether destinations of a virtual server get time to end: only TCP has connections that end."""
    return service.startswith("-t ")


def _still_lingers(destination: str, want: Ruleset) -> bool:
    service, _, _ = destination.partition(" -r ")
    lines = want.tables[IPVS].get(service, ())
    return bool(lines) and f"-a {destination} -m -w 1" not in lines


def _destination(line: str) -> str:
    """`-t ip:port -r ip:port` of the line that adds it."""
    return line.removeprefix("-a ").partition(" -m ")[0]


# Differences


def _changes(have: Ruleset, want: Ruleset, section: str) -> Iterator[_Change]:
    """The keys that differ, sorted. Costs what was touched, where that is known."""
    old, new = have.tables.get(section, _NOTHING), want.tables.get(section, _NOTHING)
    keys: Iterable[str]
    known = _touched(have, want)
    if known is not None:
        keys = [one.key for one in known if one.section == section]
    elif old is new:
        keys = ()
    else:
        keys = [key for key in old if key not in new]
        keys += [key for key, lines in new.items() if old.get(key) != lines]
    for key in sorted(keys):
        change = _Change(key, old.get(key, ()), new.get(key, ()))
        if change.old != change.new:
            yield change


def _touched(have: Ruleset, want: Ruleset) -> frozenset[Touched] | None:
    before, after = have.memo, want.memo
    if isinstance(before, Assembled) and isinstance(after, Assembled):
        return touched(before, after)
    return None


def _chains_of(rules: Ruleset) -> Ruleset:
    return Ruleset({name: rules.tables[name] for name in ("filter", "nat") if name in rules.tables})


def _fed(argv: tuple[str, ...], lines: Iterable[str]) -> list[Command]:
    text = "".join(f"{line}\n" for line in lines)
    return [Command(argv, text)] if text else []


# Lines


def _set_lines(changes: list[_Change]) -> Iterator[str]:
    """Sets, then what enters, then what leaves. A set that goes takes its entries along."""
    gone = {one.key for one in changes if not one.new and " " not in one.key}
    for change in changes:
        if change.new and " " not in change.key:
            yield from change.new
    for change in changes:
        if change.new and " " in change.key:
            yield from change.new
    for change in changes:
        name, space, _ = change.key.partition(" ")
        if space and not change.new and name not in gone:
            yield f"del {change.key}"


def _destructions(changes: list[_Change]) -> Iterator[str]:
    """After the rules that looked into them."""
    return (f"destroy {one.key}" for one in changes if not one.new and " " not in one.key)


def _server_lines(changes: list[_Change], lingerers: frozenset[str]) -> Iterator[str]:
    """Whatever is new before whatever goes, so that no virtual server is empty in between."""
    for change in changes:
        if change.new and not change.old:
            yield change.new[0]
        elif change.new and change.old[0] != change.new[0]:
            yield f"-E{change.new[0][2:]}"
        yield from _arrivals(change, lingerers)
    for change in changes:
        if not change.new:
            yield f"-D {change.key}"
        else:
            yield from _departures(change)


def _arrivals(change: _Change, lingerers: frozenset[str]) -> Iterator[str]:
    there = set(change.old[1:])
    for line in change.new[1:]:
        if line not in there:
            # One that lingers with weight 0 is there already, and takes traffic again.
            yield f"-e{line[2:]}" if _destination(line) in lingerers else line


def _departures(change: _Change) -> Iterator[str]:
    kept = set(change.new[1:])
    for line in change.old[1:]:
        if line not in kept:
            target = _destination(line)
            yield f"-e {target} {_QUIET}" if drains(change.key) else f"-d {target}"


def _address_lines(changes: list[_Change]) -> Iterator[str]:
    for change in changes:
        if change.new and change.key != DEVICE_KEY:
            yield from change.new
    for change in changes:
        # The device stays: the other family's addresses may be on it.
        if not change.new and change.key != DEVICE_KEY:
            yield f"addr del {change.key} dev {DEVICE}"
