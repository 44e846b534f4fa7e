"""A stock kubectl reads OpenAPI's documents: version 2 as protobuf before 1.27, version 3 since."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from testbed.apiserver import schema
from testbed.apiserver.resources import RESOURCES, Resource
from tests.lab.kubectl import Kubectl
from tests.unit.apiserver.served import Api

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """At a server that has no lab behind it."""
    path = tmp_path_factory.mktemp("explain") / "config"
    with Api(is_open=True) as api:
        config = {
            "clusters": [{"name": "a", "cluster": {"server": api.url}}],
            "contexts": [{"name": "a", "context": {"cluster": "a"}}],
            "current-context": "a",
        }
        path.write_text(json.dumps(config), encoding="utf-8")
        yield Kubectl(path)


@pytest.mark.parametrize(
    "resource",
    [one for one in RESOURCES if "list" in one.verbs],
    ids=lambda one: f"{one.plural}.{one.group}",
)
def test_every_kind_is_explained(kubectl: Kubectl, resource: Resource) -> None:
    said = kubectl("explain", resource.plural, f"--api-version={resource.group_version}")
    lines = [line.split() for line in said.splitlines()]
    assert ["KIND:", resource.kind] in lines
    name = schema.served().of(resource.group, resource.version, resource.kind)
    assert name is not None
    wanted = schema.served().schemas[name]["properties"]
    assert wanted.keys() <= {words[0] for words in lines if len(words) > 1}


def test_a_field_deep_down(kubectl: Kubectl) -> None:
    said = kubectl(
        "explain", "deployment.spec.template.spec.containers.readinessProbe.httpGet.port"
    )
    assert "IntOrString" in said or "<string>" in said
    assert "Number must be in the range 1 to 65535" in " ".join(said.split())


def test_a_field_that_there_is_not(kubectl: Kubectl) -> None:
    assert 'field "colour" does not exist' in kubectl.refused("explain", "service.spec.colour")


def test_a_manifest_that_is_checked_before_it_is_sent(kubectl: Kubectl) -> None:
    """An old kubectl checks by the schema; a new one leaves it to the server, which must say that it does."""
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a"},
        "spec": {"colour": "red"},
    }
    said = kubectl.refused("create", "-f", "-", stdin=json.dumps(body))
    if kubectl.version < (1, 27):
        assert 'unknown field "colour" in io.k8s.api.core.v1.ServiceSpec' in said
    else:
        assert "read-only" in said
