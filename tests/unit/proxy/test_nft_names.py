"""Names of chains and sets, against kube-proxy's own."""

from __future__ import annotations

import pytest

from testbed.proxy.nftables_names import endpoint_base, port_base


@pytest.mark.parametrize(
    ("port", "base"),
    [
        (("ns1", "web", "http", "tcp"), "DK7ABAZC-ns1/web/tcp/http"),
        (("ns1", "svc1", "p80", "tcp"), "ULMVA6XW-ns1/svc1/tcp/p80"),
        (("ns2", "svc2", "p80", "tcp"), "42NFTM6N-ns2/svc2/tcp/p80"),
    ],
)
def test_a_port_is_named_by_hash_and_by_itself(port: tuple[str, str, str, str], base: str) -> None:
    assert port_base(*port) == base


@pytest.mark.parametrize(
    ("port", "ip", "number", "base"),
    [
        (
            ("ns1", "sticky", "http", "tcp"),
            "10.244.1.2",
            8080,
            "LSUWYAAW-ns1/sticky/tcp/http__10.244.1.2/8080",
        ),
        (
            ("ns5", "svc5", "p80", "tcp"),
            "10.180.0.3",
            80,
            "GTK6MW7G-ns5/svc5/tcp/p80__10.180.0.3/80",
        ),
    ],
)
def test_an_endpoint_is_named_after_its_port(
    port: tuple[str, str, str, str], ip: str, number: int, base: str
) -> None:
    assert endpoint_base(port, ip, number) == base


def test_an_address_in_a_name_has_no_colon() -> None:
    name = endpoint_base(("ns1", "web", "http", "tcp"), "fd00:10:244::1", 80)
    assert name.endswith("-ns1/web/tcp/http__fd00.10.244..1/80")


def test_a_long_name_is_cut_and_stays_its_own() -> None:
    names = {port_base("n" * 63, "s" * 63, "p" * 200 + end, "tcp") for end in "ab"}
    assert {len(name) for name in names} == {240}
    assert len(names) == 2
