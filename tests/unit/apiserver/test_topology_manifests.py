"""Objects of a topology that the lab only stores: checked with their lines, completed as by the API."""

from __future__ import annotations

import pytest

from testbed.apiserver.topology_manifests import completed, stored_kinds
from testbed.errors import TopologyError
from testbed.model.loader import load_text
from testbed.model.manifest import from_manifest, to_manifest
from testbed.model.topology import Topology
from tests.lab.outer import ROOT

EXAMPLES = ROOT / "docs" / "examples"


def load(*manifests: str) -> Topology:
    """A topology whose manifests are a line each, from line 4 on."""
    rows = "".join(f"- {manifest}\n" for manifest in manifests)
    text = f"name: lab\nnodes: {{n1: {{}}}}\nmanifests:\n{rows}"
    return load_text(text, "t.yaml", EXAMPLES, check=stored_kinds)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, dta: {}}",
            't.yaml:4:3: manifests[0]: ConfigMap in version "v1" cannot be handled as a ConfigMap: '
            'strict decoding error: unknown field "dta"',
        ),
        (
            "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {'a b': eA==}}",
            "t.yaml:4:69: manifests[0].data.a b: Invalid value",
        ),
        (
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, "
            "spec: {defaultBackend: {service: {name: web, port: {number: 70000}}}}}",
            "manifests[0].spec.defaultBackend.service.port.number: Invalid value: 70000",
        ),
        (
            "{apiVersion: networking.k8s.io/v1beta1, kind: Ingress, metadata: {name: a}}",
            "Ingress is in networking.k8s.io/v1, not in 'networking.k8s.io/v1beta1'",
        ),
    ],
)
def test_a_mistake_is_said_where_it_is(manifest: str, said: str) -> None:
    with pytest.raises(TopologyError) as caught:
        load(manifest)
    assert said in str(caught.value)


def test_the_examples_are_valid_in_a_topology() -> None:
    topology = load("shop.yaml", "blue-green.yaml")
    assert len(topology.manifests) == 15


def test_a_secret_is_completed_as_the_api_does_it() -> None:
    text = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}
    (item,) = completed([from_manifest({**text, "stringData": {"key": "x"}})])
    assert to_manifest(item)["data"] == {"key": "eA=="}
    assert to_manifest(item)["type"] == "Opaque"


def test_what_the_lab_acts_on_is_left_to_its_own_reader() -> None:
    service = from_manifest(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "a"},
            "spec": {"ports": [{"port": 80}]},
        }
    )
    assert completed([service])[0] is service
