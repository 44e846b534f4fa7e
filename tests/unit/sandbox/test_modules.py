"""modules.dep, read."""

from __future__ import annotations

from testbed.kernel.modules import dependencies

MODULES_DEP = """\
kernel/net/ipv4/netfilter/iptable_nat.ko: kernel/net/netfilter/nf_nat.ko kernel/net/netfilter/x_tables.ko
kernel/net/bridge/br-netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz
kernel/net/netfilter/x_tables.ko:
"""


def test_a_module_is_known_by_its_name_with_what_it_needs() -> None:
    assert dependencies(MODULES_DEP) == {
        "iptable_nat": (
            "kernel/net/ipv4/netfilter/iptable_nat.ko",
            ("kernel/net/netfilter/nf_nat.ko", "kernel/net/netfilter/x_tables.ko"),
        ),
        "br_netfilter": (
            "kernel/net/bridge/br-netfilter.ko.xz",
            ("kernel/net/bridge/bridge.ko.xz",),
        ),
        "x_tables": ("kernel/net/netfilter/x_tables.ko", ()),
    }
