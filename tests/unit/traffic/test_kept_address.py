"""How long a load dials an address before it asks for the name again."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from testbed.clock import now_ns
from testbed.traffic.channel import Channel
from testbed.traffic.generator import Load
from testbed.traffic.samples import SampleFile
from testbed.traffic.spec import LoadSpec

TTL_S = 600
DAY_NS = 86_400_000_000_000


@pytest.mark.parametrize(
    ("resolve", "kept_ns"), [("each", None), ("ttl", TTL_S * 1_000_000_000), ("once", DAY_NS)]
)
def test_an_address_is_kept_for_as_long_as_the_load_says(
    tmp_path: Path, resolve: str, kept_ns: int | None
) -> None:
    ours, theirs = socket.socketpair()
    spec = LoadSpec(source="client", url="http://web", rate_rps=1.0, resolve=resolve)
    with ours, theirs:
        samples = SampleFile(tmp_path / "samples")
        load = Load(spec, "nameserver 127.0.0.1\n", samples, Channel(theirs))
        before_ns = now_ns()
        load.keep_address("10.96.0.3", TTL_S)
        samples.close()
        assert load.address == (None if kept_ns is None else "10.96.0.3")
        if resolve == "ttl":
            assert kept_ns is not None
            assert before_ns + kept_ns <= load.address_until_ns <= now_ns() + kept_ns
        else:
            assert load.address_until_ns > now_ns() + DAY_NS
