"""What clients accept and send."""

from __future__ import annotations

import pytest

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.negotiation import (
    Form,
    Shape,
    body_type,
    discovery_version,
    form,
    patch_type,
)

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
OLD_TABLE = "application/json;as=Table;v=v1beta1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Form()),
        ("*/*", Form()),
        ("application/json", Form()),
        ("application/vnd.kubernetes.protobuf,application/json", Form()),
        (f"{TABLE},{OLD_TABLE},application/json", Form(Shape.TABLE)),
        (OLD_TABLE, Form(Shape.TABLE, "v1beta1")),
        (
            f"application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,{TABLE}",
            Form(Shape.TABLE),
        ),
        (METADATA, Form(Shape.METADATA)),
        (METADATA.replace("Metadata", "MetadataList"), Form(Shape.METADATA)),
        (f"application/json;q=0.5, {METADATA}", Form(Shape.METADATA)),
    ],
)
def test_form(accept: str, expected: Form) -> None:
    assert form(accept) == expected


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "application/json;as=Picture;v=v1;g=meta.k8s.io",
        "application/json;as=Table;v=v7;g=meta.k8s.io",
    ],
)
def test_what_is_not_spoken_is_not_acceptable(accept: str) -> None:
    with pytest.raises(ApiFailure) as caught:
        form(accept)
    assert (caught.value.code, caught.value.reason) == (406, "NotAcceptable")


def test_a_table_says_of_its_objects_what_is_asked_for() -> None:
    assert form(TABLE, "Object") == Form(Shape.TABLE, "v1", "Object")
    with pytest.raises(ApiFailure, match="unrecognized includeObject value"):
        form(TABLE, "Everything")


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        (f"{DISCOVERY.format('v2')},{DISCOVERY.format('v2beta1')},application/json", "v2"),
        (DISCOVERY.format("v2beta1"), "v2beta1"),
        ("application/json, */*", ""),
        ("", ""),
        (f"{DISCOVERY.format('v9')},application/json", ""),
    ],
)
def test_discovery_version(accept: str, version: str) -> None:
    assert discovery_version(accept) == version


def test_bodies_are_of_known_types() -> None:
    assert body_type("application/json; charset=utf-8") == "application/json"
    assert body_type("") == "application/json"
    for refused in ("text/plain", "application/x-www-form-urlencoded"):
        with pytest.raises(ApiFailure) as caught:
            body_type(refused)
        assert caught.value.code == 415
    assert patch_type("application/apply-patch+yaml") == "application/apply-patch+yaml"
    with pytest.raises(ApiFailure, match="merge-patch"):
        patch_type("application/json")
