"""Messages in a TCP stream."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from testbed.dns.framing import Unframer, framed


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(0, 400)))
def test_messages_survive_any_cut_of_the_stream(packets: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(framed(packet) for packet in packets)
    edges = [0, *sorted(cuts), len(stream)]
    unframer = Unframer()
    found: list[bytes] = []
    for start, end in pairwise(edges):
        found += unframer.feed(stream[start : max(start, end)])
    assert found == packets
