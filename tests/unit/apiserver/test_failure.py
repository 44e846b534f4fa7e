"""Failures read as Kubernetes' own: clients match on reason, details and wording."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from testbed.apiserver import failure
from testbed.apiserver.failure import ApiFailure, Cause


@dataclass(frozen=True)
class Row:
    group: str
    plural: str
    kind: str


PODS = Row("", "pods", "Pod")
DEPLOYMENTS = Row("apps", "deployments", "Deployment")
PORT = Cause("FieldValueInvalid", "Invalid value: 0: must be between 1 and 65535", "spec.port")
NAME = Cause("FieldValueRequired", "Required value", "metadata.name")


@pytest.mark.parametrize(
    ("made", "code", "reason", "message"),
    [
        (failure.not_found(PODS, "a"), 404, "NotFound", 'pods "a" not found'),
        (
            *(failure.not_found(DEPLOYMENTS, "a"), 404, "NotFound"),
            'deployments.apps "a" not found',
        ),
        (failure.already_exists(PODS, "a"), 409, "AlreadyExists", 'pods "a" already exists'),
        (
            *(failure.conflict(PODS, "a"), 409, "Conflict"),
            'Operation cannot be fulfilled on pods "a": the object has been modified; please '
            "apply your changes to the latest version and try again",
        ),
        (
            *(failure.forbidden(PODS, "a", "no"), 403, "Forbidden"),
            'pods "a" is forbidden: no',
        ),
        (
            *(failure.invalid(DEPLOYMENTS, "a", [NAME]), 422, "Invalid"),
            'Deployment.apps "a" is invalid: metadata.name: Required value',
        ),
        (
            *(failure.invalid(PODS, "a", [NAME, PORT, NAME]), 422, "Invalid"),
            'Pod "a" is invalid: [metadata.name: Required value, '
            "spec.port: Invalid value: 0: must be between 1 and 65535]",
        ),
        (
            *(failure.no_such_path(), 404, "NotFound"),
            "the server could not find the requested resource",
        ),
    ],
)
def test_wording(made: ApiFailure, code: int, reason: str, message: str) -> None:
    status = made.status()
    assert (status["code"], status["reason"], status["message"]) == (code, reason, message)
    assert (status["kind"], status["status"]) == ("Status", "Failure")


def test_details_name_the_resource_and_every_cause() -> None:
    details = failure.invalid(DEPLOYMENTS, "web", [PORT]).status()["details"]
    assert details == {
        "name": "web",
        "group": "apps",
        "kind": "Deployment",
        "causes": [{"reason": PORT.reason, "message": PORT.message, "field": PORT.field}],
    }
    assert failure.not_found(PODS, "a").status()["details"] == {"name": "a", "kind": "pods"}


def test_a_client_that_is_to_come_back_is_told_when() -> None:
    assert failure.too_many_requests("later", 3).status()["details"] == {"retryAfterSeconds": 3}


def test_success_says_what_is_gone() -> None:
    status = failure.success(DEPLOYMENTS, "web", "u")
    assert status["status"] == "Success"
    assert status["details"] == {"name": "web", "group": "apps", "kind": "deployments", "uid": "u"}
