"""The paths of discovery and of the version, and what answers there."""

from __future__ import annotations

from functools import cache

from aiohttp import web

from testbed.apiserver import discovery
from testbed.apiserver.answers import tagged_answer
from testbed.apiserver.documents import VERSION
from testbed.apiserver.front import Handler
from testbed.apiserver.negotiation import JSON, discovery_version
from testbed.apiserver.rendering import encode
from testbed.apiserver.resources import RESOURCES, Json


@cache
def handlers() -> dict[str, Handler]:
    """Path -> what answers there."""
    found = {path: _fixed(document) for path, document in discovery.plain(RESOURCES).items()}
    both = {path: _negotiated(path, found[path]) for path in ("/api", "/apis")}
    return {**found, **both, "/version": _fixed(VERSION)}


def _negotiated(path: str, plain: Handler) -> Handler:
    aggregated = {
        version: _fixed(
            discovery.aggregated(RESOURCES, version)[path],
            f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList",
        )
        for version in ("v2", "v2beta1")
    }

    async def answer(request: web.Request) -> web.StreamResponse:
        version = discovery_version(request.headers.get("Accept", ""))
        return await (aggregated[version] if version else plain)(request)

    return answer


def _fixed(document: Json, media_type: str = JSON) -> Handler:
    body = encode(document)

    async def answer(request: web.Request) -> web.StreamResponse:
        return tagged_answer(request, body, media_type)

    return answer
