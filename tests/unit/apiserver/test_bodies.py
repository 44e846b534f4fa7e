"""Bodies of requests."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver.bodies import decoded, mapping
from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.negotiation import JSON
from testbed.apiserver.patching import APPLY_PATCH
from testbed.apiserver.rendering import encode

YAML = "application/yaml"


@pytest.mark.parametrize(
    ("body", "media_type", "says"),
    [
        (b"", JSON, "no JSON"),
        (b"{", JSON, "no JSON"),
        (b'{"a":NaN}', JSON, "NaN is no JSON number"),
        (b"[" * 200_000, JSON, "nested too deeply"),
        (b"\xff\xfe{", JSON, "no JSON"),
        (b"a: 1", JSON, "no JSON"),
        (b"[1]", JSON, "no object, but a list"),
        (b"null", JSON, "no object, but null"),
        (b"a: [", YAML, "neither JSON nor YAML"),
        (b"a: &x [1]\nb: [*x, *x]", YAML, "aliases"),
        (b"a: .nan", YAML, "neither JSON nor YAML"),
        (b"a: !!python/object:os.system {}", YAML, "neither JSON nor YAML"),
    ],
)
def test_what_is_no_object_is_refused(body: bytes, media_type: str, says: str) -> None:
    with pytest.raises(ApiFailure, match=says) as caught:
        mapping(body, media_type)
    assert caught.value.code == 400


def test_yaml_is_read_where_it_is_announced() -> None:
    found = mapping(b"kind: Pod\nmetadata: {annotations: {day: 2026-11-21, on: 'yes'}}\n", YAML)
    annotations = {"day": "2026-11-21", "true": "yes"}  # YAML 1.1, as Kubernetes reads it
    assert found == {"kind": "Pod", "metadata": {"annotations": annotations}}
    assert decoded(b'{"a":[1]}', APPLY_PATCH) == {"a": [1]}


def test_half_a_character_is_told_as_one_that_is_missing() -> None:
    found = mapping(b'{"a":"x\\ud800y","b\\udc00":["\\ud83d\\ude00"]}', JSON)
    assert found == {"a": "x�y", "b�": ["😀"]}
    assert json.loads(encode(found)) == found


JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSONS, max_size=4))
def test_json_comes_back_as_it_was(value: dict[str, object]) -> None:
    assert mapping(encode(value), JSON) == value


@settings(deadline=None)
@given(st.binary(max_size=40), st.sampled_from([JSON, YAML, APPLY_PATCH]))
def test_any_bytes_are_read_or_refused(body: bytes, media_type: str) -> None:
    with contextlib.suppress(ApiFailure):
        decoded(body, media_type)
