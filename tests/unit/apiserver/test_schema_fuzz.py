"""Broken manifests: each is refused with a reason or taken, and never breaks the server."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver import schema
from testbed.apiserver.failure import ApiFailure

from .objects import VALID, resource_of

_WORDS = (
    "",
    "a",
    "A",
    "None",
    "IPv4",
    "TCP",
    "80",
    "25%",
    "10.0.0.1",
    "fd00::1/64",
    "..",
    "1Gi",
    "é\x00",
)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.sampled_from((0, 1, -1, 65536)),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(_WORDS),
)
_KEYS = st.one_of(
    st.sampled_from(("name", "port", "spec", "key", "a/b", "type")), st.text(max_size=4)
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=6,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key or index) of a manifest."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[Any, Any]] = []
    for key, inner in list(pairs):
        found.append((value, key))
        if isinstance(inner, dict | list):
            found += _places(inner)
    return found


@st.composite
def _broken(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A valid object, and what became of it."""
    valid = VALID[draw(st.sampled_from(sorted(VALID)))]
    manifest = deepcopy(schema.defaulted(valid))
    for _ in range(draw(st.integers(min_value=1, max_value=3))):
        places = [one for one in _places(manifest) if one[1] not in {"apiVersion", "kind"}]
        container, key = draw(st.sampled_from(places))
        container[key] = draw(_VALUES)
        if isinstance(container, dict) and draw(st.booleans()):
            container[draw(_KEYS)] = draw(_VALUES)
        manifest.update(apiVersion=valid["apiVersion"], kind=valid["kind"])
    return valid, manifest


def _failure(manifest: Any, valid: Any, level: Any, old: Any) -> ApiFailure | None:
    """Why it was refused for its shape; None: it was not, and whatever else is wrong has been told."""
    try:
        causes, warnings = schema.validate(manifest, resource_of(valid), level, old=old)
    except ApiFailure as failure:
        return failure
    assert all(cause.message and cause.reason for cause in causes)
    assert level == "Warn" or not warnings
    full = schema.defaulted(schema.pruned(manifest, resource_of(valid), "Ignore")[0])
    assert schema.defaulted(full) == full
    assert schema.defaulted(schema.lean(full)) == full, "what is stored means what was written"
    return None


@settings(max_examples=300, deadline=None)
@given(_broken(), st.sampled_from(("Strict", "Warn", "Ignore")))
def test_a_broken_manifest_is_refused_or_taken(pair: Any, level: Any) -> None:
    valid, manifest = pair
    before = deepcopy(manifest)
    for old in (None, valid):
        failure = _failure(manifest, valid, level, old)
        assert failure is None or (failure.code == 400 and failure.message)
    assert repr(manifest) == repr(before), "validating changes nothing"


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(VALID)), _VALUES)
def test_any_body_is_refused_or_taken(kind: str, body: Any) -> None:
    valid = VALID[kind]
    manifest = {**valid, **(body if isinstance(body, dict) else {"spec": body})}
    failure = _failure({**manifest, "kind": kind}, valid, "Warn", None)
    assert failure is None or failure.code == 400
