"""A kernel with IPVS in a few lines: what commands do to it, and what its tools print of it.

It is as strict as the kernel where a wrong order would fail there: what is added is not there yet, what is
changed or removed is, a set that goes is in no rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from testbed.command import Command
from tests.unit.proxy.restore_interpreter import Tables, apply, as_text, empty_tables

DEVICE = "kube-ipvs0"


@dataclass
class Kernel:
    """One node's state: dummy device and addresses, sets, virtual servers, rules."""

    device: bool = False
    addresses: list[str] = field(default_factory=list)
    sets: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    """Name -> (the rest of its create line, its entries)."""
    servers: dict[str, tuple[str, dict[str, int]]] = field(default_factory=dict)
    """`-t ip:port` -> (its options, destination -> weight)."""
    tables: Tables = field(default_factory=empty_tables)

    def run(self, commands: Iterable[Command]) -> Kernel:
        """Carry out the commands."""
        for command in commands:
            name = command.argv[0].rpartition("/")[2]
            if name == "sh":
                assert f"ip link add {DEVICE} type dummy" in command.argv[2]
                self.device = True
            elif name.endswith("tables-legacy-restore"):
                self.tables, _ = apply(self.tables, [_without_sets(command)])
            else:
                for line in command.stdin.splitlines():
                    {"ipset": self._set, "ipvsadm": self._server, "ip": self._address}[name](line)
        return self

    def _address(self, line: str) -> None:
        _, verb, address, _, device = line.split()
        assert self.device
        assert device == DEVICE
        if verb == "add":
            assert address not in self.addresses, line
            self.addresses.append(address)
        else:
            self.addresses.remove(address)

    def _set(self, line: str) -> None:
        verb, name, *rest = line.split()
        if verb == "create":
            assert name not in self.sets, line
            self.sets[name] = (" ".join(rest), [])
        elif verb == "destroy":
            rules = [rule for chains in self.tables.values() for c in chains.values() for rule in c]
            assert not any(f" {name} " in rule for rule in rules), line
            del self.sets[name]
        else:
            entries = self.sets[name][1]
            assert (rest[0] in entries) == (verb == "del"), line
            entries.remove(rest[0]) if verb == "del" else entries.append(rest[0])

    def _server(self, line: str) -> None:
        verb, flag, socket, *rest = line.split()
        key = f"{flag} {socket}"
        assert (key in self.servers) == (verb != "-A"), line
        if verb == "-A":
            self.servers[key] = (" ".join(rest), {})
        elif verb == "-E":
            self.servers[key] = (" ".join(rest), self.servers[key][1])
        elif verb == "-D":
            del self.servers[key]
        else:
            destinations = self.servers[key][1]
            assert (rest[1] in destinations) == (verb != "-a"), line
            if verb == "-d":
                del destinations[rest[1]]
            else:
                destinations[rest[1]] = int(rest[-1])

    # What is printed

    def observed(self) -> str:
        """What the command of `observe` prints, in no order that anybody may count on."""
        lines = ["### links"]
        lines += [f"3: {DEVICE}: <BROADCAST,NOARP> mtu 1500"] if self.device else []
        lines.append("### addresses")
        lines += ["1: lo    inet 127.0.0.1/8 scope host lo", "2: eth0    inet 192.0.2.11/24 scope"]
        lines += [f"3: {DEVICE}    inet {address} scope global" for address in self.addresses]
        lines.append("### sets")
        for name, (kind, entries) in self.sets.items():
            grown = " hashsize 1024 maxelem 65536 bucketsize 12" if "hash" in kind else ""
            lines.append(f"create {name} {kind}{grown}")
            lines += [f"add {name} {entry}" for entry in reversed(entries)]
        lines.append("### servers")
        for key, (options, destinations) in self.servers.items():
            lines.append(f"-A {key} {options}")
            lines += [f"-a {key} -r {one} -m -w {weight}" for one, weight in destinations.items()]
        return "\n".join([*lines, "### rules", as_text(self.tables)])

    def listed(self, command: Command, busy: Iterable[str] = ()) -> str:
        """What `look` prints; `busy` are destinations (`-t ip:port -r ip:port`) with a connection."""
        busy = set(busy)
        assert command.argv == ("xargs", "-L1", "ipvsadm", "--list", "-n")
        lines = []
        for key in command.stdin.splitlines():
            flag, socket = key.split()
            protocol = {"-t": "TCP", "-u": "UDP", "--sctp-service": "SCTP"}[flag]
            lines += ["Prot LocalAddress:Port Scheduler Flags", f"{protocol}  {socket} rr"]
            for one, weight in self.servers[key][1].items():
                active = int(f"{key} -r {one}" in busy)
                lines.append(f"  -> {one}      Masq    {weight}      {active}          0")
        return "\n".join(lines) + "\n"


def _without_sets(command: Command) -> Command:
    """The restore interpreter knows chains and jumps; that sets exist is checked here."""
    return Command(("iptables-legacy-restore", *command.argv[1:]), command.stdin)
