"""Input of nft as netlink messages, beside what nft 1.0.6 sends for the same lines.

The bytes are nft's own, recorded with `strace -e trace=sendmsg -e write=3 nft -f …`, but for what differs on
purpose: sets that are there already have no number in the transaction, and a rule's map is named after its
chain.
"""

from __future__ import annotations

import pytest

from testbed.kernel.nft_messages import batch, encode

TABLE = "0f0001006b7562652d70726f78790000"

SENT = {
    "a chain": (
        "add chain ip kube-proxy x",
        ((3, 0x401, "0600030078000000"),),
    ),
    "a chain that goes": (
        "delete chain ip kube-proxy spare",
        ((5, 0x1, "0a0003007370617265000000"),),
    ),
    "a chain's rules that go": (
        "flush chain ip kube-proxy spare",
        ((8, 0x1, "0a0002007370617265000000"),),
    ),
    "a cluster IP": (
        "add element ip kube-proxy cluster-ips { 10.9.9.9 }",
        ((12, 0x401, "10000200636c75737465722d6970730014000380100001800c000180080001000a090909"),),
    ),
    "a cluster IP of IPv6": (
        "add element ip6 kube-proxy cluster-ips { fd00::9 }",
        (
            (
                12,
                0x401,
                "10000200636c75737465722d69707300200003801c0001801800018014000100fd00000000000000"
                "0000000000000009",
            ),
        ),
    ),
    "refusals with their comments": (
        "add element ip kube-proxy no-endpoint-services { 10.9.9.9 . tcp . 80 comment "
        '"n/w:h" : goto reject-chain, 10.9.9.8 . udp . 53 comment "n/w:h" : drop }',
        (
            (
                12,
                0x401,
                "190002006e6f2d656e64706f696e742d736572766963657300000000800003804800018014000180"
                "100001000a0909090600000000500000240002802000028008000100fffffffc1100020072656a65"
                "63742d636861696e000000000c00060000066e2f773a68003400018014000180100001000a090908"
                "1100000000350000100002800c00028008000100000000000c00060000066e2f773a6800",
            ),
        ),
    ),
    "a service that goes": (
        "delete element ip kube-proxy service-ips { 10.96.0.1 . tcp . 80 }",
        (
            (
                14,
                0x1,
                "10000200736572766963652d697073001c0003801800018014000180100001000a60000106000000"
                "00500000",
            ),
        ),
    ),
    "a hairpin": (
        "add element ip6 kube-proxy hairpin-connections { fd00::9 . fd00::9 . sctp . 8080 }",
        (
            (
                12,
                0x401,
                "180002006861697270696e2d636f6e6e656374696f6e73003800038034000180300001802c000100"
                "fd000000000000000000000000000009fd000000000000000000000000000009840000001f900000",
            ),
        ),
    ),
    "a node port": (
        "add element ip kube-proxy service-nodeports { tcp . 30081 : goto reject-chain }",
        (
            (
                12,
                0x401,
                "16000200736572766963652d6e6f6465706f7274730000003c00038038000180100001800c000100"
                "0600000075810000240002802000028008000100fffffffc1100020072656a6563742d636861696e"
                "00000000",
            ),
        ),
    ),
    "an affinity set": (
        "add set ip kube-proxy affinity-z/y { type ipv4_addr ; flags dynamic,timeout ; timeout 10800s ; }",
        (
            (
                9,
                0x401,
                "11000200616666696e6974792d7a2f79000000000800030000000030080004000000000708000500"
                "0000000408000a00000100000c000b000000000000a4cb800a000d000004020000000000",
            ),
        ),
    ),
    "going on": (
        "add rule ip kube-proxy spare goto reject-chain",
        (
            (
                6,
                0xC01,
                "0a000200737061726500000048000480440001800e000100696d6d65646961746500000030000280"
                "0800010000000000240002802000028008000100fffffffc1100020072656a6563742d636861696e"
                "00000000",
            ),
        ),
    ),
    "a pod's short way": (
        'add rule ip kube-proxy spare ip saddr 10.244.0.0/16 goto reject-chain comment "short"',
        (
            (
                6,
                0xC01,
                "0a0002007370617265000000a8000480340001800c0001007061796c6f6164002400028008000100"
                "000000010800020000000001080003000000000c08000400000000022c00018008000100636d7000"
                "20000280080001000000000108000200000000000c000380060001000af40000440001800e000100"
                "696d6d656469617465000000300002800800010000000000240002802000028008000100fffffffc"
                "1100020072656a6563742d636861696e000000000c000700000673686f727400",
            ),
        ),
    ),
    "a network of half a byte": (
        "add rule ip6 kube-proxy spare ip6 saddr fd00:10:244::/58 goto reject-chain",
        (
            (
                6,
                0xC01,
                "0a000200737061726500000010010480340001800c0001007061796c6f6164002400028008000100"
                "000000010800020000000001080003000000000808000400000000105c0001800c00010062697477"
                "697365004c0002800800010000000001080002000000000108000300000000101800048014000100"
                "ffffffffffffffc00000000000000000180005801400010000000000000000000000000000000000"
                "3800018008000100636d70002c000280080001000000000108000200000000001800038014000100"
                "fd000010024400000000000000000000440001800e000100696d6d65646961746500000030000280"
                "0800010000000000240002802000028008000100fffffffc1100020072656a6563742d636861696e"
                "00000000",
            ),
        ),
    ),
    "who is the node": (
        "add rule ip kube-proxy spare fib saddr type local goto reject-chain",
        (
            (
                6,
                0xC01,
                "0a00020073706172650000009c0004802800018008000100666962001c0002800800030000000001"
                "080002000000000308000100000000012c00018008000100636d7000200002800800010000000001"
                "08000200000000000c0003800800010002000000440001800e000100696d6d656469617465000000"
                "300002800800010000000000240002802000028008000100fffffffc1100020072656a6563742d63"
                "6861696e00000000",
            ),
        ),
    ),
    "an endpoint of an affinity": (
        "add rule ip kube-proxy spare meta l4proto udp dnat to 10.244.0.1:80",
        (
            (
                6,
                0xC01,
                "0a0002007370617265000000e400048024000180090001006d657461000000001400028008000200"
                "0000001008000100000000012c00018008000100636d700020000280080001000000000108000200"
                "000000000c00038005000100110000002c0001800e000100696d6d65646961746500000018000280"
                "08000100000000010c000280080001000af400012c0001800e000100696d6d656469617465000000"
                "1800028008000100000000020c000280060001000050000038000180080001006e6174002c000280"
                "08000100000000010800020000000002080003000000000108000500000000020800070000000002",
            ),
        ),
    ),
    "one of IPv6": (
        "add rule ip6 kube-proxy spare meta l4proto udp dnat to [fd00:10:244::1]:80",
        (
            (
                6,
                0xC01,
                "0a0002007370617265000000f000048024000180090001006d657461000000001400028008000200"
                "0000001008000100000000012c00018008000100636d700020000280080001000000000108000200"
                "000000000c0003800500010011000000380001800e000100696d6d65646961746500000024000280"
                "08000100000000011800028014000100fd0000100244000000000000000000012c0001800e000100"
                "696d6d6564696174650000001800028008000100000000020c000280060001000050000038000180"
                "080001006e6174002c0002800800010000000001080002000000000a080003000000000108000500"
                "000000020800070000000002",
            ),
        ),
    ),
    "a pick": (
        "add rule ip kube-proxy service-x meta l4proto tcp dnat ip addr . port to numgen "
        "random mod 2 map { 0 : 10.9.9.9 . 8080, 1 : 10.9.9.8 . 8080 }",
        (
            (
                9,
                0x401,
                "100002005f5f736572766963652d7800080003000000000b08000400000000040800050000000004"
                "08000600000001cd080007000000000808000a00000100000c000980080001000000000216000d00"
                "0004010000000104000000000604000000000000",
            ),
            (
                12,
                0x401,
                "080004000001000044000380200001800c0001800800010000000000100002800c0001000a090909"
                "1f900000200001800c0001800800010001000000100002800c0001000a0909081f900000",
            ),
            (
                6,
                0xC01,
                "0e000200736572766963652d78000000f400048024000180090001006d6574610000000014000280"
                "080002000000001008000100000000012c00018008000100636d7000200002800800010000000001"
                "08000200000000000c0003800500010006000000340001800b0001006e756d67656e000024000280"
                "08000100000000010800020000000002080003000000000108000400000000003c0001800b000100"
                "6c6f6f6b757000002c00028008000200000000010800030000000001100001005f5f736572766963"
                "652d7800080004000001000030000180080001006e61740024000280080001000000000108000200"
                "0000000208000300000000010800050000000009",
            ),
        ),
    ),
    "a sticky pick": (
        "add rule ip kube-proxy service-x numgen random mod 1 vmap { 0 : goto endpoint-x }",
        (
            (
                9,
                0x401,
                "100002005f5f736572766963652d7800080003000000000b08000400000000040800050000000004"
                "08000600ffffff00080007000000000008000a00000100000c000980080001000000000120000d00"
                "00040100000001040000000004080004010000000100060400000000",
            ),
            (
                12,
                0x401,
                "080004000001000034000380300001800c0001800800010000000000200002801c00028008000100"
                "fffffffc0f000200656e64706f696e742d780000",
            ),
            (
                6,
                0xC01,
                "0e000200736572766963652d7800000074000480340001800b0001006e756d67656e000024000280"
                "08000100000000010800020000000001080003000000000108000400000000003c0001800b000100"
                "6c6f6f6b757000002c00028008000200000000010800030000000000100001005f5f736572766963"
                "652d78000800040000010000",
            ),
        ),
    ),
}
"""What it is -> (line, its messages: type, flags, attributes behind the table's)."""


@pytest.mark.parametrize("what", SENT)
def test_a_line_becomes_the_messages_that_nft_sends(what: str) -> None:
    line, sent = SENT[what]
    messages = encode(line + "\n")
    assert messages is not None
    assert [(one.type, one.flags, one.attributes.hex()) for one in messages] == [
        (kind, flags, TABLE + attributes) for kind, flags, attributes in sent
    ]


@pytest.mark.parametrize(
    "line",
    [
        "add table ip kube-proxy",
        "list ruleset",
        "add rule ip kube-proxy x ip saddr != { 192.0.2.0/24 } drop",
        "add rule ip kube-proxy x counter goto y",
        'add rule ip kube-proxy x comment "c" goto y',
        "add rule ip kube-proxy x numgen random mod 2 vmap { 0 : goto y }",
        "add rule ip kube-proxy x dnat to web:80",
        "add element ip kube-proxy cluster-ips { 10.96.0.0/16 }",
        "add element ip kube-proxy service-ips { 10.96.0.1 . tcp . 99999 : goto x }",
        "add chain ip kube-proxy x { type nat hook prerouting priority -100 ; policy accept ; }",
        "add set ip kube-proxy x { type ipv4_addr ; }",
        "replace rule ip kube-proxy x handle 7 drop",
    ],
)
def test_what_is_not_known_is_left_to_nft(line: str) -> None:
    assert encode(line + "\n") is None
    assert encode(f"flush chain ip kube-proxy y\n{line}\n") is None


def test_a_transaction_is_numbered_from_begin_to_end() -> None:
    messages = encode("add chain ip kube-proxy x\nflush chain ip6 kube-proxy y\n")
    assert messages is not None
    packed = batch(messages)
    sequence_numbers, start = [], 0
    while start < len(packed):
        sequence_numbers.append(int.from_bytes(packed[start + 8 : start + 12], "little"))
        start += int.from_bytes(packed[start : start + 4], "little")
    assert sequence_numbers == [0, 1, 2, 3]
    assert [one.family for one in messages] == [2, 10]


def test_a_map_larger_than_an_attribute_comes_in_parts() -> None:
    choices = ", ".join(f"{i} : 10.0.{i // 250}.{i % 250 + 1} . 80" for i in range(4000))
    line = (
        "add rule ip kube-proxy x meta l4proto tcp dnat ip addr . port to"
        f" numgen random mod 4000 map {{ {choices} }}"
    )
    messages = encode(line + "\n")
    assert messages is not None
    assert [one.type for one in messages] == [9, 12, 12, 12, 6]
    assert all(len(one.attributes) < 1 << 16 for one in messages)
