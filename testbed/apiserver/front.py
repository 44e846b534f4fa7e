"""The front door: who may come in, and what becomes of whatever goes wrong behind it."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from aiohttp import web
from aiohttp.typedefs import Middleware

from testbed.apiserver.bodies import LIMIT
from testbed.apiserver.failure import ApiFailure, internal_error, too_large, unauthorized
from testbed.apiserver.rendering import encode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Users = Callable[[str], str | None]
"""Whose a token is; None: nobody's. It compares in constant time."""
_OPEN = re.compile(r"/(?:healthz|livez|readyz)(?:/[^/]*)?")
"""What whoever checks a server's health may ask without a token."""
_log = logging.getLogger(__name__)


_user: ContextVar[str] = ContextVar("user", default="")


def user() -> str:
    """Who asks in the request that is being answered; "" where nobody needs to say."""
    return _user.get()


def middlewares(users: Users | None) -> list[Middleware]:
    """Around every request; `users` None: everybody may come in who reaches the socket."""
    return [_failures, *([_authentication(users)] if users is not None else [])]


def _authentication(users: Users) -> Middleware:
    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        found = users(token.strip()) if scheme.lower() == "bearer" else None
        if found is None and not _OPEN.fullmatch(request.path):
            raise unauthorized()
        _user.set(found or "system:anonymous")
        return await handler(request)

    return authenticate


@web.middleware
async def _failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong is told as a Status, and concerns nobody but who asked."""
    try:
        return await handler(request)
    except ApiFailure as failure:
        return told(failure)
    except web.HTTPRequestEntityTooLarge:
        return told(too_large(f"limit is {LIMIT}"))
    except web.HTTPException as error:
        return told(ApiFailure(error.status, error.reason.replace(" ", ""), error.reason))
    except ConnectionError:
        raise
    except Exception as error:
        if request.writer.output_size:
            raise  # half an answer has gone out: the client shall see that there is no other half
        _log.exception("%s %s", request.method, request.path_qs)
        return told(internal_error(f"{type(error).__name__}: {error}"))


def told(failure: ApiFailure) -> web.Response:
    """A failure as its answer."""
    headers = {"Retry-After": str(failure.retry_after_s)} if failure.retry_after_s else None
    body = encode(failure.status())
    return web.Response(
        body=body, status=failure.code, content_type="application/json", headers=headers
    )
