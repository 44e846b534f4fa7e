"""Objects in protobuf, as kubectl sends them."""

from __future__ import annotations

import base64
import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.protobuf import decoded
from testbed.apiserver.protobuf_wire import fields, signed

DEPLOYMENT = """
azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50ErABChsKAWQSABoAIgAqADIAOABCAFoICgNhcHASAWQSggEIABIKCggKA2FwcBIBZBpq
ChoKABIAGgAiACoAMgA4AEIAWggKA2FwcBIBZBJMEi4KBW5naW54EgVuZ2lueCoAMgoKABAAGFAiACoAQgBqAHIAgAEAiAEAkAEAogEA
GgAyAEIASgBSAFgAYABoAIIBAIoBAJoBAMIBACICCgAoADgAGgwIABAAGAAgACgAOAAaACIA
"""
"""kubectl 1.32 create deployment d --image=nginx --replicas=0 --port=80"""
INGRESS = """
azhzAAofChRuZXR3b3JraW5nLms4cy5pby92MRIHSW5ncmVzcxJGChEKAWkSABoAIgAqADIAOABCABItGisKCWEuZXhhbXBsZRIeChwK
GgoCL3gSDSILCgNzdmMSBAoAEFAaBUV4YWN0GgIKABoAIgA=
"""
"""kubectl 1.32 create ingress i --rule=a.example/x=svc:80"""


def length(value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([len(value)]) + value


def part(number: int, value: bytes | int) -> bytes:
    """A field: of a small number, or of bytes."""
    return (
        bytes([number << 3, value])
        if isinstance(value, int)
        else bytes([number << 3 | 2]) + length(value)
    )


def body(api_version: bytes, kind: bytes, raw: bytes) -> bytes:
    return b"k8s\0" + part(1, part(1, api_version) + part(2, kind)) + part(2, raw)


def test_a_deployment_of_kubectl() -> None:
    found = decoded(base64.b64decode(DEPLOYMENT))
    assert (found["apiVersion"], found["kind"]) == ("apps/v1", "Deployment")
    assert found["metadata"] == {"name": "d", "labels": {"app": "d"}}
    assert found["spec"]["replicas"] == 0  # said, and not left out
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container == {
        "name": "nginx",
        "image": "nginx",
        "ports": [{"containerPort": 80}],
        "resources": {},
    }


def test_an_ingress_whose_rule_is_spelled_within_its_holder() -> None:
    found = decoded(base64.b64decode(INGRESS))
    (rule,) = found["spec"]["rules"]
    assert rule["host"] == "a.example"
    backend = {"service": {"name": "svc", "port": {"number": 80}}}
    assert rule["http"]["paths"] == [{"path": "/x", "pathType": "Exact", "backend": backend}]


@pytest.mark.parametrize(
    ("raw", "spec"),
    [
        (
            part(1, part(3, 80) + part(4, part(1, 1) + part(3, b"http"))),
            {"port": 80, "targetPort": "http"},
        ),
        (part(1, part(3, 80) + part(4, part(2, 99))), {"port": 80, "targetPort": 99}),
        (part(1, part(3, 80) + part(4, b"\x08\x00\x10\x00\x1a\x00")), {"port": 80}),
    ],
)
def test_a_port_by_its_number_or_name(raw: bytes, spec: dict[str, object]) -> None:
    found = decoded(body(b"v1", b"Service", part(2, raw)))
    assert found["spec"]["ports"] == [spec]


def test_data_times_and_quantities() -> None:
    secret = decoded(body(b"v1", b"Secret", part(2, part(1, b"k") + part(2, b"\xff\0"))))
    assert secret["data"] == {"k": "/wA="}
    lease = part(3, part(1, 60) + part(2, 0))
    found = decoded(body(b"coordination.k8s.io/v1", b"Lease", part(2, lease)))
    assert found["spec"]["acquireTime"] == "1970-01-01T00:01:00.000000Z"
    made = part(1, part(8, part(1, 60)))
    assert decoded(body(b"v1", b"Pod", made))["metadata"] == {
        "creationTimestamp": "1970-01-01T00:01:00Z"
    }


def test_options_of_a_deletion_come_in_any_group() -> None:
    found = decoded(body(b"policy/v1", b"DeleteOptions", part(1, 0) + part(4, b"Orphan")))
    assert (found["gracePeriodSeconds"], found["propagationPolicy"]) == (0, "Orphan")


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"{}", "begins with other bytes"),
        (b"k8s\0\xff", "cut off"),
        (body(b"v1", b"Nothing", b""), "Nothing of v1 is not known here: send it as JSON"),
        (body(b"v1", b"ConfigMap", part(9, 1)), "field 9 of core.v1.ConfigMap is not known here"),
        (body(b"v1", b"ConfigMap", part(1, 1)), "is a number"),
        (body(b"v1", b"ConfigMap", part(1, part(1, b"\xff"))), "utf-8"),
    ],
)
def test_what_is_no_object_is_refused(sent: bytes, says: str) -> None:
    with pytest.raises(ApiFailure, match=says) as caught:
        decoded(sent)
    assert caught.value.code == 400


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_are_refused(raw: bytes) -> None:
    with contextlib.suppress(ApiFailure):
        assert decoded(body(b"v1", b"Pod", raw))["kind"] == "Pod"


def test_negative_numbers_have_ten_bytes() -> None:
    ((number, value),) = fields(bytes([1 << 3]) + b"\xff" * 9 + b"\x01")
    assert (number, signed(value)) == (1, -1)
    assert list(fields(bytes([2 << 3 | 1]) + struct.pack("<q", 5))) == [(2, struct.pack("<q", 5))]
