"""What the userspace proxy's process is told: its listeners, in the form of iptables-save.

A service port has one listener, or a second one, `…/local`, where only this node's endpoints may answer:

    -A default/web:http/tcp --listen tcp 192.0.2.11:13412
    -A default/web:http/tcp --affinity 10800
    -A default/web:http/tcp --to 10.244.1.10:8080
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.errors import TestbedError

if TYPE_CHECKING:  # every lab process holds what the proxy's process imports
    from testbed.proxy.ruleset import Chains

SECTION = "userspace"
"""The process's table among the tables of a rule set."""
PROCESS = "userspace-proxy"
"""First word of a command that is the process's: `set` and `close` (sockets on standard input), `table`."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket of the process: whoever comes goes to one of the endpoints (texts `ip:port`)."""

    name: str
    protocol: str
    """tcp or udp."""
    address: str
    endpoints: tuple[str, ...]
    affinity_s: int = 0
    """A client keeps its endpoint while it comes again within this time; 0: it does not."""

    @property
    def socket(self) -> str:
        """`tcp 192.0.2.11:13412`: what it listens on."""
        return f"{self.protocol} {self.address}"


def rules(listener: Listener) -> tuple[str, ...]:
    """A listener as lines."""
    head = f"-A {listener.name} --"
    affinity = [f"{head}affinity {listener.affinity_s}"] if listener.affinity_s else []
    targets = [f"{head}to {endpoint}" for endpoint in listener.endpoints]
    return (f"{head}listen {listener.socket}", *affinity, *targets)


def listener(name: str, lines: Iterable[str]) -> Listener:
    """The listener that lines describe. Raises TestbedError for a line that is not understood."""
    protocol = address = ""
    affinity_s = 0
    endpoints: list[str] = []
    for line in lines:
        match line.split():
            case ["-A", who, "--listen", protocol, address] if who == name:
                pass
            case ["-A", who, "--affinity", seconds] if who == name:
                affinity_s = int(seconds)
            case ["-A", who, "--to", endpoint] if who == name:
                endpoints.append(endpoint)
            case _:
                raise TestbedError(f"not understood of the userspace proxy's {name}: {line!r}")
    return Listener(name, protocol, address, tuple(endpoints), affinity_s)


def listeners(text: str) -> list[Listener]:
    """The listeners of a text, in its order."""
    by_name: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("-A "):
            by_name.setdefault(line.split(" ", 2)[1], []).append(line)
    return [listener(name, lines) for name, lines in by_name.items()]


def saved(section: Iterable[Listener]) -> str:
    """The process's table as text, which `iptables_restore.parse_tables` reads."""
    lines = [line for one in section for line in rules(one)]
    return "\n".join([f"*{SECTION}", *lines, "COMMIT\n"])


def changes(have: Chains, want: Chains) -> tuple[list[Listener], list[str]]:
    """(listeners to set, sockets to close once no rule leads to them any more)."""
    to_set = [listener(name, lines) for name, lines in want.items() if have.get(name) != lines]
    wanted = _sockets(want)
    return to_set, sorted(_sockets(have) - wanted)


def _sockets(section: Mapping[str, tuple[str, ...]]) -> set[str]:
    return {listener(name, lines[:1]).socket for name, lines in section.items()}
