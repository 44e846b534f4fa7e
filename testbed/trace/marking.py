"""Rules that have the kernel tell what a request meets, and how they go again.

They stand before everything else and change nothing of a packet but its trace flag. nf_tables has them in a
table of their own; iptables-legacy at the head of table raw, marked by a comment. The request is known by its
addresses and ports; behind a masquerade by going where the service's endpoints are, so that the first
packets of other clients may be told, too: `hits` leaves them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.command import Command
from testbed.ip import family_of
from testbed.trace.tools import IPTABLES_LEGACY, Tool

TABLE = "testbed-trace"
COMMENT = "testbed trace"
_HOOKS = ("PREROUTING", "OUTPUT")
_FEW = 64
"""More endpoints than that are known by their ports alone in iptables-legacy: it looks at rule after rule."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be traced; `endpoints`: (ip, port) of where it may be sent on to."""

    protocol: str
    src: str
    sport: int
    endpoints: tuple[tuple[str, int], ...]

    @property
    def family(self) -> int:
        return family_of(self.src)


def marks(tool: Tool, request: Request) -> list[Command]:
    """What begins the tracing on a node."""
    if tool == IPTABLES_LEGACY:
        return [_legacy(request, [f"-I {line}" for line in _legacy_rules(request)])]
    return [Command(("nft", "-f", "-"), _nft(request))]


def unmarks(tool: Tool, request: Request) -> list[Command]:
    """What ends it."""
    if tool == IPTABLES_LEGACY:
        return [_legacy(request, [f"-D {line}" for line in _legacy_rules(request)])]
    return [Command(("nft", "-f", "-"), f"delete table {_table(request)}\n")]


def count(tool: Tool, request: Request) -> int:
    """How many rules each marked chain of iptables-legacy begins with; 0: they are in a table of their own."""
    return len(_legacy_rules(request)) // len(_HOOKS) if tool == IPTABLES_LEGACY else 0


def _table(request: Request) -> str:
    return f"{'ip6' if request.family == 6 else 'ip'} {TABLE}"


def _nft(request: Request) -> str:
    table = _table(request)
    ip = table.split()[0]
    protocol = request.protocol
    first = " tcp flags & (syn | ack) == syn" if protocol == "tcp" else ""
    own = f"{ip} saddr {request.src} {protocol} sport {request.sport}"
    rules = [f"{own}{first} meta nftrace set 1"]
    if request.endpoints:
        there = ", ".join(f"{ip_} . {port}" for ip_, port in request.endpoints)
        rules.append(f"{ip} daddr . {protocol} dport {{ {there} }}{first} meta nftrace set 1")
    chains = [
        f"\tchain {hook} {{\n\t\ttype filter hook {hook} priority -350; policy accept;\n"
        + "".join(f"\t\t{rule}\n" for rule in rules)
        + "\t}\n"
        for hook in ("prerouting", "output")
    ]
    # Declared, deleted, declared: whatever an earlier trace has left behind is gone.
    return f"table {table}\ndelete table {table}\ntable {table} {{\n{''.join(chains)}}}\n"


def _legacy(request: Request, lines: Sequence[str]) -> Command:
    tool = "ip6tables" if request.family == 6 else "iptables"
    text = "\n".join(["*raw", *lines, "COMMIT\n"])
    return Command((f"{tool}-legacy-restore", "--noflush"), text)


def _legacy_rules(request: Request) -> list[str]:
    protocol = request.protocol
    first = " --tcp-flags SYN,ACK SYN" if protocol == "tcp" else ""
    what = [f"-s {request.src} -p {protocol} -m {protocol} --sport {request.sport}{first}"]
    if len(request.endpoints) > _FEW:
        ports = dict.fromkeys(port for _, port in request.endpoints)
        what += [f"-p {protocol} -m {protocol} --dport {port}{first}" for port in ports]
    else:
        what += [
            f"-d {ip} -p {protocol} -m {protocol} --dport {port}{first}"
            for ip, port in request.endpoints
        ]
    return [
        f'{chain} {match} -m comment --comment "{COMMENT}" -j TRACE'
        for chain in _HOOKS
        for match in what
    ]
