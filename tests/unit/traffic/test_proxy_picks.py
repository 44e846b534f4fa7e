"""Entries of the userspace mode: whose they become once the proxy's picks are known."""

from __future__ import annotations

from typing import Any

import pandas as pd

from testbed.proxy.userspace_picks import Pick, picks, record
from testbed.traffic.conntrack import COLUMNS
from testbed.traffic.proxy_picks import with_picks

CLIENT, NODE, POD = "10.244.0.5", "172.18.0.2", "10.244.1.2"


def entry(t_ns: int, **changes: Any) -> dict[str, Any]:
    row = {
        "t_ns": t_ns,
        "node": "n1",
        "protocol": 6,
        "src_ip": CLIENT,
        "src_port": 4000,
        "dst_ip": "10.96.0.9",
        "dst_port": 80,
        "reply_src_ip": NODE,
        "reply_src_port": 13412,
        "reply_dst_ip": CLIENT,
        "reply_dst_port": 4000,
        "event": "new",
    }
    return {**row, **changes}


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows).astype(COLUMNS)


def pick(t_ns: int, own_port: int) -> Pick:
    return Pick(t_ns, 6, CLIENT, 4000, POD, 8080, NODE, own_port)


def test_an_entry_gets_the_endpoint_and_what_it_saw() -> None:
    found = with_picks(table(entry(100)), {"n1": [pick(150, 50_001)]}).iloc[0]
    assert (found["reply_src_ip"], found["reply_src_port"]) == (POD, 8080)
    assert (found["reply_dst_ip"], found["reply_dst_port"]) == (NODE, 50_001)


def test_of_a_port_that_comes_round_again_each_entry_gets_its_own_pick() -> None:
    entries = table(entry(100), entry(200, event="destroy"), entry(300))
    found = with_picks(entries, {"n1": [pick(150, 50_001), pick(350, 50_002)]})
    assert list(found["reply_dst_port"]) == [50_001, 4000, 50_002]


def test_a_udp_entry_has_a_row_for_each_time_that_it_was_picked_for() -> None:
    entries = table(entry(100, protocol=17), entry(120, src_port=4001))
    several = [pick(at, port)._replace(protocol=17) for at, port in ((150, 50_001), (900, 50_002))]
    found = with_picks(entries, {"n1": several})
    assert list(found["t_ns"]) == [100, 120, 900]
    assert list(found["reply_dst_port"]) == [50_001, 4000, 50_002]
    assert (found.dtypes == entries.dtypes).all()


def test_what_no_pick_belongs_to_stays_as_the_kernel_had_it() -> None:
    elsewhere = {"node": "n2"}, {"src_port": 4001}, {"src_ip": POD}, {"protocol": 17}
    entries = table(*(entry(100, **changes) for changes in elsewhere))
    found = with_picks(entries, {"n1": [pick(150, 50_001)]})
    pd.testing.assert_frame_equal(found, entries)
    pd.testing.assert_frame_equal(with_picks(entries, {}), entries)


def test_a_record_is_read_as_it_was_written() -> None:
    four, six = bytes([10, 0, 0, 1]), bytes.fromhex("fd00" + "00" * 13 + "07")
    data = record(7, "tcp", (four, 1), (four, 2), (four, 3)) + record(
        8, "udp", (six, 4), (six, 5), (six, 6)
    )
    assert picks(data + b"torn") == [
        Pick(7, 6, "10.0.0.1", 1, "10.0.0.1", 2, "10.0.0.1", 3),
        Pick(8, 17, "fd00::7", 4, "fd00::7", 5, "fd00::7", 6),
    ]
