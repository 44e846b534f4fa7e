"""What the plug-in `rewrite` asks instead, and what of that the client sees."""

from __future__ import annotations

import pytest

from tests.unit.dns.surrounded import World, asked, said

HOSTS = """
10.0.0.1 web.default.svc.cluster.local
10.0.0.2 web.test
10.0.0.3 a.web.test
"""


@pytest.mark.parametrize(
    ("rule", "name", "answer"),
    [
        ("name shop.test web.test", "shop.test", ["NOERROR", "web.test 3600 A 10.0.0.2"]),
        ("name exact shop.test web.test answer auto", "Shop.test", ["NOERROR", "Shop.test 3600 A 10.0.0.2"]),
        ("name exact shop.test web.test answer auto", "a.shop.test", ["SERVFAIL"]),
        ("name prefix shop- web", "shop-.test", ["NOERROR", "web.test 3600 A 10.0.0.2"]),
        ("name suffix .shop.test .web.test answer auto", "a.shop.test",
         ["NOERROR", "a.shop.test 3600 A 10.0.0.3"]),
        ("name substring shop web", "a.shop.test", ["NOERROR", "a.web.test 3600 A 10.0.0.3"]),
        (r"name regex ^(.*)\.shop\.$ {1}.default.svc.cluster.local. answer auto", "web.shop",
         ["NOERROR", "web.shop 3600 A 10.0.0.1"]),
        (r"name regex (.*)\.shop\. {1}.test answer name (.*)\.test\. {1}.shop.", "web.shop",
         ["NOERROR", "web.shop 3600 A 10.0.0.2"]),
        ("type AAAA A", "web.test", ["NOERROR", "web.test 3600 A 10.0.0.2"]),
        ("class CH IN", "web.test", ["NOERROR", "web.test 3600 A 10.0.0.2"]),
        ("ttl web.test 20", "web.test", ["NOERROR", "web.test 20 A 10.0.0.2"]),
        ("ttl suffix test 5000-", "web.test", ["NOERROR", "web.test 5000 A 10.0.0.2"]),
        ("ttl suffix test 30-60", "web.test", ["NOERROR", "web.test 60 A 10.0.0.2"]),
        ("ttl other.test 20", "web.test", ["NOERROR", "web.test 3600 A 10.0.0.2"]),
        ("rcode suffix test SERVFAIL NXDOMAIN", "none.test", ["NXDOMAIN"]),
        ("rcode suffix test SERVFAIL NXDOMAIN", "none.example", ["SERVFAIL"]),
    ],
)  # fmt: skip
def test_rules(rule: str, name: str, answer: list[str]) -> None:
    world = World(files={"/etc/hosts": HOSTS})
    chain = world.chain(f"rewrite {rule}", "hosts")
    rtype = "AAAA" if rule.startswith("type") else "A"
    assert said(asked(chain, name, rtype)) == answer


@pytest.mark.parametrize(("flow", "address"), [("stop", "10.0.0.2"), ("continue", "10.0.0.1")])
def test_a_rule_stops_or_lets_the_next_one_see(flow: str, address: str) -> None:
    world = World(files={"/etc/hosts": HOSTS})
    chain = world.chain(
        f"rewrite {flow} name shop.test web.test",
        "rewrite name web.test web.default.svc.cluster.local",
        "hosts",
    )
    assert said(asked(chain, "shop.test"))[1].endswith(address)


def test_a_rule_in_a_block_changes_values_too() -> None:
    world = World(files={"/etc/hosts": HOSTS})
    chain = world.chain(
        r"""rewrite stop {
            name regex ^1\.0\.0\.10\.in-addr\.arpa\.$ 2.0.0.10.in-addr.arpa.
            answer name ^2\.(.*)$ 1.{1}
            answer value ^web\.(.*)$ shop.{1}
        }""",
        "hosts",
    )
    assert said(asked(chain, "1.0.0.10.in-addr.arpa", "PTR")) == [
        "NOERROR",
        "1.0.0.10.in-addr.arpa 3600 PTR shop.test.",
    ]
