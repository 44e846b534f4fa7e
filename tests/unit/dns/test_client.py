"""The resolver against a real server, and against servers that do not answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from testbed.dns.client import Resolution, main, resolve, type_asked_for
from testbed.dns.encode import encode_reply
from testbed.dns.query import Reply
from testbed.dns.search import ResolvConf, pod_resolv_conf
from testbed.dns.wire import PTR, SRV, A, Record, decode_query, encode_query
from testbed.errors import UsageError
from testbed.model.objects.metadata import Object
from testbed.model.objects.services import Service, ServicePort
from tests.unit.dns.running import LOOPBACK, RunningServer
from tests.unit.ports import free_port

POD = pod_resolv_conf("default", "cluster.local", (LOOPBACK,))
IMPATIENT = replace(POD, timeout_s=0.02)


def asked(resolution: Resolution) -> list[str]:
    return [f"{query.name} {query.type} {query.rcode}" for query in resolution.queries]


def synced(server: RunningServer, *objects: Object) -> RunningServer:
    """Return when the server answers from these objects."""
    server.sync(*objects)
    server.await_sync()
    return server


def test_a_short_name_is_found_by_the_first_domain(server: RunningServer, web: Service) -> None:
    found = resolve("web", POD, synced(server, web).port)
    assert asked(found) == [
        "web.default.svc.cluster.local A NOERROR",
        "web.default.svc.cluster.local AAAA NOERROR",
    ]
    assert [(r.type, r.ttl, r.data) for r in found.answers] == [(1, 5, "10.96.1.1")]
    assert all(query.server == LOOPBACK and query.ms > 0 for query in found.queries)


def test_a_full_name_without_final_dot_walks_the_search_list(
    server: RunningServer, web: Service
) -> None:
    name = "web.default.svc.cluster.local"
    found = resolve(name, POD, synced(server, web).port)
    assert asked(found) == [
        f"{name}.{domain}{qtype} {rcode}"
        for domain, rcode in [
            ("default.svc.cluster.local ", "NXDOMAIN"),
            ("svc.cluster.local ", "NXDOMAIN"),
            ("cluster.local ", "NXDOMAIN"),
        ]
        for qtype in ("A", "AAAA")
    ] + [f"{name} A NOERROR", f"{name} AAAA NOERROR"]
    assert found.resolved


def test_with_a_final_dot_it_is_asked_once(server: RunningServer, web: Service) -> None:
    found = resolve("web.default.svc.cluster.local.", POD, synced(server, web).port)
    assert len(found.queries) == 2
    assert found.resolved


def test_refusal_ends_it_after_both_attempts(server: RunningServer, web: Service) -> None:
    found = resolve("www.example.com.", POD, synced(server, web).port)
    assert asked(found) == ["www.example.com A REFUSED", "www.example.com AAAA REFUSED"] * 2
    assert not found.resolved


def test_a_server_without_data_yet_leads_through_the_whole_list(server: RunningServer) -> None:
    found = resolve("web", POD, server.port)
    rcodes = {query.name: query.rcode for query in found.queries}
    assert rcodes.pop("web") == "REFUSED"  # no name of the cluster: nobody is asked for it
    assert set(rcodes.values()) == {"SERVFAIL"}
    assert len(found.queries) == 4 * 2 * 2  # names, types, attempts


def test_truncated_answers_are_fetched_over_tcp(
    server: RunningServer, pets: Callable[[int], tuple[Object, ...]]
) -> None:
    found = resolve("pets", POD, synced(server, *pets(100)).port)
    assert len(found.answers) == 100


def test_nobody_listening_is_unreachable_and_ends_it() -> None:
    found = resolve("web", POD, free_port())
    assert {query.rcode for query in found.queries} == {"UNREACHABLE"}
    assert {query.name for query in found.queries} == {"web.default.svc.cluster.local"}


def test_silence_is_a_timeout_on_every_server_and_attempt() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        conf = replace(IMPATIENT, nameservers=(LOOPBACK, "127.0.0.2"))
        found = resolve("web", conf, sock.getsockname()[1])
    by_first = [query for query in found.queries if query.server == LOOPBACK]
    assert (
        asked(replace(found, queries=tuple(by_first)))
        == [
            "web.default.svc.cluster.local A TIMEOUT",
            "web.default.svc.cluster.local AAAA TIMEOUT",
        ]
        * 2
    )
    assert all(query.ms >= 20 for query in by_first)
    assert len(found.queries) == 8


def test_answers_to_other_questions_are_not_believed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        sock.settimeout(60)
        forger = Thread(target=answer_falsely_then_truly, args=(sock, 2))
        forger.start()
        found = resolve("web.", ResolvConf((LOOPBACK,)), sock.getsockname()[1])
        forger.join()
    assert [record.data for record in found.answers] == ["10.0.0.1"]
    assert asked(found) == ["web A NOERROR", "web AAAA NOERROR"]


def answer_falsely_then_truly(sock: socket.socket, count: int) -> None:
    """To each query: garbage, another id, another name, and in the end the truth."""
    for _ in range(count):
        packet, client = sock.recvfrom(512)
        query = decode_query(packet)
        lie = (Record("web", A, 5, "10.6.6.6"),)
        elsewhere = decode_query(encode_query(query.ident, "other", query.question.type))
        truth = (Record("web", A, 5, "10.0.0.1"),) if query.question.type == A else ()
        sock.sendto(packet[:5], client)
        sock.sendto(encode_reply(replace(query, ident=query.ident ^ 1), Reply(0, lie)), client)
        sock.sendto(encode_reply(elsewhere, Reply(0, lie)), client)
        sock.sendto(encode_reply(query, Reply(0, truth)), client)


def test_an_address_needs_no_query() -> None:
    found = resolve("10.96.1.1", POD, port=1)
    assert found.resolved
    assert not found.queries


@pytest.mark.parametrize("name", ["a..b", "x" * 64, "bücher"])
def test_names_that_cannot_be_asked_for_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError):
        resolve(name, POD, port=1)


def test_search_domains_that_make_a_name_too_long_are_passed_over() -> None:
    long = ".".join(["x" * 59] * 4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        found = resolve(long, replace(IMPATIENT, attempts=1), sock.getsockname()[1])
    assert {query.name for query in found.queries} == {f"{long}.cluster.local"}


def test_the_command_prints_the_documented_json(
    server: RunningServer, web: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(POD.text())
    common = ["--resolv-conf", str(file), "--port", str(synced(server, web).port), "-o", "json"]
    assert main([*common, "web"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["name"] == "web"
    assert printed["answers"] == [
        {"name": "web.default.svc.cluster.local", "type": "A", "ttl": 5, "data": "10.96.1.1"}
    ]
    assert printed["queries"][0].keys() == {"name", "type", "rcode", "server", "ms"}
    assert main([*common, "nope"]) == 1
    assert json.loads(capsys.readouterr().out)["answers"] == []
    assert main([*common, "a..b"]) == 2
    assert "empty" in capsys.readouterr().err


def test_the_search_list_follows_a_name_that_comes_first_whatever_is_said_of_it(
    server: RunningServer, web: Service
) -> None:
    found = resolve("web.default", replace(POD, ndots=1), synced(server, web).port)
    assert asked(found)[0] == "web.default A REFUSED"
    assert [record.data for record in found.answers] == ["10.96.1.1"]
    assert not resolve("web.default.", replace(POD, ndots=1), server.port).resolved


def test_records_of_one_type_are_searched_for_alone(server: RunningServer, web: Service) -> None:
    named = replace(web, ports=(ServicePort(80, "http"),))
    found = resolve("_http._tcp.web", POD, synced(server, named).port, (SRV,))
    assert asked(found) == ["_http._tcp.web.default.svc.cluster.local SRV NOERROR"]
    assert [record.data for record in found.answers] == ["0 100 80 web.default.svc.cluster.local."]
    assert found.resolved


def test_an_address_has_a_pointer(server: RunningServer, web: Service) -> None:
    found = resolve("10.96.1.1", POD, synced(server, web).port, (PTR,))
    assert (found.name, asked(found)) == ("10.96.1.1", ["1.1.96.10.in-addr.arpa PTR NOERROR"])
    assert [record.data for record in found.answers] == ["web.default.svc.cluster.local."]


def test_a_type_that_nobody_knows_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="'HTTPX' is not a record type"):
        type_asked_for("HTTPX")
