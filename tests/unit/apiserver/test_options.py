"""Options of writes, from queries and bodies."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.options import DeleteOptions, WriteOptions, delete_options, write_options


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, WriteOptions(user_agent="kubectl")),
        ({"dryRun": "All"}, WriteOptions(dry_run=True, user_agent="kubectl")),
        ({"fieldManager": "me"}, WriteOptions(field_manager="me", user_agent="kubectl")),
        (
            {"fieldValidation": "Strict", "force": "true"},
            WriteOptions(user_agent="kubectl", field_validation="Strict", force=True),
        ),
        ({"force": "false"}, WriteOptions(user_agent="kubectl", force=False)),
    ],
)
def test_write_options(query: dict[str, str], expected: WriteOptions) -> None:
    assert write_options(query, "PatchOptions", "kubectl/v1.32 (linux)") == expected


def test_a_manager_is_the_clients_program_where_it_says_no_other() -> None:
    assert write_options({}, "PatchOptions", "kubectl/v1.32 (linux)").manager == "kubectl"
    assert write_options({"fieldManager": "me"}, "PatchOptions", "kubectl/v1").manager == "me"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"dryRun": "Some"}, "dryRun"),
        ({"fieldValidation": "Loose"}, "fieldValidation"),
        ({"fieldManager": "a" * 129}, "fieldManager"),
        ({"fieldManager": "a\n"}, "fieldManager"),
    ],
)
def test_write_options_that_are_none(query: dict[str, str], field: str) -> None:
    with pytest.raises(ApiFailure) as caught:
        write_options(query, "PatchOptions")
    assert caught.value.code == 422
    assert caught.value.causes[0].field == field
    assert caught.value.message.startswith('PatchOptions.meta.k8s.io "" is invalid: ')


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ({}, None, DeleteOptions()),
        ({"gracePeriodSeconds": "0"}, None, DeleteOptions(grace_period_s=0)),
        ({"gracePeriodSeconds": "-1"}, None, DeleteOptions(grace_period_s=1)),
        ({"propagationPolicy": "Orphan"}, None, DeleteOptions(propagation="Orphan")),
        ({"dryRun": "All"}, None, DeleteOptions(dry_run=True)),
        ({"orphanDependents": "true"}, None, DeleteOptions(propagation="Orphan")),
        ({}, {"orphanDependents": False}, DeleteOptions(propagation="Background")),
        ({}, {"dryRun": ["All"]}, DeleteOptions(dry_run=True)),
        (
            {"gracePeriodSeconds": "5"},
            {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 7},
            DeleteOptions(grace_period_s=7),
        ),
        (
            {},
            {"preconditions": {"uid": "u", "resourceVersion": "3"}},
            DeleteOptions(uid="u", resource_version="3"),
        ),
    ],
)
def test_delete_options(query: dict[str, str], body: Any, expected: DeleteOptions) -> None:
    assert delete_options(query, body) == expected


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ({"propagationPolicy": "Sideways"}, None, 422),
        ({"gracePeriodSeconds": "soon"}, None, 422),
        ({}, {"propagationPolicy": "Orphan", "orphanDependents": True}, 422),
        ({}, {"dryRun": ["Some"]}, 422),
        ({}, {"kind": "Pod"}, 400),
        ({}, {"preconditions": 3}, 400),
    ],
)
def test_delete_options_that_are_none(query: dict[str, str], body: Any, code: int) -> None:
    with pytest.raises(ApiFailure) as caught:
        delete_options(query, body)
    assert caught.value.code == code
