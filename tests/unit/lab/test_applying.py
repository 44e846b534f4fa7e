"""`testbed apply`: manifests -> what to ask the API for, and its answers -> rows."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.lab.api_client import Answer, ApiClient
from testbed.lab.applying import Applied, Wanted, apply, wanted
from testbed.model.document import documents

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  ports:\n  - port: 70000\n"


def read(text: str, namespace: str = "default") -> list[Wanted]:
    found, problems = wanted(documents(text, "f.yaml"), namespace)
    assert problems == ()
    return found


def complaint(text: str) -> str:
    _, problems = wanted(documents(text, "f.yaml"), "default")
    assert len(problems) == 1
    return str(problems[0])


class Answering(ApiClient):
    """An API that says what it is told to."""

    def __init__(self, before: Answer, after: Answer) -> None:
        self.asked: list[tuple[str, str]] = []
        self._before, self._after = before, after

    def get(self, path: str) -> Answer:
        self.asked.append(("GET", path))
        return self._before

    def patch(self, path: str, content_type: str, body: dict[str, Any]) -> Answer:
        self.asked.append(("PATCH", path))
        return self._after


def answer(code: int, **body: Any) -> Answer:
    return Answer(code, body, ())


def outcome(before: Answer, after: Answer) -> Applied:
    (row,) = apply(Answering(before, after), read(SERVICE), dry_run=False)
    return row


@pytest.mark.parametrize(
    ("text", "namespace", "path", "label"),
    [
        (SERVICE, "a", "/api/v1/namespaces/a/services/web", "service/web"),
        (
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: b}}",
            "a",
            "/apis/apps/v1/namespaces/b/deployments/web",
            "deployment.apps/web",
        ),
        (
            "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}",
            "a",
            "/api/v1/namespaces/shop",
            "namespace/shop",
        ),
    ],
)
def test_an_object_has_its_place(text: str, namespace: str, path: str, label: str) -> None:
    (one,) = read(text, namespace)
    assert (one.path, one.label) == (path, label)


def test_lists_are_their_items_and_namespaces_come_first() -> None:
    text = f"""
apiVersion: v1
kind: List
items:
- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}}}
- {{apiVersion: v1, kind: Namespace, metadata: {{name: shop}}}}
---
{SERVICE}
"""
    assert [one.label for one in read(text)] == ["namespace/shop", "configmap/a", "service/web"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "f.yaml:1:1: a manifest is a mapping, not a list (begin with apiVersion:)"),
        ("{apiVersion: v1, kind: Servcie, metadata: {name: a}}", "did you mean Service?"),
        ("{apiVersion: v1, kind: Deployment, metadata: {name: a}}", "write apps/v1"),
        ("{apiVersion: v1, kind: Pod}", "metadata.name is missing"),
        ("{apiVersion: v1, kind: Pod, metadata: {generateName: a-}}", "kubectl create"),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: 1}}",
            "f.yaml:1:60: metadata.namespace",
        ),
        ("{kind: Pod, metadata: {name: a}}", "apiVersion is missing (write v1)"),
        ("{metadata: {name: a}}", "kind is missing"),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, kind: Pod}",
            "f.yaml:1:50: kind: key 'kind' is here twice",
        ),
    ],
)
def test_what_is_no_manifest_is_said_with_its_line(text: str, said: str) -> None:
    assert said in complaint(text)


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        (answer(404), answer(201, spec={"a": 1}), "created"),
        (answer(200, spec={"a": 1}), answer(200, spec={"a": 2}), "configured"),
        (
            answer(200, spec={"a": 1}, status={"b": 1}, metadata={"resourceVersion": "1"}),
            answer(200, spec={"a": 1}, metadata={"resourceVersion": "2", "managedFields": []}),
            "unchanged",
        ),
        (answer(200), answer(409, message="no"), "refused"),
    ],
)
def test_what_became_of_it(before: Answer, after: Answer, result: str) -> None:
    assert outcome(before, after).result == result


def test_a_cause_is_shown_where_it_is_in_the_file() -> None:
    causes = [{"field": "spec.ports[0].port", "message": "must be between 1 and 65535"}]
    row = outcome(answer(404), answer(422, message="invalid", details={"causes": causes}))
    assert row.invalid
    assert str(row.problems[0]) == ("f.yaml:6:11: spec.ports[0].port: must be between 1 and 65535")


def test_a_refusal_without_causes_is_the_servers_sentence() -> None:
    row = outcome(answer(404), answer(404, message='namespaces "shop" not found'))
    assert not row.invalid
    assert str(row.problems[0]) == 'f.yaml:1:1: namespaces "shop" not found'


def test_a_file_mode_is_octal_as_kubectl_reads_it() -> None:
    (one,) = read("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {mode: 0400}}")
    assert one.manifest["spec"] == {"mode": 0o400}


def test_a_dry_run_asks_for_one() -> None:
    client = Answering(answer(404), answer(201))
    list(apply(client, read(SERVICE), dry_run=True))
    assert client.asked[1][1].endswith("&force=true&dryRun=All")
