"""A name's way to an address, told as the packets that come back."""

from __future__ import annotations

import pytest

from testbed.dns.encode import encode_reply
from testbed.dns.query import Reply
from testbed.dns.search import parse_resolv_conf
from testbed.dns.wire import (
    AAAA,
    A,
    Record,
    WireError,
    decode_query,
)
from testbed.traffic.lookup import Lookup, preferred

NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
CONF = parse_resolv_conf(
    "search default.svc.cluster.local svc.cluster.local\n"
    "nameserver 10.96.0.10\nnameserver 10.96.0.11\noptions ndots:5 attempts:2\n"
)
ADDRESS = "10.96.0.3"


def asked(lookup: Lookup) -> tuple[str, str]:
    """Server and name of the questions that wait to be sent."""
    questions = [decode_query(packet).question for packet in lookup.packets]
    assert [question.type for question in questions] == [A, AAAA]
    assert len({question.name for question in questions}) == 1
    return lookup.server, questions[0].name


def answer(lookup: Lookup, rcode: int, address: str | None = None) -> list[bytes]:
    """What a server says to both questions."""
    answers = []
    for packet in lookup.packets:
        query = decode_query(packet)
        records = ()
        if address and query.question.type == A:
            records = (Record(query.question.name, A, 5, address),)
        answers.append(encode_reply(query, Reply(rcode, records)))
    return answers


def hand_in(lookup: Lookup, packets: list[bytes]) -> bool:
    """All packets, whatever each does; whether something has changed."""
    return sum(lookup.receive(packet) for packet in packets) > 0


def test_the_first_name_has_an_address() -> None:
    lookup = Lookup("web", CONF, 7)
    assert asked(lookup) == ("10.96.0.10", "web.default.svc.cluster.local")
    a, aaaa = answer(lookup, NOERROR, ADDRESS)
    assert not lookup.receive(a)  # a libc waits for both
    assert lookup.receive(aaaa)
    assert (lookup.address, lookup.ttl_s) == (ADDRESS, 5)


@pytest.mark.parametrize(
    ("addresses", "dialled"),
    [
        (["10.96.0.3", "fd00:10:96::3"], "10.96.0.3"),
        (["fd00:10:96::3", "10.96.0.3"], "10.96.0.3"),
        (["10.96.0.3", "2001:db8::3"], "2001:db8::3"),
        (["fd00:10:96::3"], "fd00:10:96::3"),
        (["10.244.0.3", "10.244.0.2"], "10.244.0.3"),
        (["10.244.0.3", "fd00::3", "10.244.0.2", "fd00::2"], "10.244.0.3"),
    ],
)
def test_of_several_addresses_one_is_dialled_as_rfc_6724_says(
    addresses: list[str], dialled: str
) -> None:
    assert preferred(addresses) == dialled


def test_a_name_with_an_ipv6_address_alone() -> None:
    lookup = Lookup("web", CONF, 7)
    name = asked(lookup)[1]
    a, aaaa = (decode_query(packet) for packet in lookup.packets)
    assert not lookup.receive(encode_reply(a, Reply(NOERROR)))
    assert lookup.receive(encode_reply(aaaa, Reply(NOERROR, (Record(name, AAAA, 5, "fd00::7"),))))
    assert lookup.address == "fd00::7"


def test_the_search_list_is_walked_to_the_name_itself() -> None:
    lookup = Lookup("web.shop", CONF, 7)
    names = []
    while not lookup.failed:
        names.append(asked(lookup)[1])
        assert hand_in(lookup, answer(lookup, NXDOMAIN))
    assert names == [
        "web.shop.default.svc.cluster.local",
        "web.shop.svc.cluster.local",
        "web.shop",
    ]
    assert lookup.address is None


def test_no_data_is_no_address_either() -> None:
    lookup = Lookup("web.", CONF, 7)
    assert hand_in(lookup, answer(lookup, NOERROR))
    assert lookup.failed


def test_silence_goes_to_the_next_server_then_round_again() -> None:
    lookup = Lookup("web.", CONF, 7)
    servers = []
    while not lookup.failed:
        servers.append(lookup.server)
        lookup.give_up_waiting()
    assert servers == ["10.96.0.10", "10.96.0.11"] * 2


def test_a_server_in_trouble_is_passed_over() -> None:
    lookup = Lookup("web", CONF, 7)
    assert hand_in(lookup, answer(lookup, SERVFAIL))
    assert asked(lookup) == ("10.96.0.11", "web.default.svc.cluster.local")
    assert hand_in(lookup, answer(lookup, NOERROR, ADDRESS))
    assert lookup.address == ADDRESS


@pytest.mark.parametrize("data", [b"", b"junk", b"\0" * 12])
def test_junk_changes_nothing(data: bytes) -> None:
    lookup = Lookup("web", CONF, 7)
    assert not lookup.receive(data)


def test_a_late_answer_to_an_earlier_question_changes_nothing() -> None:
    lookup = Lookup("web", CONF, 7)
    late = answer(lookup, NOERROR, ADDRESS)
    lookup.give_up_waiting()
    assert not hand_in(lookup, late)
    assert lookup.address is None


def test_idents_wrap() -> None:
    lookup = Lookup("web.", CONF, 0xFFFF)
    assert hand_in(lookup, answer(lookup, NOERROR, ADDRESS))
    assert lookup.address == ADDRESS


def test_a_name_that_no_query_can_carry() -> None:
    with pytest.raises(WireError):
        Lookup("a" * 64, CONF, 7)
