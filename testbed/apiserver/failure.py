"""Why a request failed, as Kubernetes' Status says it: code, reason, details with causes, which clients parse.

Source: apimachinery's `pkg/api/errors`, whose wording clients match on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from testbed.errors import TestbedError

Json = dict[str, Any]


class Named(Protocol):
    """What errors say of a resource."""

    @property
    def group(self) -> str: ...

    @property
    def plural(self) -> str: ...

    @property
    def kind(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Cause:
    """One mistake in an object: `reason` as in FieldValueInvalid, `field` as in `spec.ports[0].port`."""

    reason: str
    message: str
    field: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class ApiFailure(TestbedError):
    """A request that the API refuses. `kind` is the resource's plural, or of invalid objects their kind."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        kind: str = "",
        group: str = "",
        name: str = "",
        uid: str = "",
        causes: Sequence[Cause] = (),
        retry_after_s: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.kind = kind
        self.group = group
        self.name = name
        self.uid = uid
        self.causes = tuple(causes)
        self.retry_after_s = retry_after_s

    def status(self) -> Json:
        """The answer's body."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            **({"details": details} if (details := self._details()) else {}),
            "code": self.code,
        }

    def _details(self) -> Json:
        details = {
            "name": self.name,
            "group": self.group,
            "kind": self.kind,
            "uid": self.uid,
            "causes": [
                {
                    key: value
                    for key, value in (
                        ("reason", cause.reason),
                        ("message", cause.message),
                        ("field", cause.field),
                    )
                    if value
                }
                for cause in self.causes
            ],
            "retryAfterSeconds": self.retry_after_s,
        }
        return {key: value for key, value in details.items() if value}


def success(resource: Named, name: str, uid: str) -> Json:
    """The answer to a deletion that left nothing."""
    details = {"name": name, "group": resource.group, "kind": resource.plural, "uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


def qualified(resource: Named) -> str:
    """A resource's name with its group: `deployments.apps`."""
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural


def bad_request(message: str) -> ApiFailure:
    """The request makes no sense."""
    return ApiFailure(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> ApiFailure:
    """Nobody who is known asks."""
    return ApiFailure(401, "Unauthorized", message)


def forbidden(resource: Named, name: str, why: str, causes: Sequence[Cause] = ()) -> ApiFailure:
    """Not now, or not this: as admission refuses."""
    what = f'{qualified(resource)} "{name}"' if name else qualified(resource)
    return _of(resource, 403, "Forbidden", f"{what} is forbidden: {why}", name=name, causes=causes)


def not_found(resource: Named, name: str) -> ApiFailure:
    """No such object."""
    return _of(resource, 404, "NotFound", f'{qualified(resource)} "{name}" not found', name=name)


def no_such_path() -> ApiFailure:
    """No such resource."""
    message = "the server could not find the requested resource"
    return ApiFailure(404, "NotFound", message)


def method_not_allowed(message: str, resource: Named | None = None) -> ApiFailure:
    """The verb is not for this resource."""
    if resource is None:
        return ApiFailure(405, "MethodNotAllowed", message)
    return _of(resource, 405, "MethodNotAllowed", message)


def not_acceptable(media_types: Sequence[str]) -> ApiFailure:
    """None of what the client accepts is spoken here."""
    message = f"only the following media types are accepted: {', '.join(media_types)}"
    return ApiFailure(406, "NotAcceptable", message)


def already_exists(resource: Named, name: str) -> ApiFailure:
    """The name is taken."""
    message = f'{qualified(resource)} "{name}" already exists'
    return _of(resource, 409, "AlreadyExists", message, name=name)


def no_name_left(resource: Named, name: str) -> ApiFailure:
    """Every name that was generated is taken."""
    message = (
        f'{qualified(resource)} "{name}" already exists, '
        "the server was not able to generate a unique name for the object"
    )
    failure = _of(resource, 409, "AlreadyExists", message, name=name)
    failure.retry_after_s = 1
    return failure


STALE = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def conflict(resource: Named, name: str, why: str = STALE) -> ApiFailure:
    """The write was based on an older version, or on another object of that name."""
    message = f'Operation cannot be fulfilled on {qualified(resource)} "{name}": {why}'
    return _of(resource, 409, "Conflict", message, name=name)


def gone(message: str, *, expired: bool = True) -> ApiFailure:
    """What was asked for is forgotten by now."""
    return ApiFailure(410, "Expired" if expired else "Gone", message)


def too_large(message: str) -> ApiFailure:
    """The body is larger than what is read."""
    return ApiFailure(413, "RequestEntityTooLarge", f"Request entity is too large: {message}")


def unsupported_media_type(media_types: Sequence[str]) -> ApiFailure:
    """The body is in a format that is not read here."""
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(media_types)
    )
    return ApiFailure(415, "UnsupportedMediaType", message)


def invalid(resource: Named, name: str, causes: Sequence[Cause]) -> ApiFailure:
    """The object is none: every mistake in it."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    sentences = list(dict.fromkeys(map(str, causes)))
    what = sentences[0] if len(sentences) == 1 else f"[{', '.join(sentences)}]"
    message = f'{kind} "{name}" is invalid' + (f": {what}" if sentences else "")
    return ApiFailure(
        *(422, "Invalid", message),
        kind=resource.kind,
        group=resource.group,
        name=name,
        causes=causes,
    )


def too_many_requests(message: str, retry_after_s: int) -> ApiFailure:
    """Later: the client tries again by itself."""
    return ApiFailure(429, "TooManyRequests", message, retry_after_s=retry_after_s)


def internal_error(message: str) -> ApiFailure:
    """Our bug, or something that cannot be done about."""
    cause = Cause("", message, "")
    return ApiFailure(500, "InternalError", f"Internal error occurred: {message}", causes=(cause,))


def service_unavailable(message: str) -> ApiFailure:
    """What stands behind it does not answer."""
    return ApiFailure(503, "ServiceUnavailable", message)


def _of(
    resource: Named,
    code: int,
    reason: str,
    message: str,
    *,
    name: str = "",
    causes: Sequence[Cause] = (),
) -> ApiFailure:
    return ApiFailure(
        *(code, reason, message),
        kind=resource.plural,
        group=resource.group,
        name=name,
        causes=causes,
    )
