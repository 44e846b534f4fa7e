"""What a running HAProxy is told, and when it must be loaded anew: tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.edge.haproxy_change import change
from testbed.edge.haproxy_text import (
    FREE,
    CertificateUse,
    Configuration,
    Pool,
    Section,
    Server,
    files,
    general,
)

ONE, OTHER = Server("10.244.0.2", 8080), Server("10.244.1.2", 8080)
POOL = Pool("shop", ("balance roundrobin",), (ONE, FREE), "check")
HAVE = Configuration(
    (general(), Section("frontend http", ("bind :80",))),
    (POOL,),
    {"hosts.map": {"shop.test": "shop"}},
    {"shop.pem": "PEM"},
    (CertificateUse("shop.pem", ("shop.test",), "alpn h2,http/1.1"),),
)


def slots(*servers: Server) -> Configuration:
    return replace(HAVE, pools=(replace(POOL, servers=servers),))


TOLD: tuple[tuple[str, Configuration, list[str]], ...] = (
    ("nothing differs", HAVE, []),
    (
        "an endpoint takes a free slot",
        slots(ONE, OTHER),
        ["set server shop/s2 addr 10.244.1.2 port 8080", "set server shop/s2 state ready"],
    ),
    ("an endpoint is gone", slots(FREE, FREE), ["set server shop/s1 state maint"]),
    (
        "an endpoint ends: it takes nothing new",
        slots(replace(ONE, state="drain"), FREE),
        ["set server shop/s1 state drain"],
    ),
    (
        "a slot goes to another endpoint",
        slots(OTHER, FREE),
        [
            "set server shop/s1 state maint",
            "set server shop/s1 addr 10.244.1.2 port 8080",
            "set server shop/s1 state ready",
        ],
    ),
    (
        "a host more, one with another backend, one gone",
        replace(HAVE, maps={"hosts.map": {"a b;c": "shop"}}),
        ["add map hosts.map a\\ b\\;c shop", "del map hosts.map shop.test"],
    ),
    (
        "a host with another backend",
        replace(HAVE, maps={"hosts.map": {"shop.test": "cart"}}),
        ["set map hosts.map shop.test cart"],
    ),
    (
        "a certificate is renewed",
        replace(HAVE, certificates={"shop.pem": "NEW"}),
        ["set ssl cert shop.pem", "commit ssl cert shop.pem"],
    ),
    (
        "a host has another certificate: the new one first",
        replace(
            HAVE,
            certificates={"cart.pem": "PEM"},
            uses=(CertificateUse("cart.pem", ("shop.test",)),),
        ),
        [
            "new ssl cert cart.pem",
            "set ssl cert cart.pem",
            "commit ssl cert cart.pem",
            "add ssl crt-list certificates.list",
            "del ssl crt-list certificates.list shop.pem",
            "del ssl cert shop.pem",
        ],
    ),
)


@pytest.mark.parametrize(("want", "told"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_told(want: Configuration, told: list[str]) -> None:
    found = change(HAVE, want)
    assert ([said.command for said in found.commands], found.why) == (told, "")


LOADED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"sections": HAVE.sections[:1]}, "another configuration"),
    ({"maps": {}}, "other maps"),
    ({"uses": (), "certificates": {}}, "no certificates any more"),
    ({"pools": (POOL, replace(POOL, name="cart"))}, "new backend cart"),
    ({"pools": ()}, "backend gone shop"),
    ({"pools": (replace(POOL, servers=(ONE,)),)}, "backend changed shop"),
    ({"pools": (replace(POOL, options=""),)}, "backend changed shop"),
)


@pytest.mark.parametrize(("what", "why"), LOADED, ids=[row[1] for row in LOADED])
def test_loaded_anew(what: dict[str, Any], why: str) -> None:
    assert change(HAVE, replace(HAVE, **what)).why == why


def test_files() -> None:
    found = files(slots(ONE, replace(OTHER, address="fd00::2", state="drain")))
    assert found["hosts.map"] == "shop.test shop\n"
    assert found["shop.pem"] == "PEM"
    assert found["certificates.list"] == "shop.pem [alpn h2,http/1.1] shop.test\n"
    assert found["haproxy.cfg"].endswith(
        "frontend http\n    bind :80\n\n"
        "backend shop\n    balance roundrobin\n"
        "    server s1 10.244.0.2:8080 check\n    server s2 [fd00::2]:8080 check disabled\n"
    )
