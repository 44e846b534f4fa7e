"""How OpenAPI's documents are asked for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.openapi_answers import handlers

_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_OLD_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


def _get(url: str, accept: str = "", **headers: str) -> Any:
    handler = handlers()[url.partition("?")[0]]
    request = make_mocked_request("GET", url, {"Accept": accept, **headers})
    return asyncio.run(handler(request))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param("", "application/json", id="whoever does not say"),
        pytest.param("*/*", "application/json", id="curl"),
        pytest.param(_OLD_PROTOBUF, _PROTOBUF, id="kubectl 1.20"),
        pytest.param(
            f"{_PROTOBUF},application/json;q=0.5", _PROTOBUF, id="whoever prefers protobuf"
        ),
        pytest.param(
            "text/html,application/json", "application/json", id="whoever reads others, too"
        ),
    ],
)
def test_version_2_is_told_in_the_form_that_is_wanted(accept: str, content_type: str) -> None:
    answer = _get("/openapi/v2", accept)
    assert answer.headers["Content-Type"] == content_type
    if content_type == "application/json":
        assert json.loads(answer.body)["swagger"] == "2.0"
    else:
        assert answer.body.startswith(b"\x0a\x032.0")


@pytest.mark.parametrize("path", ["/openapi/v2", "/openapi/v3/api/v1"])
def test_a_form_that_there_is_not_is_refused(path: str) -> None:
    with pytest.raises(ApiFailure) as failure:
        _get(path, "text/html")
    assert failure.value.code == 406


def test_the_index_of_version_3_leads_to_documents_that_never_change() -> None:
    index = json.loads(_get("/openapi/v3").body)["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/discovery.k8s.io/v1"} <= index.keys()
    for root, entry in index.items():
        answer = _get(entry["serverRelativeURL"], "application/json")
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert all(path.startswith(f"/{root}/") for path in json.loads(answer.body)["paths"])


def test_another_version_s_hash_leads_to_the_document_of_now() -> None:
    answer = _get("/openapi/v3/api/v1?hash=0")
    assert answer.status == 301
    assert _get(answer.headers["Location"]).status == 200


def test_without_a_hash_the_document_may_change() -> None:
    answer = _get("/openapi/v3/api/v1")
    assert (answer.status, answer.headers.get("Cache-Control")) == (200, None)


@pytest.mark.parametrize("path", ["/openapi/v2", "/openapi/v3", "/openapi/v3/apis/apps/v1"])
def test_a_client_that_has_the_document_is_told_so(path: str) -> None:
    tag = _get(path).headers["ETag"]
    assert _get(path, **{"If-None-Match": tag}).status == 304
