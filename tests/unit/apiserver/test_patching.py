"""Patches: JSON Patch, merge patch and strategic merge patch with all its directives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver.definitions import load
from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.patching import json_patched, merge_patched
from testbed.apiserver.shapes import Shape, shape_of
from testbed.apiserver.strategic import strategic_merged

KINDS = frozenset({("", "v1", "Service"), ("", "v1", "Pod"), ("apps", "v1", "Deployment")})


def shape(kind: str, group: str = "") -> Shape:
    return shape_of(load(KINDS), group, "v1", kind)


def pod(**spec: Any) -> dict[str, Any]:
    return {"spec": spec}


A = {"name": "a", "image": "x"}
B = {"name": "b", "image": "y"}
C = {"name": "c", "image": "z"}

STRATEGIC: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "a field is set and its neighbours stay": (
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"b": "2"}}},
        {"metadata": {"labels": {"a": "1", "b": "2"}}},
    ),
    "null removes a key": (
        {"metadata": {"labels": {"a": "1", "b": "2"}}},
        {"metadata": {"labels": {"a": None}}},
        {"metadata": {"labels": {"b": "2"}}},
    ),
    "containers merge by name": (
        pod(containers=[A, B]),
        pod(containers=[{"name": "b", "image": "new"}]),
        pod(containers=[A, {"name": "b", "image": "new"}]),
    ),
    "a new container comes after those that only the server has": (
        pod(containers=[A]),
        pod(containers=[B]),
        pod(containers=[B, A]),
    ),
    "$patch: delete takes a container away": (
        pod(containers=[A, B]),
        pod(containers=[{"name": "a", "$patch": "delete"}]),
        pod(containers=[B]),
    ),
    "$patch: replace replaces a list": (
        pod(containers=[A, B]),
        pod(containers=[C, {"$patch": "replace"}]),
        pod(containers=[C]),
    ),
    "$patch: replace replaces a mapping": (
        pod(nodeSelector={"a": "1"}, hostname="h"),
        pod(nodeSelector={"$patch": "replace", "b": "2"}),
        pod(nodeSelector={"b": "2"}, hostname="h"),
    ),
    "$setElementOrder orders what it names": (
        pod(containers=[A, B]),
        {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}},
        pod(containers=[B, A]),
    ),
    "$setElementOrder leaves what it does not name in its place": (
        pod(containers=[A, B, C]),
        {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}]}},
        pod(containers=[A, C, B]),
    ),
    "$deleteFromPrimitiveList takes single values away": (
        {"metadata": {"finalizers": ["x", "y"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}},
        {"metadata": {"finalizers": ["y"]}},
    ),
    "a list of plain values that merges has each once": (
        {"metadata": {"finalizers": ["x"]}},
        {"metadata": {"finalizers": ["y", "x"]}},
        {"metadata": {"finalizers": ["y", "x"]}},
    ),
    "a list without a strategy is replaced": (
        pod(containers=[{"name": "a", "args": ["1", "2"]}]),
        pod(containers=[{"name": "a", "args": ["3"]}]),
        pod(containers=[{"name": "a", "args": ["3"]}]),
    ),
    "$retainKeys drops what it does not name": (
        pod(volumes=[{"name": "v", "emptyDir": {}}]),
        pod(
            volumes=[
                {"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}
            ]
        ),
        pod(volumes=[{"name": "v", "configMap": {"name": "c"}}]),
    ),
    "what is new comes without directives and nulls": (
        {"spec": {}},
        pod(
            containers=[
                {"name": "a", "image": None, "$patch": "merge"},
                {"name": "b", "$patch": "delete"},
            ]
        ),
        pod(containers=[{"name": "a"}]),
    ),
}


@pytest.mark.parametrize("name", STRATEGIC)
def test_strategic_merge(name: str) -> None:
    document, patch, expected = STRATEGIC[name]
    assert strategic_merged(document, patch, shape("Pod")) == expected


def test_a_services_ports_merge_by_port_alone_the_first_of_two_being_meant() -> None:
    tcp, udp = {"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}
    patch = {"spec": {"ports": [{"port": 53, "targetPort": 5353}]}}
    merged = strategic_merged({"spec": {"ports": [tcp, udp]}}, patch, shape("Service"))
    assert merged["spec"]["ports"] == [{**tcp, "targetPort": 5353}, udp]


def test_a_template_is_reached_through_references() -> None:
    document = {"spec": {"template": {"spec": {"containers": [A, B]}}}}
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "new"}]}}}}
    merged = strategic_merged(document, patch, shape("Deployment", "apps"))
    images = [one["image"] for one in merged["spec"]["template"]["spec"]["containers"]]
    assert images == ["x", "new"]


@pytest.mark.parametrize(
    ("patch", "code", "words"),
    [
        ([], 400, "is a mapping"),
        ({"$patch": "unknown"}, 400, "unknown patch type"),
        (pod(containers=[{"image": "x"}]), 422, "does not contain declared merge key: name"),
        ({"metadata": {"$deleteFromPrimitiveList/finalizers": "x"}}, 400, "it is a list"),
        ({"spec": {"$retainKeys": ["a"], "b": 1}}, 400, "$retainKeys lacks b"),
    ],
)
def test_a_strategic_patch_that_is_none(patch: Any, code: int, words: str) -> None:
    document = {"metadata": {"finalizers": ["x"]}, **pod(containers=[A])}
    with pytest.raises(ApiFailure) as caught:
        strategic_merged(document, patch, shape("Pod"))
    assert caught.value.code == code
    assert words in caught.value.message


JSON_STEPS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "add": ([{"op": "add", "path": "/b", "value": 2}], {"a": [1], "b": 2}),
    "add to the end of a list": ([{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
    "replace": ([{"op": "replace", "path": "/a", "value": 2}], {"a": 2}),
    "remove": ([{"op": "remove", "path": "/a"}], {}),
    "move": ([{"op": "move", "from": "/a", "path": "/b"}], {"b": [1]}),
    "test and add": (
        [{"op": "test", "path": "/a/0", "value": 1}, {"op": "add", "path": "/c", "value": None}],
        {"a": [1], "c": None},
    ),
}


@pytest.mark.parametrize("name", JSON_STEPS)
def test_json_patch(name: str) -> None:
    steps, expected = JSON_STEPS[name]
    document = {"a": [1]}
    assert json_patched(document, steps) == expected
    assert document == {"a": [1]}


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"op": "add"}, 400),
        ([{"op": "fly", "path": "/a"}], 400),
        ([{"op": "add", "path": "/b"}], 400),
        ([{"op": "test", "path": "/a", "value": 2}], 422),
        ([{"op": "remove", "path": "/b"}], 422),
        ([{"op": "replace", "path": "a", "value": 2}], 422),
        ([{"op": "replace", "path": "", "value": 2}], 422),
        ([{"op": "add", "path": "/a/x/y", "value": 2}], 422),
        ([{"op": "add", "path": "/b", "value": 1}] * 10_001, 413),
    ],
)
def test_a_json_patch_that_cannot_be_done(patch: Any, code: int) -> None:
    with pytest.raises(ApiFailure) as caught:
        json_patched({"a": [1]}, patch)
    assert caught.value.code == code


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=1), inner),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text("abc", max_size=1), VALUES)


@settings(deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_a_merge_patch_done_twice_is_done_once(document: Any, patch: Any) -> None:
    once = merge_patched(document, patch)
    assert merge_patched(once, patch) == once


@settings(deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_without_schemas_a_strategic_patch_is_a_merge_patch(document: Any, patch: Any) -> None:
    plain = strategic_merged(document, patch, Shape(load(KINDS), {}))
    for key in patch:
        assert (key in plain) == (patch[key] is not None)


def outcome(patched: Callable[[], Any]) -> int:
    """200, or the code of the refusal."""
    try:
        return 200 if isinstance(patched(), dict) else 0
    except ApiFailure as failure:
        return failure.code


@settings(deadline=None)
@given(DOCUMENTS, VALUES)
def test_any_patch_is_done_or_refused(document: Any, patch: Any) -> None:
    typed = {"metadata": document, "spec": document}
    assert outcome(lambda: json_patched(document, patch)) in {200, 400, 413, 422}
    assert outcome(lambda: merge_patched(document, patch)) in {200, 400}
    assert outcome(lambda: strategic_merged(typed, patch, shape("Pod"))) in {200, 400, 422}
