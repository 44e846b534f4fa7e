"""What `testbed resolve` prints."""

from __future__ import annotations

import argparse

import pytest

from testbed.cli.resolve import add_arguments, asked_itself, is_resolved, run, shown
from testbed.errors import UsageError

QUERY = {"name": "out.svc", "type": "A", "rcode": "NOERROR", "server": "10.96.0.10", "ms": 1.2345}
CNAME = {"name": "out.svc", "type": "CNAME", "ttl": 5, "data": "example.com."}
ADDRESS = {"name": "example.com", "type": "AAAA", "ttl": 5, "data": "fd00::1"}


def test_queries_come_before_answers() -> None:
    assert shown({"name": "out", "queries": [QUERY], "answers": [CNAME]}).splitlines() == [
        "QUERY     TYPE   RCODE     SERVER       MS",
        "out.svc   A      NOERROR   10.96.0.10   1.23",
        "",
        "ANSWER    TYPE    TTL   DATA",
        "out.svc   CNAME   5     example.com.",
    ]


@pytest.mark.parametrize(
    ("answers", "resolved"), [([], False), ([CNAME], False), ([CNAME, ADDRESS], True)]
)
def test_a_name_is_resolved_when_it_has_an_address(
    answers: list[dict[str, object]], resolved: bool
) -> None:
    assert is_resolved({"answers": answers}) is resolved


@pytest.mark.parametrize(("rtype", "resolved"), [("CNAME", True), ("cname", True), ("SRV", False)])
def test_or_a_record_of_the_type_that_was_asked_for(rtype: str, resolved: bool) -> None:
    assert is_resolved({"answers": [CNAME]}, rtype) is resolved


def test_a_type_that_there_is_not_is_wrong_usage_before_any_lab_is_looked_for() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(UsageError, match="not a record type"):
        run(parser.parse_args(["no-such-lab", "client-0", "web", "--type", "HTTPX"]))


@pytest.mark.parametrize("name", ["a..b", "", "two words", "a\tb"])
def test_a_name_that_cannot_be_asked_for_is_wrong_usage_before_any_lab_is_looked_for(
    name: str,
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(UsageError, match=r"empty|no name to ask for"):
        run(parser.parse_args(["no-such-lab", "client-0", name]))


@pytest.mark.parametrize(
    ("server", "rcode", "itself"),
    [
        ("127.0.0.1", "UNREACHABLE", True),
        ("127.0.0.1", "NXDOMAIN", False),
        ("10.96.0.10", "UNREACHABLE", False),
    ],
)
def test_who_has_no_name_server_asks_itself(server: str, rcode: str, itself: bool) -> None:
    assert asked_itself({"queries": [QUERY | {"server": server, "rcode": rcode}]}) is itself
