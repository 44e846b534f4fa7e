"""Watches: what is told, and what becomes of those who do not listen."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import pytest

from testbed.apiserver import watching
from testbed.apiserver.history import LENGTH
from testbed.model.documents import ConfigMap
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.store import Create, Delete, Update
from tests.unit.apiserver.served import PATIENCE_S, TOKEN, Api

MAPS = "/api/v1/namespaces/shop/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as made:
        yield made


def config_map(name: str, text: str = "", **labels: str) -> ConfigMap:
    rest = {"data": {"text": text}} if text else {}
    return ConfigMap(ObjectMeta(name, "shop", labels=labels, rest=rest))


def told(events: Iterator[Any], number: int) -> list[tuple[str, str]]:
    """Types and names of the next ones."""
    return [
        (one["type"], one["object"]["metadata"].get("name", "")) for one in islice(events, number)
    ]


def test_a_watch_without_a_version_begins_with_what_is_there(api: Api) -> None:
    api.write(Create(config_map("b")), Create(config_map("a")))
    events = api.watch(f"{MAPS}?watch=1")
    assert told(events, 2) == [("ADDED", "a"), ("ADDED", "b")]
    api.write(Delete("ConfigMap", "shop", "a"))
    (deleted,) = islice(events, 1)
    assert (deleted["type"], deleted["object"]["metadata"]["name"]) == ("DELETED", "a")
    version = str(api.store.resource_version)
    assert deleted["object"]["metadata"]["resourceVersion"] == version


def test_a_watch_from_a_version_is_told_what_it_missed(api: Api) -> None:
    version = api.store.resource_version
    api.write(Create(config_map("a")))
    api.write(Create(config_map("b")))
    assert told(api.watch(f"{MAPS}?watch=1&resourceVersion={version + 1}"), 1) == [("ADDED", "b")]
    assert told(api.watch(f"{MAPS}?watch=1&resourceVersion={version}"), 2)[0] == ("ADDED", "a")


def test_initial_events_end_with_a_bookmark_where_bookmarks_are_wanted(api: Api) -> None:
    api.write(Create(config_map("a")))
    path = f"{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    events = api.watch(f"{path}&allowWatchBookmarks=true&timeoutSeconds=30")
    assert told(events, 2) == [("ADDED", "a"), ("BOOKMARK", "")]
    plain = api.watch(f"{path}&timeoutSeconds=30")
    api.write(Create(config_map("b")))
    assert told(plain, 2) == [("ADDED", "a"), ("ADDED", "b")]
    nothing = api.watch(path.replace("Events=true", "Events=false"))
    api.write(Create(config_map("c")))
    assert told(nothing, 1) == [("ADDED", "c")]


def test_a_watch_that_wants_the_future_is_told_to_wait(api: Api) -> None:
    path = f"{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    answer = api.ask(f"{path}&resourceVersion=999999")
    assert (answer.code, answer.headers["Retry-After"]) == (504, "1")


def test_objects_come_and_go_as_selectors_take_them(api: Api) -> None:
    api.write(Create(config_map("a", colour="red")), Create(config_map("b", colour="blue")))
    events = api.watch(f"{MAPS}?watch=1&labelSelector=colour%3Dblue")
    assert told(events, 1) == [("ADDED", "b")]
    api.write(Update(config_map("b", text="new", colour="red")))
    api.write(Update(config_map("a", colour="blue")))
    gone, came = islice(events, 2)
    assert (gone["type"], gone["object"]["metadata"]["labels"]) == ("DELETED", {"colour": "blue"})
    assert (came["type"], came["object"]["metadata"]["name"]) == ("ADDED", "a")


def test_a_watch_of_one_object_or_namespace_hears_of_no_other(api: Api) -> None:
    one = api.watch(f"{MAPS}?watch=1&fieldSelector=metadata.name%3Db")
    everywhere = api.watch("/api/v1/configmaps?watch=1")
    elsewhere = ConfigMap(ObjectMeta("b", "other"))
    api.write(Create(elsewhere), Create(config_map("a")), Create(config_map("b")))
    assert told(one, 1) == [("ADDED", "b")]
    assert told(everywhere, 3) == [("ADDED", "b"), ("ADDED", "a"), ("ADDED", "b")]


def test_tables_and_metadata_are_watched(api: Api) -> None:
    rows = api.watch("/api/v1/nodes?watch=1&includeObject=None", Accept=TABLE)
    first = next(rows)
    assert first["object"]["kind"] == "Table"
    assert [row["cells"][0] for row in first["object"]["rows"]] == ["n1"]
    path = "/api/v1/nodes?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    metadata = list(islice(api.watch(f"{path}&allowWatchBookmarks=1", Accept=METADATA), 4))
    kinds = {one["object"]["kind"] for one in metadata}
    assert (kinds, metadata[-1]["type"]) == ({"PartialObjectMetadata"}, "BOOKMARK")
    annotations = metadata[-1]["object"]["metadata"]["annotations"]
    assert annotations == {"k8s.io/initial-events-end": "true"}


def test_a_watch_of_long_ago_is_told_to_list_again(api: Api) -> None:
    for metadata in ("", METADATA, TABLE):
        (event,) = api.watch("/api/v1/nodes?watch=1&resourceVersion=1", Accept=metadata or "*/*")
        assert (event["type"], event["object"]["reason"]) == ("ERROR", "Expired")


def updates(texts: Iterator[int], number: int) -> list[Update]:
    return [Update(config_map("busy", text=f"{one} {'x' * 2000}")) for one in islice(texts, number)]


def idle_watch(api: Api, version: int) -> socket.socket:
    """A watch whose client reads nothing, and has room for little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    sock.settimeout(PATIENCE_S)
    sock.connect(("127.0.0.1", api.port))
    request = f"GET {MAPS}?watch=1&resourceVersion={version} HTTP/1.1\r\nHost: x\r\n"
    sock.sendall(f"{request}Connection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    assert sock.recv(12) == b"HTTP/1.1 200"
    return sock


def test_who_does_not_read_is_dropped_and_nobody_else_misses_anything(api: Api) -> None:
    api.write(Create(config_map("busy")))
    version = api.store.resource_version
    quick = api.watch(f"{MAPS}?watch=1&resourceVersion={version}")
    with idle_watch(api, version) as slow:
        texts = count()
        for start in range(0, LENGTH + 4000, 500):
            api.write(*updates(texts, 500))
            seen = [int(one["object"]["data"]["text"].split()[0]) for one in islice(quick, 500)]
            assert seen == list(range(start, start + 500))
        events = [json.loads(line) for line in lines(slow)]
    assert len(events) < LENGTH
    assert (events[-1]["type"], events[-1]["object"]["code"]) == ("ERROR", 410)


def lines(sock: socket.socket) -> Iterator[bytes]:
    """The events of a watch until it ends, without the frames of their chunks."""
    with sock.makefile("rb") as stream:
        for line in stream:
            if line.startswith(b"{"):
                yield line


def test_who_vanishes_is_forgotten(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), PATIENCE_S) as gone:
        request = f"GET {MAPS}?watch=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        gone.sendall(request.encode())
        assert gone.recv(12) == b"HTTP/1.1 200"
    events = api.watch(f"{MAPS}?watch=1")
    for number in range(50):
        api.write(Create(config_map(f"m{number:02}")))
    assert told(events, 50) == [("ADDED", f"m{number:02}") for number in range(50)]


def test_a_watch_ends_with_its_time(api: Api) -> None:
    assert list(api.watch("/api/v1/namespaces/no/configmaps?watch=1&timeoutSeconds=1")) == []


def test_nodes_that_are_listed_and_watched_are_the_same(api: Api) -> None:
    listed = api.get("/api/v1/nodes")
    events = api.watch(
        f"/api/v1/nodes?watch=1&resourceVersion={listed['metadata']['resourceVersion']}"
    )
    node = api.store.get(Node, "", "n1")
    api.write(Update(Node(node.meta, node.internal_ips, node.pod_cidrs, unschedulable=True)))
    event = next(events)
    assert event["object"] == api.get("/api/v1/nodes/n1")
    assert event["object"]["spec"]["unschedulable"] is True


def test_an_idle_watch_is_told_how_far_it_is(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BOOKMARK_S", 0.05)
    api.write(Create(config_map("elsewhere")))
    version = api.store.resource_version
    path = f"/api/v1/nodes?watch=1&resourceVersion={version - 1}&allowWatchBookmarks=true"
    event = next(api.watch(path))
    assert (event["type"], event["object"]["kind"]) == ("BOOKMARK", "Node")
    assert event["object"]["metadata"]["resourceVersion"] == str(version)


def requests(api: Api) -> int:
    """How many are being answered."""

    async def tasks() -> int:
        return sum("RequestHandler" in repr(task.get_coro()) for task in asyncio.all_tasks())

    return int(api.call(tasks()))


def test_who_never_reads_again_is_cut_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BOOKMARK_S", 0.2)
    api.write(Create(config_map("busy")))
    with idle_watch(api, api.store.resource_version) as slow:
        texts = count()
        for _ in range(0, LENGTH + 4000, 500):
            api.write(*updates(texts, 500))
        while requests(api):
            pass
        told = list(lines(slow))
    assert b"ERROR" not in told[-1]
    assert len(told) < LENGTH
