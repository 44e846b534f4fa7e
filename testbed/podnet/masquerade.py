"""Which packets leave a node under its own address, as rules of iptables or nftables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import Literal

from testbed.command import Command
from testbed.ip import IPNetwork
from testbed.podnet.network import Masquerade, MasqueradeRule, Match

Tool = Literal["iptables-nft", "iptables-legacy", "nft"]
MULTICAST: dict[int, IPNetwork] = {4: ip_network("224.0.0.0/4"), 6: ip_network("ff00::/8")}
_MARK = "0x4000"
"""What kube-proxy masquerades itself bears it; whoever hides it again meets a fault of some kernels."""


def flannel(
    own: Iterable[IPNetwork], cluster: Sequence[IPNetwork], *, movable: bool
) -> tuple[Masquerade, ...]:
    """Source: flannel, pkg/trafficmngr/iptables/iptables.go. `own` are the node's ranges, `cluster` all pods'.

    `movable` (network.stickyIPs): all that stays among pods keeps its source, as a pod may be elsewhere than
    its range; flannel, which knows no such pods, would hide them.
    """
    found = []
    for pods in own:
        every = next(one for one in cluster if one.version == pods.version)
        among = [
            MasqueradeRule(Match(every if movable else pods), Match(every), hide=False),
            MasqueradeRule(Match(every), Match(pods), hide=False),
        ]
        rules = (
            *among,
            MasqueradeRule(Match(every, outside=True), Match(pods), hide=False),
            MasqueradeRule(Match(every), Match(MULTICAST[pods.version], outside=True), hide=True),
            MasqueradeRule(Match(every, outside=True), Match(every), hide=True),
        )
        table = f"flannel-ipv{pods.version}"
        found.append(Masquerade(pods.version, "FLANNEL-POSTRTG", table, "flanneld masq", rules))
    return tuple(found)


def weave(own: IPNetwork, cluster: IPNetwork) -> Masquerade:
    """Source: weave, net/expose.go, with NO_MASQ_LOCAL=1, the default since 2.7: who comes from outside to a
    pod of this node keeps its address.
    """
    rules = (
        MasqueradeRule(None, Match(own), hide=False),
        MasqueradeRule(Match(cluster), Match(MULTICAST[4]), hide=False),
        MasqueradeRule(Match(cluster, outside=True), Match(cluster), hide=True),
        MasqueradeRule(Match(cluster), Match(cluster, outside=True), hide=True),
    )
    return Masquerade(4, "WEAVE", "weave", "weave masq", rules)


def calico(cluster: Iterable[IPNetwork]) -> tuple[Masquerade, ...]:
    """Source: calico, felix/rules/nat.go: natOutgoing of an IP pool, whose networks it has in IP sets."""
    return tuple(
        Masquerade(
            every.version,
            "cali-nat-outgoing",
            f"calico-ipv{every.version}",
            "natOutgoing",
            (MasqueradeRule(Match(every), Match(every, outside=True), hide=True),),
        )
        for every in cluster
    )


def needs(tool: Tool, families: Iterable[int]) -> frozenset[str]:
    """The features that the tool's rules need."""
    if tool == "nft":
        return frozenset({"nftables"})
    return frozenset(tool.replace("ip", "ip6", 1) if one == 6 else tool for one in families)


def commands(wanted: Iterable[Masquerade], tool: Tool) -> list[Command]:
    """What puts the rules in force where there are none yet."""
    return [_nft(one) if tool == "nft" else _iptables(one, tool) for one in wanted]


def _iptables(wanted: Masquerade, tool: Tool) -> Command:
    comment = f'-m comment --comment "{wanted.comment}"'
    chain = wanted.chain
    lines = [
        "*nat",
        f":{chain} - [0:0]",
        f"-A POSTROUTING {comment} -j {chain}",
        f"-A {chain} -m mark --mark {_MARK}/{_MARK} {comment} -j RETURN",
        *(
            f"-A {chain} {_match('-s', rule.source)}{_match('-d', rule.destination)}{comment} "
            f"-j {'MASQUERADE --random-fully' if rule.hide else 'RETURN'}"
            for rule in wanted.rules
        ),
        "COMMIT",
    ]
    ip = "ip6" if wanted.family == 6 else "ip"
    argv = (f"{tool.replace('ip', ip, 1)}-restore", "--noflush", "-w", "5")
    return Command(argv, "\n".join(lines) + "\n")


def _match(option: str, match: Match | None) -> str:
    if match is None:
        return ""
    return f"{'! ' if match.outside else ''}{option} {match.network} "


def _nft(wanted: Masquerade) -> Command:
    ip = "ip6" if wanted.family == 6 else "ip"
    lines = [
        f"table {ip} {wanted.table} {{",
        "  chain postrtg {",
        "    type nat hook postrouting priority srcnat; policy accept;",
        f'    meta mark & {_MARK} == {_MARK} return comment "{wanted.comment}"',
        *(f'    {_nft_rule(rule, ip)} comment "{wanted.comment}"' for rule in wanted.rules),
        "  }",
        "}",
    ]
    return Command(("nft", "-f", "-"), "\n".join(lines) + "\n")


def _nft_rule(rule: MasqueradeRule, ip: str) -> str:
    ends = (("saddr", rule.source), ("daddr", rule.destination))
    return " ".join([*_nft_matches(ip, ends), "masquerade fully-random" if rule.hide else "return"])


def _nft_matches(ip: str, ends: Iterable[tuple[str, Match | None]]) -> Iterator[str]:
    for field, match in ends:
        if match is not None:
            yield f"{ip} {field} {'!= ' if match.outside else ''}{match.network}"
