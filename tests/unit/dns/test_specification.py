"""The specification's rows through the server's sockets, read by dnspython."""

from __future__ import annotations

from collections.abc import Iterator

import dns.query
import dns.rcode
import pytest

from tests.specification.rows import ROWS, Row, objects
from tests.specification.spoken import expected, query, said
from tests.unit.dns.running import LOOPBACK, RunningServer, running_server

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server that has the cluster's names."""
    with running_server() as server:
        assert unsynced(server)
        server.sync(*objects())
        server.await_sync()
        assert not unsynced(server)
        yield server.port


def unsynced(server: RunningServer) -> bool:
    row = next(iter(ROWS.values()))
    response = dns.query.udp(query(row), LOOPBACK, PATIENCE_S, server.port)
    return response.rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_over_udp(port: int, row: Row) -> None:
    assert said(dns.query.udp(query(row), LOOPBACK, PATIENCE_S, port)) == expected(row)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_over_tcp(port: int, row: Row) -> None:
    assert said(dns.query.tcp(query(row), LOOPBACK, PATIENCE_S, port)) == expected(row)
