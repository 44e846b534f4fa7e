"""Whoever asks for what is deprecated is told so."""

from __future__ import annotations

import pytest

from .served import Api

_SAID = '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'


@pytest.mark.parametrize(
    ("path", "warnings"),
    [
        ("/api/v1/endpoints", [_SAID]),
        ("/api/v1/namespaces/default/endpoints/none", [_SAID]),
        ("/apis/discovery.k8s.io/v1/endpointslices", []),
        ("/api/v1/services", []),
    ],
)
def test_endpoints_are_deprecated(path: str, warnings: list[str]) -> None:
    with Api() as api:
        assert api.ask(path).headers.get_all("Warning", []) == warnings
