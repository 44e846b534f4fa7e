"""What the built-in backend answers to which bytes."""

from __future__ import annotations

import json

import pytest

from testbed.traffic.echo_protocol import MAX_BODY, MAX_HEAD, NEED_MORE, Identity, command, reply

WEB = Identity("web-0", "shop", "n1", "10.244.1.2")
CLIENT = ("10.244.2.3", 40000)


def ask(data: bytes) -> tuple[str, str]:
    """Status line and body of the answer."""
    head, _, body = reply(WEB, CLIENT, data).output.decode().partition("\r\n\r\n")
    return head.split("\r\n")[0], body


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("/hostname", 200, "web-0"),
        ("/header?key=HOST", 200, "web"),
        ("/header?key=X-Forwarded-For", 200, ""),
        ("/hostName", 200, "web-0"),
        ("/clientip", 200, "10.244.2.3:40000"),
        ("/echo?msg=two%20words", 200, "two words"),
        ("/echo?msg=", 200, ""),
        ("/echo", 200, ""),
        ("/healthz", 200, "ok"),
        ("/readyz", 200, "ok"),
        ("/nothing", 404, "no /nothing here\n"),
    ],
)
def test_paths(target: str, status: int, body: str) -> None:
    line, answer = ask(f"GET {target} HTTP/1.1\r\nHost: web\r\n\r\n".encode())
    assert line.split(" ")[1] == str(status)
    assert answer == body


def test_root_says_everything() -> None:
    _, body = ask(b"GET /?x=1 HTTP/1.1\r\nHost: web\r\n\r\n")
    assert json.loads(body) == {
        "pod": "web-0",
        "namespace": "shop",
        "node": "n1",
        "ip": "10.244.1.2",
        "client": "10.244.2.3:40000",
        "path": "/?x=1",
    }


@pytest.mark.parametrize(
    ("name", "head", "closes"),
    [
        ("1.1 stays open", b"GET /hostname HTTP/1.1\r\n\r\n", False),
        ("1.1 closes when asked", b"GET /hostname HTTP/1.1\r\nConnection: Close\r\n\r\n", True),
        ("1.0 closes", b"GET /hostname HTTP/1.0\r\n\r\n", True),
        (
            "1.0 stays when asked",
            b"GET /hostname HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            False,
        ),
    ],
)
def test_who_closes(name: str, head: bytes, closes: bool) -> None:
    answer = reply(WEB, CLIENT, head)
    assert answer.close is closes, name
    assert (b"Connection: close" in answer.output) is closes, name


def test_head_has_the_length_but_no_body() -> None:
    answer = reply(WEB, CLIENT, b"HEAD /hostname HTTP/1.1\r\n\r\n").output
    assert b"Content-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("no version", b"GET /\r\n\r\n", 400),
        ("another protocol", b"GET / SPDY/3\r\n\r\n", 400),
        ("a length of letters", b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
        ("a length of a thousand digits", _ := b"POST / HTTP/1.1\r\nContent-Length: "
         + b"9" * 1000 + b"\r\n\r\n", 400),
        ("chunks", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        ("a huge body", f"POST / HTTP/1.1\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n".encode(), 413),
        ("an endless head", b"GET /" + b"a" * MAX_HEAD, 431),
    ],
)  # fmt: skip
def test_what_cannot_be_framed_is_refused_and_closed(name: str, data: bytes, status: int) -> None:
    answer = reply(WEB, CLIENT, data)
    assert answer.output.split(b" ")[1] == str(status).encode(), name
    assert answer.close, name
    assert answer.consumed == len(data), name


REQUESTS = [
    b"GET /hostname HTTP/1.1\r\nHost: web\r\n\r\n",
    b"POST /echo?msg=hi HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
    b"hostname\n",
    b"echo GET me\r\n",
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_every_prefix_of_a_request_needs_more(request_: bytes) -> None:
    for length in range(len(request_)):
        assert reply(WEB, CLIENT, request_[:length]) == NEED_MORE, request_[:length]
    assert reply(WEB, CLIENT, request_).consumed == len(request_)


@pytest.mark.parametrize("first", REQUESTS)
@pytest.mark.parametrize("second", REQUESTS)
def test_pipelined_requests_are_answered_one_by_one(first: bytes, second: bytes) -> None:
    alone = reply(WEB, CLIENT, first)
    assert reply(WEB, CLIENT, first + second) == alone


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"hostname", b"web-0"),
        (b" HostName \r\n", b"web-0"),
        (b"clientip\n", b"10.244.2.3:40000"),
        (b"echo two  words", b"two  words"),
        (b"dance", b"error: unknown command; say hostname, clientip or echo MSG"),
        (b"", b"error: unknown command; say hostname, clientip or echo MSG"),
    ],
)
def test_commands_of_datagrams_and_lines(line: bytes, answer: bytes) -> None:
    assert command(WEB, CLIENT, line) == answer


def test_a_line_without_end_is_cut_off() -> None:
    answer = reply(WEB, CLIENT, b"x" * (MAX_HEAD + 1))
    assert answer.close


def test_only_answers_that_do_not_name_the_client_are_the_same_for_all() -> None:
    def same(target: str) -> bool:
        return reply(WEB, CLIENT, f"GET {target} HTTP/1.1\r\n\r\n".encode()).same_for_all

    assert same("/hostname")
    assert not same("/clientip")
    assert not same("/")
