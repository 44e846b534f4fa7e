"""SharedMap beside dict: the same contents in the same order, and differences that are all and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.shared_map import SharedMap

MANY = 1000
"""Several pages."""

Step = tuple[int, str | None]
"""A key, and its value; None: it goes."""
STEPS = st.lists(
    st.tuples(st.integers(0, 400), st.none() | st.sampled_from(["a", "b", "c"])), max_size=60
)


def of_many() -> SharedMap[int, str]:
    return SharedMap.of({key: f"{key}" for key in range(MANY)})


def after(before: SharedMap[int, str], steps: list[Step]) -> SharedMap[int, str]:
    following = before.mutate()
    for key, value in steps:
        if value is not None:
            following[key] = value
        elif following.get(key) is not None:
            del following[key]
    return following.finish()


def model_after(before: dict[int, str], steps: list[Step]) -> dict[int, str]:
    found = dict(before)
    for key, value in steps:
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


@given(st.lists(STEPS, max_size=6))
def test_a_map_is_what_a_dict_would_be_and_its_versions_stay_what_they_were(
    transactions: list[list[Step]],
) -> None:
    made, model = SharedMap.of(dict.fromkeys(range(300), "-")), dict.fromkeys(range(300), "-")
    versions = [(made, model)]
    for steps in transactions:
        made, model = after(made, steps), model_after(model, steps)
        versions.append((made, model))
    for one, dictionary in versions:
        assert list(one.items()) == list(dictionary.items())
        assert (list(one), list(one.values()), len(one)) == (
            list(dictionary),
            list(dictionary.values()),
            len(dictionary),
        )
        assert all(one[key] == value for key, value in dictionary.items())
        for other, theirs in versions:
            assert one.changed_since(other) == {
                key: (theirs.get(key), dictionary.get(key))
                for key in {**theirs, **dictionary}
                if theirs.get(key) != dictionary.get(key)
            }


def test_a_key_that_comes_back_comes_last() -> None:
    made = after(SharedMap.of({1: "a", 2: "b"}), [(1, None), (1, "c")])
    assert list(made.items()) == [(2, "b"), (1, "c")]


def test_a_missing_key_is_an_error_or_the_default() -> None:
    made: SharedMap[int, str] = SharedMap.of({1: "a"})
    assert (made.get(1, "-"), made.get(2, "-"), made.get(2)) == ("a", "-", None)
    assert 1 in made
    assert 2 not in made
    with pytest.raises(KeyError):
        made[2]
    with pytest.raises(KeyError):
        del made.mutate()[2]


def test_some_values_come_in_the_order_of_the_map() -> None:
    made = after(of_many(), [(3, None), (3, "last")])
    assert made.in_order({900, 3, 17, 130}) == ["17", "130", "900", "last"]
    with pytest.raises(KeyError):
        made.in_order([MANY])


def test_a_mutation_that_changes_nothing_ends_as_the_map_it_began_with() -> None:
    made = of_many()
    following = made.mutate()
    following[7] = made[7]
    assert following.finish() is made


def test_versions_share_all_but_one_page() -> None:
    made = of_many()
    changed = after(made, [(500, "other")])
    assert sum(a is not b for a, b in zip(made._pages, changed._pages, strict=True)) == 1
    assert changed.changed_since(made) == {500: ("500", "other")}


def test_two_maps_of_equal_values_differ_in_nothing_where_the_values_are_the_same_objects() -> None:
    values = dict(of_many().items())
    assert SharedMap.of(values).changed_since(SharedMap.of(dict(reversed(values.items())))) == {}


def test_what_has_gone_takes_no_room_for_ever() -> None:
    made: SharedMap[int, str] = SharedMap()
    for key in range(5 * MANY):
        made = after(made, [(key, "x"), (key - 3, None)])
    assert list(made) == [5 * MANY - 3, 5 * MANY - 2, 5 * MANY - 1]
    assert sum(map(len, made._pages)) < MANY
