"""What Kubernetes' types say of a client's object: types, unknown fields, defaults."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver import schema
from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.resources import RESOURCES, Resource

from .objects import changed, resource_of

_RESOURCES = {(one.group, one.kind): one for one in RESOURCES}
SERVICE = _RESOURCES["", "Service"]
_LIMIT = "spec/containers/0/resources/limits/memory"


def _service(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: f"{one.group}/{one.kind}")
def test_everything_served_has_a_schema(resource: Resource) -> None:
    assert schema.served().of(resource.group, resource.version, resource.kind)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param(
            {"ports": [{"port": "http"}]},
            "cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32",
            id="a text for a number",
        ),
        pytest.param(
            {"ports": [{"port": 2**31}]},
            "cannot unmarshal number 2147483648 into Go struct field "
            "ServicePort.spec.ports.port of type int32",
            id="a number too large for its type",
        ),
        pytest.param(
            {"ports": {"port": 80}},
            "cannot unmarshal object into Go struct field ServiceSpec.spec.ports "
            "of type []v1.ServicePort",
            id="a mapping for a list",
        ),
        pytest.param(
            {"selector": {"app": 1}},
            "cannot unmarshal number into Go struct field ServiceSpec.spec.selector of type string",
            id="a number for a label",
        ),
        pytest.param(
            {"publishNotReadyAddresses": "yes"},
            "cannot unmarshal string into Go struct field "
            "ServiceSpec.spec.publishNotReadyAddresses of type bool",
            id="a text for a boolean",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_in_gos_words(spec: Any, said: str) -> None:
    with pytest.raises(ApiFailure) as failure:
        schema.pruned(_service(**spec), SERVICE)
    assert failure.value.code == 400
    begin = 'Service in version "v1" cannot be handled as a Service: json: '
    assert failure.value.message == begin + said


def test_unknown_fields_are_dropped_and_told() -> None:
    manifest = _service(ports=[{"port": 80, "targetport": 8080}], colour="red")
    body, warnings = schema.pruned(manifest, SERVICE, "Warn")
    assert body["spec"] == {"ports": [{"port": 80}]}
    assert warnings == (
        'unknown field "spec.ports[0].targetport"',
        'unknown field "spec.colour"',
    )
    assert schema.pruned(manifest, SERVICE, "Ignore")[1] == ()


def test_strict_refuses_unknown_fields() -> None:
    with pytest.raises(ApiFailure) as failure:
        schema.pruned(_service(colour="red"), SERVICE, "Strict")
    assert failure.value.message.endswith('strict decoding error: unknown field "spec.colour"')


def test_null_is_as_if_it_were_not_there() -> None:
    body, warnings = schema.pruned(_service(ports=None, selector={"app": None}), SERVICE)
    assert (body["spec"], warnings) == ({"selector": {}}, ())


@pytest.mark.parametrize(
    ("kind", "path", "value", "said"),
    [
        ("Secret", "data", {"a": "c3dvcmRm\naXNo\n"}, ""),
        ("Secret", "data", {"a": "c3d*"}, "illegal base64 data at input byte 3"),
        ("Lease", "spec/renewTime", "2026-01-01T00:00:00.123456Z", ""),
        ("Lease", "spec/renewTime", "2026-01-01T00:00:00.123456789+01:00", ""),
        ("Lease", "spec/renewTime", "2026-01-01", 'parsing time "2026-01-01" as '),
        ("Lease", "spec/renewTime", "20260101T000000Z", 'parsing time "20260101T000000Z" as '),
        ("Lease", "spec/renewTime", "2026-13-01T00:00:00Z", "parsing time "),
        ("Pod", _LIMIT, "1.5Gi", ""),
        ("Pod", _LIMIT, 2, ""),
        ("Pod", _LIMIT, "1e3", ""),
        ("Pod", _LIMIT, "much", "quantities must match the regular expression "),
        ("Pod", _LIMIT, True, "quantities must match the regular expression "),
    ],
)
def test_texts_that_mean_more(kind: str, path: str, value: Any, said: str) -> None:
    manifest = changed(kind, path, value)
    if not said:
        assert schema.pruned(manifest, resource_of(manifest), "Strict")[1] == ()
        return
    with pytest.raises(ApiFailure) as failure:
        schema.pruned(manifest, resource_of(manifest))
    assert said in failure.value.message
