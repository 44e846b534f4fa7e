"""Keys that are said twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.repeated import paths, repeated
from testbed.apiserver.resources import of_kind

_TWICE = b'{"metadata": {"name": "a", "name": "b"}, "spec": {"ports": [{"port": 1}, {"port": 2, "port": 3}]}}'


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"a": 1, "b": {"a": 1}}', ()),
        (b'{"a": 1, "a": 1}', ("a",)),
        (b'{"a": 1, "a": 2, "a": 3}', ("a", "a")),
        (_TWICE, ("metadata.name", "spec.ports[1].port")),
        (b"not JSON", ()),
        (b"[" * 100_000, ()),
        (b'{"a": 1, "a": ' + b"[" * 100 + b"]" * 100 + b"}", ("a",)),
        (b"\xff", ()),
    ],
)
def test_paths(body: bytes, found: tuple[str, ...]) -> None:
    assert paths(body) == found


def test_levels() -> None:
    service = of_kind("Service")
    assert repeated(_TWICE, service, "Ignore") == ()
    assert repeated(_TWICE, service, "Warn")[0] == 'duplicate field "metadata.name"'
    with pytest.raises(ApiFailure) as failure:
        repeated(_TWICE, service, "Strict")
    assert failure.value.message == (
        'Service in version "v1" cannot be handled as a Service: strict decoding error: '
        'duplicate field "metadata.name", duplicate field "spec.ports[1].port"'
    )


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_JSON)
def test_what_says_everything_once_has_none(value: Any) -> None:
    assert paths(json.dumps(value).encode()) == ()
