"""The client's half of HTTP: framing, and who answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.traffic.echo_protocol import Identity, reply
from testbed.traffic.exchange import Answer, Exchange
from testbed.traffic.http import (
    MalformedResponseError,
    Response,
    answering_pod,
    encode_request,
    parse_response,
)
from testbed.traffic.spec import parse_url

OK = b"HTTP/1.1 200 OK\r\n"

WHOLE = [
    ("a length", OK + b"Content-Length: 3\r\n\r\nweb", Response(200, b"web", True)),
    (
        "asked to close",
        OK + b"connection: Close\r\nContent-Length: 0\r\n\r\n",
        Response(200, b"", False),
    ),
    ("1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", Response(200, b"x", False)),
    ("no body", b"HTTP/1.1 204 No Content\r\n\r\n", Response(204, b"", True)),
    ("no reason", b"HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n", Response(503, b"", True)),
    (
        "chunks",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nweb\r\n2;x=y\r\n-0\r\n0\r\n\r\n",
        Response(200, b"web-0", True),
    ),
    (
        "continue first",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx",
        Response(200, b"x", True),
    ),
]


@pytest.mark.parametrize(("name", "data", "response"), WHOLE)
def test_whole_answers_and_all_their_beginnings(name: str, data: bytes, response: Response) -> None:
    assert parse_response(data) == response, name
    for length in range(len(data)):
        assert parse_response(data[:length]) is None, (name, data[:length])
        assert parse_response(data[:length], eof=True) is None, (name, data[:length])


def test_without_a_length_the_end_is_the_end() -> None:
    data = OK + b"\r\nweb-0"
    assert parse_response(data) is None
    assert parse_response(data, eof=True) == Response(200, b"web-0", keep=False)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        OK + b"Content-Length: many\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        parse_response(data)


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_an_answer_or_malformed(data: bytes, eof: bool) -> None:
    for prefix in (b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n"):
        try:
            response = parse_response(prefix + data, eof)
        except MalformedResponseError:
            continue
        assert response is None or response.status >= 100


@pytest.mark.parametrize(
    ("path", "body", "pod"),
    [
        ("/hostname", b"web-0", "web-0"),
        ("/hostname?x=1", b"web-0\n", "web-0"),
        ("/", b'{"pod": "web-1", "hostname": "x"}', "web-1"),
        ("/info", b'{"hostname": "web-2"}', "web-2"),
        ("/", b'{"broken', ""),
        ("/clientip", b"10.0.0.1:5", ""),
    ],
)
def test_who_answered(path: str, body: bytes, pod: str) -> None:
    assert answering_pod(path, body) == pod


def test_the_last_request_says_so() -> None:
    assert b"Connection: close\r\n" in encode_request("/", "web", close=True)
    assert b"Connection" not in encode_request("/", "web", close=False)


@pytest.mark.parametrize("path", ["/hostname", "/"])
@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_generator_and_echo_server_understand_each_other(scheme: str, path: str) -> None:
    exchange = Exchange(parse_url(f"{scheme}://web:80{path}"))
    answer = reply(Identity("web-0"), ("10.0.0.1", 5), exchange.request)
    assert not answer.close
    parsed = exchange.parse(answer.output, eof=False)
    assert isinstance(parsed, Answer)
    assert (parsed.outcome, parsed.backend, parsed.keep) == ("ok", "web-0", True)
    last = reply(Identity("web-0"), ("10.0.0.1", 5), exchange.last)
    assert last.close is (scheme == "http")
