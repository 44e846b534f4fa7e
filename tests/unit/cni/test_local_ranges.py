"""Whose turn which address is."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.cni.local_ranges import asked_for, next_free, ranges_of

SMALL = {"subnet": "198.51.100.0/29"}
PARTS = [
    {"subnet": "198.51.100.0/29", "rangeStart": "198.51.100.4", "rangeEnd": "198.51.100.5"},
    {"subnet": "203.0.113.0/29", "gateway": "203.0.113.6"},
]


@pytest.mark.parametrize(
    ("ipam", "used", "last", "want"),
    [
        (SMALL, [], "", "198.51.100.2/29"),  # the first is the gateway's
        (SMALL, [2], "198.51.100.2", "198.51.100.3/29"),
        (SMALL, [], "198.51.100.4", "198.51.100.5/29"),  # in turn: an old one is used again last
        (SMALL, [], "198.51.100.6", "198.51.100.2/29"),
        (SMALL, [2, 3, 4, 5], "198.51.100.5", "198.51.100.6/29"),
        (SMALL, [2, 3, 4, 5, 6], "198.51.100.6", None),
        ({"ranges": [PARTS]}, [4, 5], "198.51.100.5", "203.0.113.1/29"),
        ({"ranges": [PARTS]}, [], "203.0.113.5", "198.51.100.4/29"),
        ({"subnet": "2001:db8::/64"}, [], "", "2001:db8::2/64"),
        (SMALL, [], "192.0.2.1", "198.51.100.2/29"),  # of a range that was there before
    ],
)
def test_the_next_free_one(
    ipam: dict[str, Any], used: list[int], last: str, want: str | None
) -> None:
    (ranges,) = ranges_of(ipam)
    taken = {f"198.51.100.{number}" for number in used}
    found = next_free(ranges, taken, last)
    assert (str(found) if found else None) == want


def test_one_that_is_asked_for() -> None:
    (ranges,) = ranges_of({"ranges": [PARTS]})
    assert str(asked_for(ranges, ["2001:db8::5", "203.0.113.3"])) == "203.0.113.3/29"
    assert asked_for(ranges, ["198.51.100.2"]) is None


@pytest.mark.parametrize(
    ("ipam", "message"),
    [
        ({}, "needs ranges, or a subnet"),
        ({"ranges": [[]]}, "needs ranges, or a subnet"),
        ({"ranges": [[{"gateway": "198.51.100.1"}]]}, "needs a subnet"),
        ({"subnet": "198.51.100.0/31"}, "too small"),
        ({**SMALL, "rangeStart": "198.51.100.9"}, "is no part of"),
        ({**SMALL, "rangeStart": "198.51.100.5", "rangeEnd": "198.51.100.4"}, "is no part of"),
    ],
)
def test_ranges_that_are_none(ipam: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ranges_of(ipam)
