"""A request that changes something -> what the writer is asked, and its answer as HTTP."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from testbed.apiserver.answers import json_answer
from testbed.apiserver.bodies import decoded, mapping
from testbed.apiserver.failure import method_not_allowed
from testbed.apiserver.list_options import list_options
from testbed.apiserver.negotiation import body_type, patch_type
from testbed.apiserver.options import WriteOptions, delete_options, write_options
from testbed.apiserver.repeated import repeated
from testbed.apiserver.resources import Json
from testbed.apiserver.routing import Target
from testbed.apiserver.writing import Answer, Writer

_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}


def verb(method: str, where: Target) -> str:
    """What a method means there. Raises ApiFailure (405) where it cannot be done."""
    wanted = _VERBS.get(method, "")
    if wanted == "delete" and not where.name:
        wanted = "deletecollection"
    served = where.resource.verbs if where.subresource is None else where.subresource.verbs
    on_one = wanted in {"update", "patch", "delete"} or where.subresource is not None
    if wanted not in served or on_one is not bool(where.name) or where.is_everywhere:
        message = "the server does not allow this method on the requested resource"
        raise method_not_allowed(message, where.resource)
    return wanted


async def received(request: web.Request) -> Json:
    """The object in a request. Raises ApiFailure (400, 415)."""
    return mapping(await request.read(), body_type(request.headers.get("Content-Type", "")))


async def changed(writer: Writer, where: Target, request: web.Request) -> web.Response:
    """Have it done. Raises ApiFailure."""
    body = await request.read()
    answer = _asked(writer, where, request, body)
    headers = [("Warning", f"299 - {_quoted(warning)}") for warning in answer.warnings]
    return json_answer(answer.body, answer.code, headers)


def _asked(writer: Writer, where: Target, request: web.Request, body: bytes) -> Answer:
    wanted = verb(request.method, where)
    content_type = request.headers.get("Content-Type", "")
    if wanted in {"delete", "deletecollection"}:
        said = _said(body, content_type)
        options = delete_options(request.query, said)
        if wanted == "delete":
            return writer.delete(where, options)
        selection = list_options(where.resource, where.namespace, request.query).selection
        return writer.delete_collection(selection, options)
    settings = _settings(request, wanted)
    again = repeated(body, where.resource, settings.field_validation)
    if wanted == "patch":
        kind = patch_type(content_type)
        answer = writer.patch(where, kind, decoded(body, kind), settings)
    else:
        document = mapping(body, body_type(content_type))
        done = writer.create if wanted == "create" else writer.update
        answer = done(where, document, settings)
    return replace(answer, warnings=(*again, *answer.warnings))


def _said(body: bytes, content_type: str) -> Json | None:
    return mapping(body, body_type(content_type)) if body.strip() else None


def _settings(request: web.Request, wanted: str) -> WriteOptions:
    agent = request.headers.get("User-Agent", "")
    return write_options(request.query, _OPTIONS[wanted], agent)


def _quoted(text: str) -> str:
    """A quoted-string of RFC 9110: on one line, and ASCII."""
    plain = " ".join(text.split()).encode("ascii", "replace").decode()
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
