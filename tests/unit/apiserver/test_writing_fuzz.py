"""Whatever a client sends is done or refused: no request is our bug, and none leaves half of itself behind."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.options import WriteOptions
from tests.unit.apiserver.clients import SPECS, V4, V6, WRITE, Client

WHOLE: dict[str, dict[str, Any]] = {
    **SPECS,
    "Service": {
        "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "clusterIP": "10.96.0.9",
            "clusterIPs": ["10.96.0.9", "fd00:96::9"],
            "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "PreferDualStack",
            "healthCheckNodePort": 32000,
            "selector": {"a": "b"},
            "ports": [
                {
                    "name": "a",
                    "port": 53,
                    "nodePort": 30053,
                    "protocol": "UDP",
                    "targetPort": "dns",
                },
                {"name": "b", "port": 53},
            ],
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}},
        }
    },
}
METADATA = {
    "name": "one",
    "namespace": "default",
    "labels": {"a": "b"},
    "annotations": {"a": "b"},
    "finalizers": ["example.com/a"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}],
    "managedFields": [{"manager": "m", "operation": "Apply", "fieldsV1": {"f:data": {}}}],
}
JUNK = st.sampled_from(
    [
        *(
            None,
            "",
            "x",
            "A/B",
            "-1",
            0,
            -1,
            1 << 40,
            1.5,
            True,
            [],
            {},
            [None],
            [{}],
            [3],
            {"a": None},
        ),
        *({"f:a": 3}, {"k:{": {}}, "10.96.0.300", "::", "None", "\udcff", "IPv6", "ExternalName"),
    ]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from places(inner, (*path, key))


def spoilt(document: dict[str, Any], path: tuple[Any, ...], junk: Any) -> dict[str, Any]:
    document = copy.deepcopy(document)
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = junk
    return document


def outcome(call: Any, *args: Any) -> str:
    """Why it is refused; "" where it is done."""
    try:
        call(*args)
    except ApiFailure as failure:
        return str(failure.status()["message"])
    return ""


@pytest.mark.parametrize("kind", WHOLE)
def test_anything_is_done_or_refused(kind: str) -> None:
    whole = {"kind": kind, **WHOLE[kind], "metadata": METADATA}
    if kind in {"Namespace", "Node"}:
        whole = {**whole, "metadata": {**METADATA, "namespace": ""}}

    @given(st.sampled_from(list(places(whole))), JUNK)
    @settings(max_examples=80, deadline=None)
    def holds(path: tuple[Any, ...], junk: Any) -> None:
        client = Client(V4, V6)
        body, options = spoilt(whole, path, junk), WriteOptions(field_manager="me", force=True)
        target, one = client.target(kind), client.target(kind, "one")
        writer, apply = client.writer, "application/apply-patch+yaml"
        refused = outcome(writer.create, target, body, WRITE)
        assert not refused or client.store.resource_version <= 2
        outcome(writer.update, one, body, WRITE)
        outcome(writer.patch, one, "application/merge-patch+json", body, WRITE)
        outcome(writer.patch, one, "application/strategic-merge-patch+json", body, WRITE)
        outcome(writer.patch, one, apply, body, options)
        body["metadata"] = {"name": "one"}
        outcome(writer.patch, one, apply, body, options)

    holds()
