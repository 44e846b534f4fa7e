"""The paths of OpenAPI's documents, each made when the first client asks for it, in the form it can read.

Source: Kubernetes API concepts, "OpenAPI"; kube-openapi's `pkg/handler` and `pkg/handler3`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from aiohttp import web

from testbed.apiserver import openapi, openapi_protobuf, schema
from testbed.apiserver.answers import digest, tagged_answer
from testbed.apiserver.documents import VERSION
from testbed.apiserver.failure import not_acceptable
from testbed.apiserver.front import Handler
from testbed.apiserver.negotiation import JSON, media_types
from testbed.apiserver.rendering import encode

_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_OLD_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_VERSION = str(VERSION["gitVersion"])
_ONCE = {"Cache-Control": "public, immutable", "Expires": "Fri, 31 Dec 2100 23:59:59 GMT"}
"""Of a path that names its document's hash: what it answers never changes."""


def handlers() -> dict[str, Handler]:
    """Path -> what answers there."""
    each = {f"/openapi/v3/{root}": _version_3(root) for root in openapi.roots()}
    return {"/openapi/v2": _version_2, "/openapi/v3": _index, **each}


async def _version_2(request: web.Request) -> web.Response:
    made: dict[str, tuple[str, Callable[[], bytes]]] = {
        JSON: (JSON, _json_2),
        _PROTOBUF: (_PROTOBUF, _protobuf_2),
        # The old name is no media type: nobody is answered with it.
        _OLD_PROTOBUF: (_PROTOBUF, _protobuf_2),
    }
    for wanted in media_types(request.headers.get("Accept", "")):
        if wanted in {"*/*", "application/*", *made}:
            media_type, make = made.get(wanted, made[JSON])
            return tagged_answer(request, make(), media_type)
    raise not_acceptable(list(made))


async def _index(request: web.Request) -> web.Response:
    return tagged_answer(request, _index_3())


def _version_3(root: str) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        accepted = media_types(request.headers.get("Accept", ""))
        if not {JSON, "*/*", "application/*"} & {*accepted}:
            raise not_acceptable([JSON])
        body = _json_3(root)
        asked = request.query.get("hash", "")
        if asked and asked != digest(body):
            now = f"/openapi/v3/{root}?hash={digest(body)}"
            return web.Response(status=301, headers={"Location": now})
        return tagged_answer(request, body, headers=_ONCE if asked else {})

    return answer


@cache
def _json_2() -> bytes:
    return encode(openapi.version_2(schema.served(), _VERSION))


@cache
def _protobuf_2() -> bytes:
    return openapi_protobuf.encoded(openapi.version_2(schema.served(), _VERSION))


@cache
def _json_3(root: str) -> bytes:
    return encode(openapi.version_3(schema.served(), _VERSION, root))


@cache
def _index_3() -> bytes:
    paths = {
        root: {"serverRelativeURL": f"/openapi/v3/{root}?hash={digest(_json_3(root))}"}
        for root in openapi.roots()
    }
    return encode({"paths": paths})
