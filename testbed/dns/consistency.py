"""What is wrong with a topology's `dns`, beyond its keys: found by `check`."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.dns.chain import Planned, read
from testbed.dns.corefile import DNS_PORT, CorefileError
from testbed.dns.plugin_cfg import PLUGIN_CFG
from testbed.dns.plugins import autopath, kubernetes
from testbed.model.corefile_text import corefile_text, of_plugins
from testbed.model.fields import Mistake, Path
from testbed.model.topology import Topology
from testbed.spelling import did_you_mean


def mistakes(topology: Topology) -> Iterator[Mistake]:
    """Of the Corefile, and of each plug-in; one that is right may still not serve the cluster's domain."""
    dns = topology.dns
    if dns.server.program:
        return  # it reads its Corefile itself
    order = dns.plugin_order or PLUGIN_CFG
    for index, name in enumerate(dns.plugin_order):
        if name not in PLUGIN_CFG or name in dns.plugin_order[:index]:
            why = "is here twice" if name in PLUGIN_CFG else "is no plug-in of CoreDNS's"
            hint = did_you_mean(name, PLUGIN_CFG) if name not in PLUGIN_CFG else "keep one"
            yield Mistake(("dns", "pluginOrder", index), f"{name} {why}", hint)
    if not (dns.corefile or dns.plugins):
        for error in read(corefile_text(dns), order)[1]:
            yield Mistake(("dns", "pluginOrder"), error.message, error.hint)
    if dns.corefile:
        plan, found = read(dns.corefile, order)
        yield from (_mistake(("dns", "corefile"), error) for error in found)
        yield from _in_vain(plan, topology, ("dns", "corefile"))
    wrong = False
    for index, plugin in enumerate(dns.plugins):
        _, found = read(of_plugins((plugin,)), order)
        wrong = wrong or bool(found)
        for error in found:
            yield Mistake(("dns", "plugins", index), error.message, error.hint)
    if dns.plugins and not wrong:
        yield from _in_vain(read(of_plugins(dns.plugins), order)[0], topology, ("dns", "plugins"))


def _in_vain(plan: Planned | None, topology: Topology, path: Path) -> Iterator[Mistake]:
    """What CoreDNS takes, and no pod has anything of."""
    if plan is None or not topology.dns.replicas:
        return
    if plan.port != DNS_PORT:
        message = f"servers listen on port {plan.port}, and service kube-dns leads to {DNS_PORT}"
        yield Mistake(path, message, f"write .:{DNS_PORT} {{")
    for block in plan.blocks:
        asks = any(
            isinstance(one.settings, autopath.Settings) and one.settings.source == "@kubernetes"
            for one in block.plugins
        )
        of = [one.settings for one in block.plugins if one.name == "kubernetes"]
        if asks and not any(
            isinstance(one, kubernetes.Settings) and one.published.pods == "verified" for one in of
        ):
            message = (
                "autopath @kubernetes answers nobody: clients are known by pods verified alone"
            )
            yield Mistake(path, message, "write pods verified in the block of kubernetes")
    served = [
        one.settings.published.domain
        for block in plan.blocks
        for one in block.plugins
        if isinstance(one.settings, kubernetes.Settings)
    ]
    if served and topology.dns.domain not in served:
        message = f"kubernetes serves {served[0]}, and pods look for {topology.dns.domain}"
        yield Mistake(path, message, "write the same domain here and in dns.domain")


def _mistake(path: Path, error: CorefileError) -> Mistake:
    return Mistake(path, error.message, error.hint, inside=(error.line, error.column))
