"""What this host can run, found by trying each thing in a throw-away sandbox.

A feature is tried by a shell line in namespaces of its own: nothing of the host is touched, and the
line can be pasted (`unshare -Urnmpf --mount-proc --kill-child sh -c '...'`) by whoever doubts it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum

from testbed.errors import MissingFeature
from testbed.kernel.capabilities import root_remedy
from testbed.kernel.search_path import tool_path
from testbed.kernel.trial import Trial, absent_tools, failure
from testbed.kernel.user_namespaces import user_namespace_remedy


class Feature(StrEnum):
    """Something that a lab may need of its host."""

    USER_NAMESPACES = "user-namespaces"
    NETWORK_NAMESPACES = "network-namespaces"
    VETH = "veth"
    BRIDGE = "bridge"
    IPV6 = "ipv6"
    SCTP = "sctp"
    IPTABLES_NFT = "iptables-nft"
    IPTABLES_LEGACY = "iptables-legacy"
    IP6TABLES_NFT = "ip6tables-nft"
    IP6TABLES_LEGACY = "ip6tables-legacy"
    CONNTRACK = "conntrack"
    NFTABLES = "nftables"
    NFTABLES_BRIDGE = "nftables-bridge"
    NFTABLES_NETDEV = "nftables-netdev"
    IPVS = "ipvs"
    IPVS_TWOS = "ipvs-twos"
    IPSET = "ipset"
    TBF = "tbf"
    NETEM = "netem"
    DUMMY = "dummy"
    VXLAN = "vxlan"
    BR_NETFILTER = "br-netfilter"
    BIRD = "bird"
    HAPROXY = "haproxy"
    UNBOUND = "unbound"
    DNSMASQ = "dnsmasq"
    COREDNS = "coredns"
    GUEST_KERNEL = "guest-kernel"
    DOCKER = "docker"
    MININET = "mininet"
    CNI_PLUGINS = "cni-plugins"
    KUBECTL = "kubectl"


@dataclass(frozen=True, slots=True)
class FeatureStatus:
    """What a trial found. Where it worked, `remedy` and `detail` (what was said) are ""."""

    feature: Feature
    available: bool
    needed_for: str
    remedy: str = ""
    detail: str = ""


_SERVICE_RULES = (
    "-m comment --comment x -m statistic --mode random --probability 0.5 -p tcp -m tcp"
    " -j DNAT --to-destination"
)
_SET_RULE = (
    "-A OUTPUT -m set --match-set t dst,dst -m physdev ! --physdev-is-in"
    " -m ipvs --vproto 6 --vaddr 10.0.0.1 --vport 80 -j DROP"
)
_MASQUERADE = (
    "-m mark ! --mark 0x4000/0x4000 -m addrtype --dst-type LOCAL -j MASQUERADE --random-fully"
)


def _iptables(variant: str, family: int = 4) -> Trial:
    tool, target = {4: ("iptables", "10.0.0.1:80"), 6: ("ip6tables", "[fd00::1]:80")}[family]
    tool = f"{tool}-{variant}"
    line = (
        f"{tool} -t nat -A OUTPUT {_SERVICE_RULES} {target}"
        f" && {tool} -t nat -A POSTROUTING {_MASQUERADE}"
    )
    where = " over IPv6" if family == 6 else ""
    return Trial(f"proxy.mode iptables, variant {variant}{where}", line, tool, "iptables")


def _link(kind: str, needed_for: str) -> Trial:
    return Trial(needed_for, f"ip link add t0 type {kind}", "ip", "iproute2")


TRIALS: Mapping[Feature, Trial] = {
    Feature.USER_NAMESPACES: Trial(
        "labs of an ordinary user",
        "unshare --user --map-root-user --net ip link set lo up",
        "unshare",
        "util-linux",
        sandboxed=False,
    ),
    Feature.NETWORK_NAMESPACES: Trial("every lab", "ip link set lo up", "ip", "iproute2"),
    Feature.VETH: _link("veth peer name t1", "every lab: pods and nodes hang on it"),
    Feature.BRIDGE: _link("bridge", "every lab: the switch between nodes"),
    Feature.IPV6: Trial(
        "labs with IPv6 addresses",
        "echo 0 > /proc/sys/net/ipv6/conf/lo/disable_ipv6 && ip link set lo up"
        " && ip -6 address add fd00::1/128 dev lo",
        "ip",
        "iproute2",
    ),
    Feature.SCTP: Trial(
        "pods that serve SCTP",
        "python3 -c 'import socket; socket.socket(2, socket.SOCK_STREAM, socket.IPPROTO_SCTP)'",
        "python3",
        "python3",
    ),
    Feature.IPTABLES_NFT: _iptables("nft"),
    Feature.IPTABLES_LEGACY: _iptables("legacy"),
    Feature.IP6TABLES_NFT: _iptables("nft", 6),
    Feature.IP6TABLES_LEGACY: _iptables("legacy", 6),
    Feature.CONNTRACK: Trial(
        "stale UDP entries, the kernel's own picks", "conntrack -L", "conntrack", "conntrack"
    ),
    Feature.NFTABLES: Trial(
        "proxy.mode nftables",
        "nft 'add table ip t; add chain ip t c { type nat hook prerouting priority -100; };"
        " add rule ip t c fib daddr type local meta l4proto tcp dnat ip addr . port to"
        " numgen random mod 2 map { 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 80 }'",
        "nft",
        "nftables",
    ),
    Feature.NFTABLES_BRIDGE: Trial(
        "fault partition: what switches drop",
        "nft 'add table bridge t; add chain bridge t c { type filter hook forward priority -400; };"
        " add rule bridge t c oifname x ether saddr { 02:00:00:00:00:01 } drop'",
        "nft",
        "nftables",
    ),
    Feature.NFTABLES_NETDEV: Trial(
        "loadBalancer.cloud.program nftables",
        "nft 'add table netdev t; add chain netdev t c { type filter hook ingress device lo priority 0; };"
        " add rule netdev t c numgen inc mod 2 vmap { 0 : accept, 1 : drop };"
        " add rule netdev t c fwd ip to 10.0.0.1 device lo'",
        "nft",
        "nftables",
    ),
    Feature.IPVS: Trial(
        "proxy.mode ipvs",
        "mark=1; for name in rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh;"
        " do ipvsadm -A -f $mark -s $name || exit 1; mark=$((mark+1)); done",
        "ipvsadm",
        "ipvsadm",
    ),
    Feature.IPVS_TWOS: Trial(
        "proxy.ipvs.scheduler twos", "ipvsadm -A -t 10.0.0.1:80 -s twos", "ipvsadm", "ipvsadm"
    ),
    Feature.IPSET: Trial(
        "proxy.mode ipvs",
        f"ipset create t hash:ip,port && {{ iptables-legacy {_SET_RULE} || iptables-nft {_SET_RULE}; }}",
        "ipset",
        "ipset",
    ),
    Feature.TBF: Trial(
        "links with a rate",
        "tc qdisc add dev lo root tbf rate 1mbit burst 2000 limit 20000",
        "tc",
        "iproute2",
    ),
    Feature.NETEM: Trial(
        "links with delay, jitter or loss",
        "tc qdisc add dev lo root netem delay 1ms",
        "tc",
        "iproute2",
    ),
    Feature.DUMMY: _link("dummy", "proxy.mode ipvs"),
    Feature.VXLAN: _link("vxlan id 1 dstport 4789 dev lo", "network.cni vxlan, weave"),
    Feature.BR_NETFILTER: Trial(
        "network.cni weave",
        "ip link add t0 type bridge && cd /proc/sys/net/bridge"
        " && echo 0 > bridge-nf-call-iptables && echo 1 > bridge-nf-call-iptables",
        "ip",
        "iproute2",
    ),
    Feature.BIRD: Trial(
        "network.cni bgp",
        "echo 'router id 10.0.0.1; protocol bgp { local as 64512; neighbor 10.0.0.2 as 64512;"
        " ipv4 { import all; export all; }; }' | bird -p -c /dev/stdin",
        "bird",
        "bird2",
    ),
    Feature.HAPROXY: Trial(
        "ingress, loadBalancer.provider cloud", "haproxy -v", "haproxy", "haproxy", sandboxed=False
    ),
    Feature.UNBOUND: Trial(
        "dns.server unbound", "unbound -V", "unbound", "unbound", sandboxed=False
    ),
    Feature.DNSMASQ: Trial(
        "dns.server dnsmasq", "dnsmasq --version", "dnsmasq", "dnsmasq-base", sandboxed=False
    ),
    Feature.COREDNS: Trial("dns.server coredns", "coredns -version", sandboxed=False),
    Feature.GUEST_KERNEL: Trial(
        "kernel: uml, for what this kernel lacks",
        "linux.uml --version",
        "linux.uml",
        "user-mode-linux",
        sandboxed=False,
    ),
    Feature.DOCKER: Trial(
        "runtime docker",
        'test "$(id -u)" = 0 || { echo needs root >&2; exit 1; };'
        " at=${DOCKER_HOST:-unix:///var/run/docker.sock};"
        ' curl -sSfm 5 --unix-socket "${at#unix://}" http://docker/_ping',
        package="docker.io",
        sandboxed=False,
    ),
    Feature.MININET: Trial(
        "runtime mininet, underlay mininet",
        f"mnexec -p true && {shlex.quote(sys.executable)} -W ignore -c 'import mininet.node'",
        "mnexec",
        "mininet",
        sandboxed=False,
    ),
    Feature.CNI_PLUGINS: Trial(
        "network.cni by plug-in",
        "CNI_COMMAND=VERSION PATH=/opt/cni/bin:/usr/lib/cni ptp",
        package="containernetworking-plugins",
        sandboxed=False,
    ),
    Feature.KUBECTL: Trial(
        "testbed kubectl",
        "kubectl version --client",
        "kubectl",
        "kubernetes-client",
        sandboxed=False,
    ),
}

KNOWN = "TESTBED_FEATURES"
"""Environment variable: the features of `known`, separated by spaces."""
_AT_ONCE = 4


def needed_by_up() -> tuple[tuple[Feature, ...], ...]:
    """What `testbed up` needs of every host: of each group, one."""
    always: tuple[tuple[Feature, ...], ...] = (
        (Feature.NETWORK_NAMESPACES,),
        (Feature.VETH,),
        (Feature.BRIDGE,),
        (Feature.IPTABLES_NFT, Feature.IPTABLES_LEGACY),
        (Feature.CONNTRACK,),
    )
    return always if os.geteuid() == 0 else ((Feature.USER_NAMESPACES,), *always)


def probe(features: Iterable[Feature] = tuple(Feature)) -> list[FeatureStatus]:
    """Try features; a status for each, in order. All of them take about a second."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda feature: attempt(feature, TRIALS[feature]), features))


def known() -> frozenset[Feature]:
    """What who started this lab has already found to work on its kernel; empty where nothing was tried."""
    return frozenset(map(Feature, os.environ.get(KNOWN, "").split()))


def require(*features: Feature) -> None:
    """Raises MissingFeature, with the remedy, for the first of these that does not work here."""
    for status in probe(feature for feature in features if feature not in known()):
        if not status.available:
            raise MissingFeature(
                f"{status.feature} does not work here: {status.detail}", status.remedy
            )


def missing_package(feature: Feature) -> str:
    """The package of the program that a feature is used by, where it is not installed; else ""."""
    trial = TRIALS[feature]
    absent = trial.tool and shutil.which(trial.tool, path=tool_path()) is None
    return trial.package if absent else ""


def attempt(feature: Feature, trial: Trial) -> FeatureStatus:
    """Carry one trial out."""
    for tool, package in absent_tools(trial):
        missing = f"{tool} is not installed"
        return FeatureStatus(feature, False, trial.needed_for, _install(package), missing)
    detail = failure(trial)
    if detail is None:
        return FeatureStatus(feature, True, trial.needed_for)
    return FeatureStatus(feature, False, trial.needed_for, _remedy(feature, trial), detail)


def _install(package: str) -> str:
    return f"apt-get install --no-install-recommends {package}"


_REMEDIES = {
    # mnexec is there, Mininet's own Python is not
    Feature.MININET: "pip install 'kube-testbed[mininet]'",
    Feature.COREDNS: "put CoreDNS' program, as its project releases it, into a folder of PATH",
    Feature.DOCKER: f"as root: {_install('docker.io')}, and: systemctl start docker, or"
    " DOCKER_HOST=unix:///PATH of its socket",
}


def _remedy(feature: Feature, trial: Trial) -> str:
    """What to do where the tool is there and the trial failed."""
    if feature is Feature.USER_NAMESPACES:
        return user_namespace_remedy()
    if feature in _REMEDIES:
        return _REMEDIES[feature]
    if not trial.sandboxed:
        return _install(trial.package)
    if os.geteuid() != 0 and failure(TRIALS[Feature.USER_NAMESPACES]) is not None:
        return user_namespace_remedy()
    if remedy := root_remedy():
        return remedy
    return "kernel: auto takes a guest kernel that has it; `testbed kernel build` makes one that has all"


def main() -> None:
    """`python -m testbed.kernel.features`: what the kernel itself can do, as JSON."""
    statuses = probe(feature for feature, trial in TRIALS.items() if trial.sandboxed)
    json.dump([asdict(status) for status in statuses], sys.stdout)


if __name__ == "__main__":
    main()
