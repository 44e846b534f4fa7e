"""A zone that is told its records: query -> answer and authority in zone-file text."""

from __future__ import annotations

import pytest

from testbed.dns.external import line
from testbed.dns.served_zone import ServedZone
from testbed.dns.wire import (
    AAAA,
    ANY,
    CNAME,
    NOERROR,
    NS,
    NXDOMAIN,
    REFUSED,
    SOA,
    A,
    Question,
    Record,
)

ORIGIN = "example.test"
SHOP = Record("shop.example.test", A, 60, "203.0.113.7")
RECORDS = {
    "shop.example.test": (SHOP, Record("shop.example.test", A, 60, "203.0.113.8")),
    "www.example.test": (Record("www.example.test", CNAME, 60, "shop.example.test."),),
    "cdn.example.test": (Record("cdn.example.test", CNAME, 60, "far.away.test."),),
    "round.example.test": (Record("round.example.test", CNAME, 60, "round.example.test."),),
    "*.dev.example.test": (Record("*.dev.example.test", A, 60, "203.0.113.9"),),
    "deep.below.dev.example.test": (Record("deep.below.dev.example.test", A, 60, "203.0.113.1"),),
}
TIMES = "7 7200 3600 1209600 5"
OWN = f"example.test. 5 IN SOA ns.example.test. hostmaster.example.test. {TIMES}"
ROOT = f". 5 IN SOA ns.example.test. hostmaster.example.test. {TIMES}"
BOTH = [f"shop.example.test. 60 IN A 203.0.113.{last}" for last in (7, 8)]

ROWS = {
    "an address": ("shop.example.test", A, NOERROR, BOTH, []),
    "in the case of the question": (
        "Shop.Example.test",
        A,
        NOERROR,
        [text.replace("shop.example", "Shop.Example") for text in BOTH],
        [],
    ),
    "no record of that type": ("shop.example.test", AAAA, NOERROR, [], [OWN]),
    "all there are": ("shop.example.test", ANY, NOERROR, BOTH, []),
    "no such name": ("shoe.example.test", A, NXDOMAIN, [], [OWN]),
    "nothing below a name": ("a.shop.example.test", A, NXDOMAIN, [], [OWN]),
    "an alias, followed": (
        "www.example.test",
        A,
        NOERROR,
        ["www.example.test. 60 IN CNAME shop.example.test.", *BOTH],
        [],
    ),
    "an alias itself": (
        "www.example.test",
        CNAME,
        NOERROR,
        ["www.example.test. 60 IN CNAME shop.example.test."],
        [],
    ),
    "an alias that leads nowhere": (
        "cdn.example.test",
        A,
        NXDOMAIN,
        ["cdn.example.test. 60 IN CNAME far.away.test."],
        [ROOT],
    ),
    "a wildcard": (
        "any.dev.example.test",
        A,
        NOERROR,
        ["any.dev.example.test. 60 IN A 203.0.113.9"],
        [],
    ),
    "a wildcard, deeper": (
        "a.b.dev.example.test",
        A,
        NOERROR,
        ["a.b.dev.example.test. 60 IN A 203.0.113.9"],
        [],
    ),
    "a wildcard does not stand for a name that exists": (
        "below.dev.example.test",
        A,
        NOERROR,
        [],
        [OWN],
    ),
    "nor for what is below that": ("x.below.dev.example.test", A, NXDOMAIN, [], [OWN]),
    "only others below it": ("dev.example.test", A, NOERROR, [], [OWN]),
    "the zone": ("example.test", SOA, NOERROR, [OWN], []),
    "its server": ("example.test", NS, NOERROR, ["example.test. 5 IN NS ns.example.test."], []),
    "the rest of the world": ("nothing.example.com", A, NXDOMAIN, [], [ROOT]),
    "above it": ("test", A, NOERROR, [], [ROOT]),
}


def served() -> ServedZone:
    zone = ServedZone(ORIGIN, "ns.example.test")
    zone.put(RECORDS, 7)
    return zone


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_answer(row: tuple[str, int, int, list[str], list[str]]) -> None:
    name, rtype, rcode, answers, authority = row
    found = served().answer(Question(name, rtype))
    assert found.rcode == rcode
    assert [line(one) for one in found.answers] == answers
    assert [line(one) for one in found.authority] == authority
    assert found.depends == {ORIGIN}


def test_other_classes_are_refused() -> None:
    assert served().answer(Question("shop.example.test", A, 3)).rcode == REFUSED


def test_a_circle_ends() -> None:
    found = served().answer(Question("round.example.test", A))
    assert {line(one) for one in found.answers} == {
        "round.example.test. 60 IN CNAME round.example.test."
    }


def test_names_that_go_take_along_what_was_only_above_them() -> None:
    zone = served()
    zone.put({"deep.below.dev.example.test": (), "*.dev.example.test": ()}, 8)
    for name in ("deep.below.dev.example.test", "below.dev.example.test", "dev.example.test"):
        assert zone.answer(Question(name, A)).rcode == NXDOMAIN
    zone.put({"deep.below.dev.example.test": (SHOP,)}, 9)
    assert zone.answer(Question("below.dev.example.test", A)).rcode == NOERROR


def test_the_path_does_not_matter() -> None:
    """Told in pieces, over detours, it answers as if told at once."""
    zone = ServedZone(ORIGIN, "ns.example.test")
    zone.put({"gone.dev.example.test": (SHOP,)}, 1)
    for name, records in sorted(RECORDS.items(), reverse=True):
        zone.put({name: (SHOP,)}, 2)
        zone.put({name: records}, 3)
    zone.put({"gone.dev.example.test": (), "never.example.test": ()}, 7)
    for name, rtype, *_ in ROWS.values():
        assert zone.answer(Question(name, rtype)) == served().answer(Question(name, rtype))
