"""Answers in JSON: at once, or in parts between which others have their turn."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from functools import cache

from aiohttp import web
from aiohttp.typedefs import LooseHeaders

from testbed.apiserver.negotiation import JSON
from testbed.apiserver.rendering import encode
from testbed.apiserver.resources import Json

_WORTH_COMPRESSING = 128 << 10
"""Bytes, as in kube-apiserver."""
_GZIP = 16 + zlib.MAX_WBITS
_FAST = 1


def json_answer(
    document: Json, code: int = 200, headers: LooseHeaders | None = None
) -> web.Response:
    """A document."""
    return encoded_answer(encode(document), code, headers)


def encoded_answer(
    body: bytes, code: int = 200, headers: LooseHeaders | None = None
) -> web.Response:
    """A document that is encoded."""
    return web.Response(body=body, status=code, content_type="application/json", headers=headers)


def tagged_answer(
    request: web.Request,
    body: bytes,
    media_type: str = JSON,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A document that does not change; a client that has it already is told so (304)."""
    tag = f'"{digest(body)}"'
    told = {"ETag": tag, "Vary": "Accept", **(headers or {})}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=told)
    return web.Response(body=body, headers={"Content-Type": media_type, **told})


@cache
def digest(body: bytes) -> str:
    """Of one of the few documents that do not change."""
    return hashlib.sha512(body).hexdigest().upper()


async def in_parts(request: web.Request, parts: Iterator[bytes]) -> web.StreamResponse:
    """What may be large: it is made and sent part by part, compressed where the client can read that."""
    start = b""
    for part in parts:
        start += part
        if len(start) > _WORTH_COMPRESSING:
            break
    else:
        return encoded_answer(start)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    squeeze = None
    if _takes_gzip(request):
        squeeze = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
        response.headers.update({"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
    await response.prepare(request)
    for part in _after(start, parts):
        data = squeeze.compress(part) if squeeze is not None else part
        if data:
            await response.write(data)
        await asyncio.sleep(0)
    await response.write_eof(squeeze.flush() if squeeze is not None else b"")
    return response


def _after(start: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
    yield start
    yield from parts


def _takes_gzip(request: web.Request) -> bool:
    wanted = request.headers.get("Accept-Encoding", "")
    codings = (one.partition(";") for one in wanted.replace(" ", "").lower().split(","))
    return any(coding in {"gzip", "*"} and quality != "q=0" for coding, _, quality in codings)
