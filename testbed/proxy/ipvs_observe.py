"""What a node's kernel holds of IPVS mode, read back in the spelling of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from testbed.command import Command
from testbed.proxy import iptables_restore
from testbed.proxy.iptables_restore import RuleSyntaxError
from testbed.proxy.ipvs_layers import ADDRESS, IPSET, IPVS
from testbed.proxy.ipvs_plan import DEVICE_KEY
from testbed.proxy.ipvs_services import DEVICE
from testbed.proxy.ipvs_sets import family_of, network_text
from testbed.proxy.ruleset import Chains, Observed, Ruleset

_HEAD = "### "
_SECTIONS = ("links", "addresses", "sets", "servers", "rules")

LIST_EACH = ("xargs", "-L1", "ipvsadm", "--list", "-n")


def destinations(lingerers: frozenset[str]) -> Command:
    """Prints the virtual servers that some destinations belong to, each with its connections."""
    services = sorted({one.partition(" -r ")[0] for one in lingerers})
    return Command(LIST_EACH, "".join(f"{service}\n" for service in services))


def observation(family: int, save_tool: str) -> Command:
    """Prints links, addresses, sets, virtual servers and rules, each after a heading."""
    tools = (
        "ip -o link show type dummy",
        f"ip -o -{family} addr show",
        "ipset save",
        "ipvsadm --save -n",
        f"{save_tool} -t filter && {save_tool} -t nat",
    )
    parts = [f"echo '{_HEAD}{name}' && {tool}" for name, tool in zip(_SECTIONS, tools, strict=True)]
    return Command(("sh", "-c", " && ".join(parts)))


def parse(text: str, family: int) -> Observed:
    """What `observation` printed. Raises RuleSyntaxError."""
    found = _split(text)
    rules = iptables_restore.parse_save("\n".join(found["rules"]))
    address = dict(_addresses(found["links"], found["addresses"]))
    ipset, foreign_sets = _sets(found["sets"], family)
    ipvs, lingerers = _servers(found["servers"], family)
    tables: dict[str, Chains] = {
        ADDRESS: address,
        IPSET: ipset,
        IPVS: ipvs,
        "filter": rules.own.tables.get("filter", {}),
        "nat": rules.own.tables.get("nat", {}),
    }
    return Observed(Ruleset(tables, lingering=lingerers), rules.foreign or foreign_sets)


def _split(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in _SECTIONS}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(_HEAD):
            name = line.removeprefix(_HEAD)
            if name not in found:
                raise RuleSyntaxError(f"no such part of what was observed: {line!r}")
            lines = found[name]
        elif line:
            lines.append(line)
    return found


def _addresses(links: Iterable[str], addresses: Iterable[str]) -> Iterator[tuple[str, tuple[str]]]:
    for line in links:
        if line.split(": ", 2)[1] == DEVICE:
            yield DEVICE_KEY, (f"link add {DEVICE} type dummy",)
    for line in addresses:
        _, device, _, address, *_ = line.split()
        if device == DEVICE:
            yield address, (f"addr add {address} dev {DEVICE}",)


def _sets(lines: Iterable[str], family: int) -> tuple[dict[str, tuple[str, ...]], bool]:
    """The family's sets and entries, and whether there are sets of somebody else."""
    found: dict[str, tuple[str, ...]] = {}
    foreign = False
    for line in lines:
        verb, name, *rest = line.split()
        owner = family_of(name)
        foreign = foreign or not owner
        if owner != family:
            continue
        if verb == "create":
            found[name] = (" ".join([verb, name, *_given(rest)]),)
        elif verb == "add" and len(rest) == 1:
            item = network_text(rest[0])
            found[f"{name} {item}"] = (f"add {name} {item}",)
        else:
            raise RuleSyntaxError(f"not understood of ipset: {line!r}")
    return found, foreign


def _given(words: list[str]) -> list[str]:
    """What of a set we chose ourselves; its size grows as the kernel likes."""
    return words[:3]


def _servers(
    lines: Iterable[str], family: int
) -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    """The family's virtual servers with the destinations that take traffic, and the others."""
    heads: dict[str, str] = {}
    destinations: dict[str, list[str]] = {}
    lingerers: set[str] = set()
    for line in lines:
        verb, flag, socket, *rest = line.split()
        if (family == 6) != socket.startswith("["):
            continue
        service = f"{flag} {socket}"
        if verb == "-A":
            heads[service] = line.rstrip()
            destinations[service] = []
        elif verb == "-a" and rest[-1] == "0":
            lingerers.add(f"{service} -r {rest[1]}")
        elif verb == "-a":
            destinations[service].append(f"-a {service} -r {rest[1]} {' '.join(rest[2:])}")
        else:
            raise RuleSyntaxError(f"not understood of ipvsadm: {line!r}")
    return {
        service: (head, *sorted(destinations[service])) for service, head in heads.items()
    }, frozenset(lingerers)


def idle(text: str, lingerers: frozenset[str]) -> frozenset[str]:
    """Which of some destinations have no connection left, as `ipvsadm --list -n` tells."""
    found: set[str] = set()
    service = ""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] in _FLAGS:
            service = f"{_FLAGS[words[0]]} {words[1]}"
        elif len(words) == 6 and words[0] == "->" and words[3] == "0":
            destination = f"{service} -r {words[1]}"
            if destination in lingerers and words[4] == words[5] == "0":
                found.add(destination)
    return frozenset(found)


_FLAGS = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}
