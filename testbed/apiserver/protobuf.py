"""Objects that clients write as Protocol Buffers -> the JSON that they stand for.

kubectl from 1.32 on and other programs in Go do so for kinds that they know. Answers are JSON, which all of
them read.
Source: apimachinery's `runtime/serializer/protobuf`, and the JSON forms in `apis/meta/v1`, `util/intstr` and
`api/resource`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from testbed.apiserver.failure import bad_request
from testbed.apiserver.protobuf_wire import Value, fields, signed
from testbed.apiserver.resources import Json

_MAGIC = b"k8s\0"
_TYPE, _RAW = 1, 2
"""Fields of the envelope, `runtime.Unknown`."""
_ABSENT = None
_POINTERS = frozenset(
    (
        "activeDeadlineSeconds",
        "allocateLoadBalancerNodePorts",
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "averageUtilization",
        "blockOwnerDeletion",
        "controller",
        "defaultMode",
        "deletionGracePeriodSeconds",
        "enableServiceLinks",
        "expirationSeconds",
        "force",
        "fsGroup",
        "gracePeriodSeconds",
        "hostUsers",
        "immutable",
        "leaseDurationSeconds",
        "leaseTransitions",
        "maxSurge",
        "maxUnavailable",
        "mode",
        "optional",
        "orphanDependents",
        "priority",
        "privileged",
        "progressDeadlineSeconds",
        "readOnlyRootFilesystem",
        "ready",
        "replicas",
        "revisionHistoryLimit",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seconds",
        "serving",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "started",
        "terminating",
        "terminationGracePeriodSeconds",
        "tolerationSeconds",
    )
)
"""Fields that say something where they are 0 or false: they are written only where they are set. Go writes all
others always.
"""


@dataclass(frozen=True, slots=True)
class _Field:
    """`name` "-": what is in the message belongs to its holder."""

    name: str
    kind: str
    is_repeated: bool = False
    is_map: bool = False


def decoded(body: bytes) -> Json:
    """The object. Raises ApiFailure (400)."""
    if not body.startswith(_MAGIC):
        raise bad_request(
            "the body is no Kubernetes object in protobuf: it begins with other bytes"
        )
    try:
        envelope = dict(fields(body[len(_MAGIC) :]))
        said = dict(fields(_bytes(envelope.get(_TYPE, b""))))
        api_version, kind = (_bytes(said.get(number, b"")).decode() for number in (1, 2))
        value = _message(_bytes(envelope.get(_RAW, b"")), _name(api_version, kind))
    except (ValueError, KeyError) as error:
        raise bad_request(f"the body is no Kubernetes object in protobuf: {error}") from error
    return {"apiVersion": api_version, "kind": kind, **value}


def _name(api_version: str, kind: str) -> str:
    """That of an object's message."""
    group, _, version = api_version.rpartition("/")
    own = f"{group.partition('.')[0] or 'core'}.{version}.{kind}"
    if own in _table():
        return own
    if kind == "DeleteOptions":  # of whatever group the object is that is to be deleted
        return f"meta.v1.{kind}"
    raise ValueError(f"{kind} of {api_version} is not known here: send it as JSON")


def _message(encoded: bytes, name: str) -> Json:
    known = _table()[name]
    found: Json = {}
    for number, value in fields(encoded):
        field = known.get(number)
        if field is None:
            raise ValueError(f"field {number} of {name} is not known here: send the object as JSON")
        _take(found, field, value)
    return found


def _take(found: Json, field: _Field, value: Value) -> None:
    if field.is_map:
        entry = dict(fields(_bytes(value)))
        key = _bytes(entry.get(1, b"")).decode()
        found.setdefault(field.name, {})[key] = _value(entry.get(2, b""), field)
        return
    plain = _value(value, field)
    if field.is_repeated:
        found.setdefault(field.name, []).append(plain)
    elif field.name == "-":
        found.update(plain)
    elif plain in ("", _ABSENT) or (plain == 0 and field.name not in _POINTERS):
        return
    else:
        found[field.name] = plain


def _value(value: Value, field: _Field) -> Any:
    special = _SPECIAL.get(field.kind)
    return special(value) if special is not None else _message(_bytes(value), field.kind)


def _bytes(value: Value) -> bytes:
    if isinstance(value, int):
        raise ValueError("a text of the protobuf message is a number")
    return value


def _time(value: Value, timespec: str) -> str | None:
    """None: the zero time, which says nothing."""
    found = dict(fields(_bytes(value)))
    if not found:
        return _ABSENT
    seconds, nanos = signed(found.get(1, 0)), signed(found.get(2, 0))
    try:
        moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // 1000)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{seconds} s are no time") from error
    return moment.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def _int_or_string(value: Value) -> int | str:
    found = dict(fields(_bytes(value)))
    is_text = signed(found.get(1, 0)) == 1
    return _bytes(found.get(3, b"")).decode() if is_text else signed(found.get(2, 0))


def _wrapped(value: Value) -> str:
    """A message that is nothing but a text."""
    return _bytes(dict(fields(_bytes(value))).get(1, b"")).decode()


def _embedded(value: Value) -> Any:
    """A message that is nothing but JSON."""
    return json.loads(_wrapped(value) or "null")


_SPECIAL: Mapping[str, Callable[[Value], Any]] = {
    "string": lambda value: _bytes(value).decode(),
    "bytes": lambda value: base64.b64encode(_bytes(value)).decode(),
    "int": signed,
    "bool": lambda value: signed(value) != 0,
    "meta.v1.Time": lambda value: _time(value, "seconds"),
    "meta.v1.MicroTime": lambda value: _time(value, "microseconds"),
    "meta.v1.FieldsV1": _embedded,
    "util.intstr.IntOrString": _int_or_string,
    "api.resource.Quantity": _wrapped,
}


@cache
def _table() -> Mapping[str, Mapping[int, _Field]]:
    """The fields of every message, by their numbers."""
    text = files("testbed.apiserver").joinpath("protobuf_fields.txt").read_text("utf-8")
    found: dict[str, dict[int, _Field]] = {}
    known: dict[int, _Field] = {}
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] == "#":
            continue
        if len(words) == 1:
            known = found[words[0]] = {}
            continue
        number, name, kind = words
        bare = kind.strip("[]{}")
        known[int(number)] = _Field(name, bare, kind.startswith("["), kind.startswith("{"))
    return found
