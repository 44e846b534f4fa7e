"""What a load may be, and what its URL means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from testbed.errors import UsageError
from testbed.traffic.spec import LoadSpec, Target, parse_url


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://web/hostname", Target("http", "web", 80, "/hostname", "web")),
        ("http://web", Target("http", "web", 80, "/", "web")),
        ("http://10.96.0.3:80/", Target("http", "10.96.0.3", 80, "/", "10.96.0.3:80")),
        (
            "http://web.shop:8080/echo?msg=a%20b",
            Target("http", "web.shop", 8080, "/echo?msg=a%20b", "web.shop:8080"),
        ),
        ("tcp://web:80", Target("tcp", "web", 80, "hostname", "web:80")),
        ("udp://web:53/clientip", Target("udp", "web", 53, "clientip", "web:53")),
        ("udp://web:53/echo?msg=a%20b", Target("udp", "web", 53, "echo a b", "web:53")),
    ],
)
def test_urls(url: str, target: Target) -> None:
    assert parse_url(url) == target


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.96.0.3", "10.96.0.3"),
        ("web", None),
        ("[fd00::3]:8080", "fd00::3"),
        ("[FD00:0::3]", "fd00::3"),
    ],
)
def test_an_address_needs_no_resolution(host: str, address: str | None) -> None:
    assert parse_url(f"http://{host}/").address == address


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("web", "scheme"),
        ("https://web/", "scheme"),
        ("http://", "no host"),
        ("http:///path", "no host"),
        ("http://me@web/", "no host"),
        ("http://web:port/", "not a URL"),
        ("http://web:99999/", "not a URL"),
        ("http://[::1/", "not a URL"),
        ("tcp://web", "needs a port"),
        ("http://web/a b", "%-encoded"),
        ("http://wéb/", "%-encoded"),
    ],
)
def test_faulty_urls(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_url(url)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "a load needs a rate"),
        ({"rate_rps": 0}, "rate must be above 0"),
        ({"rate_rps": float("nan")}, "rate must be above 0"),
        ({"rate_rps": 1, "duration_s": float("inf")}, "duration must be above 0"),
        ({"rate_rps": 1, "timeout_s": 0}, "timeout must be above 0"),
        ({"rate_rps": 1, "reuse": 0}, "reuse must be at least 1"),
        ({"rate_rps": 1, "arrivals": "bursty"}, "arrivals is 'bursty'"),
        ({"rate_rps": 1, "close": "slam"}, "close is 'slam'"),
        ({"rate_rps": 1, "resolve": "never"}, "resolve is 'never'"),
        ({"connections": -1}, "must not be negative"),
        ({"rate_rps": 1, "duration_s": 1, "warmup_s": 1}, "leaves nothing"),
    ],
)
def test_faulty_loads(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LoadSpec("client", "http://web/", **fields)


def test_a_load_survives_its_journey() -> None:
    spec = LoadSpec("client", "http://web/", rate_rps=5, source_addresses=("10.0.0.1", "10.0.0.2"))
    assert LoadSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"source": "a", "url": "http://web/", "rate_rps": 1, "speed": 2}, "no 'speed'"),
        ({"url": "http://web/", "rate_rps": 1}, "needs 'source'"),
        ({"source": "a", "url": "http://web/", "rate_rps": "fast"}, "not a load"),
    ],
)
def test_faulty_json(data: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LoadSpec.from_json(data)
