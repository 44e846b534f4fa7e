"""ctnetlink messages, and the recording's file."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from testbed.traffic import ctnetlink
from testbed.traffic.conntrack import COLUMNS, header, pick_of, read_entries, record, spelled_pick

SIZES = (4, 16)
"""Of an IPv4 and an IPv6 address."""
PORTS = st.binary(min_size=2, max_size=2)
NESTED = 0x8000


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def direction(
    kind: int, ends: tuple[bytes, bytes], protocol: int, ports: tuple[bytes, ...]
) -> bytes:
    source = 1 if len(ends[0]) == 4 else 3
    ip = attribute(source, ends[0]) + attribute(source + 1, ends[1])
    proto = attribute(1, bytes((protocol,)))
    proto += b"".join(attribute(2 + place, port) for place, port in enumerate(ports))
    return attribute(kind | NESTED, attribute(1 | NESTED, ip) + attribute(2 | NESTED, proto))


def entry(fields: ctnetlink.Fields, tail: bytes = b"") -> bytes:
    first = direction(1, fields[:2], fields[2], fields[3:5])
    reply = direction(2, fields[5:7], fields[7], fields[8:10])
    return first + reply + tail


def entries_of(size: int) -> st.SearchStrategy[ctnetlink.Fields]:
    address = st.binary(min_size=size, max_size=size)
    half = (address, address, st.sampled_from([6, 17, 132]), PORTS, PORTS)
    return st.tuples(*half, *half)


FIELDS = st.sampled_from(SIZES).flatmap(entries_of)
DNAT: ctnetlink.Fields = (
    bytes((10, 244, 0, 5)),
    bytes((10, 96, 0, 1)),
    6,
    (40000).to_bytes(2, "big"),
    (80).to_bytes(2, "big"),
    bytes((10, 244, 1, 7)),
    bytes((10, 244, 0, 5)),
    6,
    (8080).to_bytes(2, "big"),
    (40000).to_bytes(2, "big"),
)
DNAT_V6: ctnetlink.Fields = (
    ip_address("fd00:10:244::5").packed,
    ip_address("fd00:10:96::1").packed,
    *DNAT[2:5],
    ip_address("fd00:10:244:1::").packed,
    ip_address("fd00:10:244::5").packed,
    *DNAT[7:],
)
BOTH = (DNAT, DNAT_V6, DNAT)


@given(FIELDS, st.binary(max_size=30))
def test_entries_read_the_same_at_fixed_places_and_attribute_by_attribute(
    fields: ctnetlink.Fields, tail: bytes
) -> None:
    payload = entry(fields, attribute(4, tail))
    assert ctnetlink.walked(payload) == fields
    assert ctnetlink.fields(payload) == fields


@given(st.sampled_from((DNAT, DNAT_V6)), st.integers(0, 103), st.integers(1, 255))
@example(DNAT, 28, 1)  # the protocol number is left without a value
@example(DNAT, 8, 2)  # an IPv6 source beside an IPv4 destination
def test_a_damaged_entry_reads_the_same_both_ways(
    fields: ctnetlink.Fields, place: int, flip: int
) -> None:
    """The fixed places must never be read where a header says that something else is there."""
    damaged = bytearray(entry(fields))
    damaged[place] ^= flip
    assert ctnetlink.fields(bytes(damaged)) == ctnetlink.walked(bytes(damaged))


def test_an_entry_without_ports_has_port_zero() -> None:
    ping = (*DNAT[:2], 1, b"\0\0", b"\0\0", *DNAT[5:7], 1, b"\0\0", b"\0\0")
    icmp = [attribute(4, b"\x12\x34"), attribute(5, b"\x08"), attribute(6, b"\0")]
    halves = [
        attribute(
            kind | NESTED,
            attribute(1 | NESTED, attribute(1, source) + attribute(2, target))
            + attribute(2 | NESTED, attribute(1, b"\1") + b"".join(icmp)),
        )
        for kind, source, target in ((1, ping[0], ping[1]), (2, ping[5], ping[6]))
    ]
    assert ctnetlink.fields(b"".join(halves)) == ping


@pytest.mark.parametrize(
    "payload", [b"", entry(DNAT)[:60], attribute(1 | NESTED, b""), b"\1" * 200]
)
def test_what_is_no_entry_is_none(payload: bytes) -> None:
    assert ctnetlink.fields(payload) is None


@given(st.binary(max_size=120))
def test_no_bytes_make_the_parser_fail(data: bytes) -> None:
    for _, payload in ctnetlink.messages(data):
        ctnetlink.fields(payload)
        ctnetlink.counters(payload)


def test_messages_are_told_apart_in_one_receive() -> None:
    def message(kind: int, payload: bytes) -> bytes:
        return struct.pack("=IHHII4x", 20 + len(payload), kind, 0, 0, 0) + payload

    data = message(ctnetlink.NEW, entry(DNAT)) + message(ctnetlink.NLMSG_DONE, b"")
    assert list(ctnetlink.messages(data)) == [
        (ctnetlink.NEW, entry(DNAT)),
        (ctnetlink.NLMSG_DONE, b""),
    ]


def test_counters_are_read_by_name() -> None:
    payload = attribute(9, struct.pack("!I", 3)) + attribute(11, struct.pack("!I", 70000))
    assert ctnetlink.counters(payload) == {"insert_failed": 3, "drop": 0, "early_drop": 70000}


def test_a_recording_reads_back(tmp_path: Path) -> None:
    file = tmp_path / "entries"
    records = record(5, 1, ctnetlink.NEW, DNAT) + record(9, 0, ctnetlink.DESTROY, DNAT)
    file.write_bytes(header(("n1", "n2")) + records)
    found = read_entries(file)
    assert {name: str(kind) for name, kind in found.dtypes.items()} == COLUMNS
    assert found.iloc[0].to_dict() == {
        "t_ns": 5,
        "node": "n2",
        "protocol": 6,
        "src_ip": "10.244.0.5",
        "src_port": 40000,
        "dst_ip": "10.96.0.1",
        "dst_port": 80,
        "reply_src_ip": "10.244.1.7",
        "reply_src_port": 8080,
        "reply_dst_ip": "10.244.0.5",
        "reply_dst_port": 40000,
        "event": "new",
    }
    assert list(found["event"]) == ["new", "destroy"]
    assert list(found["node"]) == ["n2", "n1"]


def test_entries_of_both_families_stand_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "entries"
    file.write_bytes(
        header(("n1",))
        + b"".join(record(number, 0, ctnetlink.NEW, one) for number, one in enumerate(BOTH))
    )
    found = read_entries(file)
    assert list(found["dst_ip"]) == ["10.96.0.1", "fd00:10:96::1", "10.96.0.1"]
    assert list(found["reply_src_ip"]) == ["10.244.1.7", "fd00:10:244:1::", "10.244.1.7"]
    assert set(found["reply_src_port"]) == {8080}
    assert set(found["event"]) == {"new"}


def test_a_recording_that_was_cut_off_loses_its_last_record_only(tmp_path: Path) -> None:
    file = tmp_path / "entries"
    file.write_bytes(header(("n1",)) + record(5, 0, ctnetlink.NEW, DNAT) * 2 + b"\0" * 7)
    assert len(read_entries(file)) == 2


def test_a_recording_of_nothing_has_its_columns(tmp_path: Path) -> None:
    file = tmp_path / "entries"
    file.write_bytes(header(()))
    found = read_entries(file)
    assert found.empty
    assert list(found.columns) == list(COLUMNS)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"nonsense\n", b"[]\n", b'{"nodes": []}'])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "entries"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="not a recording"):
        read_entries(file)


@pytest.mark.parametrize(
    ("fields", "pick"),
    [
        (DNAT, (3, 6, "10.96.0.1:80", "10.244.1.7:8080")),
        (
            (
                bytes(15) + b"\5",
                bytes(15) + b"\1",
                17,
                b"\x80\0",
                b"\0\x35",
                bytes(15) + b"\7",
                bytes(15) + b"\5",
                17,
                b"\x14\xe9",
                b"\x80\0",
            ),
            (3, 17, "[::1]:53", "[::7]:5353"),
        ),
        ((*DNAT[:5], DNAT[1], DNAT[0], 6, DNAT[4], DNAT[3]), None),
    ],
    ids=["a service's address", "of IPv6", "nobody was picked"],
)
def test_whom_a_node_picked(
    fields: ctnetlink.Fields, pick: tuple[int, int, str, str] | None
) -> None:
    found = pick_of(record(1, 3, ctnetlink.NEW, fields))
    assert (spelled_pick(found) if found else None) == pick


def test_connections_to_one_endpoint_are_one_pick() -> None:
    other_client: ctnetlink.Fields = (b"\n\xf4\0\6", DNAT[1], 6, b"\1\1", *DNAT[4:])
    first = pick_of(record(1, 3, ctnetlink.NEW, DNAT))
    assert pick_of(record(2, 3, ctnetlink.NEW, other_client)) == first
    assert pick_of(record(1, 4, ctnetlink.NEW, DNAT)) != first
