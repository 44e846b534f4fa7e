"""Which endpoint is in which slot."""

from __future__ import annotations

import pytest

from testbed.edge.haproxy_text import FREE, Server
from testbed.edge.slots import slots

A, B, C = (Server(f"10.0.0.{number}", 80) for number in (1, 2, 3))
A_ENDS = Server(A.address, A.port, "drain")
TABLE = (
    ("none: room for some", (), (), (FREE, FREE)),
    ("in order", (), (A, B), (A, B)),
    ("more than there is room for", (A, FREE), (A, B, C), (A, B, C, FREE)),
    ("each stays where it is", (B, A), (A, C, B), (B, A, C, FREE)),
    ("one that is gone leaves its slot free", (A, B), (B,), (FREE, B)),
    ("a new one takes it", (A, B), (B, C), (C, B)),
    ("one that ends keeps it", (A, B), (A_ENDS, B, C), (A_ENDS, B, C, FREE)),
    ("one that ends takes none", (B, FREE), (A_ENDS, B), (B, FREE)),
    ("there are never fewer", (A, B, C, FREE), (A,), (A, FREE, FREE, FREE)),
)


@pytest.mark.parametrize(
    ("have", "endpoints", "want"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE]
)
def test_slots(
    have: tuple[Server, ...], endpoints: tuple[Server, ...], want: tuple[Server, ...]
) -> None:
    assert slots(have, endpoints, 2) == want
    assert slots(want, endpoints, 2) == want
