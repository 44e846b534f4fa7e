"""What the model has no field for comes back as it was, whatever changes beside it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.model.remainder import merged, remainder

SCALARS = st.booleans() | st.integers(0, 9) | st.text("ab", max_size=2)
NAMED = st.dictionaries(st.sampled_from("pqr"), SCALARS)
ITEMS = st.dictionaries(st.sampled_from("abc"), NAMED, min_size=1, max_size=3).map(
    lambda items: [{"name": name, **item} for name, item in items.items()]
)
DOCUMENTS = st.dictionaries(
    st.sampled_from("xyz"),
    st.recursive(
        SCALARS | ITEMS,
        lambda inner: st.dictionaries(st.sampled_from("uvw"), inner, min_size=1, max_size=3),
        max_leaves=8,
    ),
)


@st.composite
def documents_and_parts(draw: st.DrawFn) -> tuple[Any, Any]:
    document = draw(DOCUMENTS)
    return document, _part(document, draw)


def _part(value: Any, draw: st.DrawFn) -> Any:
    """Some of its keys, as a reader that knows these would write it again."""
    if isinstance(value, dict):
        return {
            key: _part(inner, draw)
            for key, inner in value.items()
            if key == "name" or draw(st.booleans())
        }
    if isinstance(value, list):
        return [_part(item, draw) for item in value]
    return value


@given(documents_and_parts())
def test_what_is_known_and_what_is_left_over_are_the_whole(pair: tuple[Any, Any]) -> None:
    document, known = pair
    assert merged(known, remainder(document, known)) == document


@given(DOCUMENTS)
def test_of_what_is_all_known_nothing_is_left_over(document: Any) -> None:
    assert remainder(document, document) == {}


@pytest.mark.parametrize(
    ("document", "known", "later", "then"),
    [
        pytest.param(
            {"spec": {"a": 1, "b": 2}}, {"spec": {"a": 1}}, {"spec": {"a": 3}},
            {"spec": {"a": 3, "b": 2}}, id="a field that changed",
        ),
        pytest.param(
            {"spec": {"a": 1, "b": 2}}, {"spec": {"a": 1}}, {"spec": {}},
            {"spec": {"b": 2}}, id="a field that went",
        ),
        pytest.param(
            {"c": [{"name": "p", "env": 1}, {"name": "q", "env": 2}]},
            {"c": [{"name": "p"}, {"name": "q"}]},
            {"c": [{"name": "q"}, {"name": "p", "ready": True}]},
            {"c": [{"name": "q", "env": 2}, {"name": "p", "ready": True, "env": 1}]},
            id="items that changed places",
        ),
        pytest.param(
            {"c": [{"type": "Ready", "at": 1}, {"type": "Mine", "at": 2}]},
            {"c": [{"type": "Ready"}]},
            {"c": [{"type": "Ready", "status": "True"}]},
            {"c": [{"type": "Ready", "status": "True", "at": 1}, {"type": "Mine", "at": 2}]},
            id="an item of which nothing is known",
        ),
        pytest.param(
            {"c": [{"containerPort": 53, "hostPort": 1}, {"containerPort": 53, "hostPort": 2}]},
            {"c": [{"containerPort": 53}, {"containerPort": 53}]},
            {"c": [{"containerPort": 53}, {"containerPort": 54}]},
            {"c": [{"containerPort": 53, "hostPort": 1}, {"containerPort": 54, "hostPort": 2}]},
            id="items that nothing tells apart",
        ),
    ],
)  # fmt: skip
def test_what_changed_meanwhile_stays_changed(
    document: Any, known: Any, later: Any, then: Any
) -> None:
    assert merged(later, remainder(document, known)) == then
