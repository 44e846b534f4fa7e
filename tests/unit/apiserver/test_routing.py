"""Paths."""

from __future__ import annotations

import pytest

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.resources import RESOURCES
from testbed.apiserver.routing import Target, target


def told(found: Target) -> tuple[str, str, str, str, str]:
    part = found.subresource.name if found.subresource is not None else ""
    return found.resource.qualified, found.namespace, found.name, part, found.rest


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", ("pods", "", "", "", "")),
        ("/api/v1/pods/", ("pods", "", "", "", "")),
        ("/api/v1/namespaces", ("namespaces", "", "", "", "")),
        ("/api/v1/namespaces/shop", ("namespaces", "", "shop", "", "")),
        ("/api/v1/namespaces/shop/status", ("namespaces", "", "shop", "status", "")),
        ("/api/v1/namespaces/shop/finalize", ("namespaces", "", "shop", "finalize", "")),
        ("/api/v1/namespaces/shop/pods", ("pods", "shop", "", "", "")),
        ("/api/v1/namespaces/shop/pods/web-0", ("pods", "shop", "web-0", "", "")),
        ("/api/v1/namespaces/status/pods/log", ("pods", "status", "log", "", "")),
        ("/api/v1/namespaces/shop/pods/web-0/log", ("pods", "shop", "web-0", "log", "")),
        (
            "/api/v1/namespaces/shop/services/http:web:80/proxy/a/b/",
            ("services", "shop", "http:web:80", "proxy", "/a/b/"),
        ),
        ("/api/v1/namespaces/shop/pods/web-0/proxy/", ("pods", "shop", "web-0", "proxy", "/")),
        ("/api/v1/nodes/n1/status", ("nodes", "", "n1", "status", "")),
        (
            "/apis/apps/v1/namespaces/shop/deployments/web/scale",
            ("deployments.apps", "shop", "web", "scale", ""),
        ),
        (
            "/apis/networking.k8s.io/v1/ipaddresses/2001:db8::1",
            ("ipaddresses.networking.k8s.io", "", "2001:db8::1", "", ""),
        ),
        ("/api/v1/namespaces/shop/secrets/a%2Eb", ("secrets", "shop", "a.b", "", "")),
    ],
)
def test_target(path: str, expected: tuple[str, ...]) -> None:
    assert told(target(path)) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/apples",
        "/api/v2/pods",
        "/api/v1/jobs",
        "/apis/apps/v2/deployments",
        "/api/v1/pods/web-0",
        "/api/v1/namespaces/shop/nodes",
        "/api/v1/namespaces/shop/nodes/n1",
        "/api/v1/namespaces/shop/pods/web-0/eat",
        "/api/v1/namespaces/shop/pods/web-0/log/more",
        "/api/v1/nodes//status",
    ],
)
def test_a_path_that_names_nothing(path: str) -> None:
    with pytest.raises(ApiFailure, match="could not find the requested resource") as caught:
        target(path)
    assert caught.value.code == 404


def test_every_resource_is_found_where_discovery_says() -> None:
    for resource in RESOURCES:
        assert target(f"{resource.root}/{resource.plural}").resource is resource
        inside = f"{resource.root}/namespaces/x/{resource.plural}/y"
        path = inside if resource.namespaced else f"{resource.root}/{resource.plural}/y"
        for part in resource.subresources:
            assert target(f"{path}/{part.name}").subresource is part
