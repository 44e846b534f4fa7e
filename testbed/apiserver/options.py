"""What a request says beside its object: CreateOptions, UpdateOptions, PatchOptions and DeleteOptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.apiserver.decoding import LEVELS, Level
from testbed.apiserver.failure import ApiFailure, Cause, bad_request

Json = dict[str, Any]

BACKGROUND, FOREGROUND, ORPHAN = "Background", "Foreground", "Orphan"
_PROPAGATIONS = (BACKGROUND, FOREGROUND, ORPHAN)
_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_LONGEST_MANAGER = 128


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Of create, update and patch."""

    dry_run: bool = False
    """All is checked and answered, and nothing is stored."""
    field_manager: str = ""
    """Who owns the fields that it sets; "" where the client does not say."""
    user_agent: str = ""
    """The client's program, which owns them then."""
    field_validation: Level = "Warn"
    """What becomes of unknown and repeated fields: Ignore, Warn or Strict."""
    force: bool | None = None
    """An apply takes the fields that others own; None: the client does not say."""

    @property
    def manager(self) -> str:
        """Who owns what is written."""
        return self.field_manager or self.user_agent or "unknown"


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """`uid` and `resource_version`, where set, are what the object must have."""

    dry_run: bool = False
    grace_period_s: int | None = None
    propagation: str = ""
    """Background, Foreground or Orphan; "": the resource's own."""
    uid: str = ""
    resource_version: str = ""


def write_options(query: Mapping[str, str], kind: str, user_agent: str = "") -> WriteOptions:
    """Of a query; `kind` is how mistakes name it, as in PatchOptions. Raises ApiFailure (422).

    A client that names no field manager is known by the first word of its `user_agent`.
    """
    causes: list[Cause] = []
    manager = query.get("fieldManager", "")
    if len(manager) > _LONGEST_MANAGER:
        message = f"Too long: may not be more than {_LONGEST_MANAGER} bytes"
        causes.append(Cause("FieldValueTooLong", message, "fieldManager"))
    elif not manager.isprintable():
        message = f'Invalid value: "{manager}": should only contain printable characters'
        causes.append(Cause("FieldValueInvalid", message, "fieldManager"))
    said = query.get("fieldValidation", "") or "Warn"
    validation = next((level for level in LEVELS if level == said), None)
    if validation is None:
        causes.append(_unsupported("fieldValidation", said, LEVELS))
    dry_run = _dry_run(query.get("dryRun", ""), causes)
    _raise(kind, causes)
    return WriteOptions(
        dry_run=dry_run,
        field_manager=manager,
        user_agent=user_agent.partition("/")[0][:_LONGEST_MANAGER],
        field_validation=validation or "Warn",
        force=query["force"] in _TRUE if "force" in query else None,
    )


def delete_options(query: Mapping[str, str], body: Json | None = None) -> DeleteOptions:
    """Of a body, which counts alone where there is one, or of a query. Raises ApiFailure (400, 422)."""
    said: Mapping[str, Any] = body or {}
    if not body:
        said = {**query, "dryRun": [query["dryRun"]]} if query.get("dryRun") else query
    elif said.get("kind", "DeleteOptions") != "DeleteOptions":
        raise bad_request(f"the body is no DeleteOptions, but of kind {said['kind']!r}")
    causes: list[Cause] = []
    every = said.get("dryRun") or []
    asked = [_dry_run(one, causes) for one in (every if isinstance(every, list) else [every])]
    propagation = _propagation(said, causes)
    grace = _grace(said.get("gracePeriodSeconds"), causes)
    _raise("DeleteOptions", causes)
    preconditions = said.get("preconditions") or {}
    if not isinstance(preconditions, Mapping):
        raise bad_request("preconditions is no mapping")
    return DeleteOptions(
        dry_run=any(asked),
        grace_period_s=grace,
        propagation=propagation,
        uid=str(preconditions.get("uid") or ""),
        resource_version=str(preconditions.get("resourceVersion") or ""),
    )


def _propagation(said: Mapping[str, Any], causes: list[Cause]) -> str:
    policy, orphan = said.get("propagationPolicy") or "", said.get("orphanDependents")
    if policy and orphan is not None:
        message = "Invalid value: orphanDependents and deletionPropagation cannot be both set"
        causes.append(Cause("FieldValueInvalid", message, "propagationPolicy"))
    if policy and policy not in _PROPAGATIONS:
        causes.append(_unsupported("propagationPolicy", policy, _PROPAGATIONS))
    if orphan is not None:
        return ORPHAN if orphan in {True, "true", "1"} else BACKGROUND
    return str(policy)


def _grace(value: Any, causes: list[Cause]) -> int | None:
    """Seconds; a negative number means at once but for one second, as in Kubernetes."""
    if value is None or value == "":
        return None
    try:
        seconds = int(value)
    except (TypeError, ValueError):
        message = f'Invalid value: "{value}": must be a number of seconds'
        causes.append(Cause("FieldValueInvalid", message, "gracePeriodSeconds"))
        return None
    return seconds if seconds >= 0 else 1


def _dry_run(value: Any, causes: list[Cause]) -> bool:
    if value in {"", "All"}:
        return bool(value)
    causes.append(_unsupported("dryRun", value, ("All",)))
    return False


def _unsupported(field: str, value: Any, supported: tuple[str, ...]) -> Cause:
    words = ", ".join(f'"{one}"' for one in supported)
    message = f'Unsupported value: "{value}": supported values: {words}'
    return Cause("FieldValueNotSupported", message, field)


def _raise(kind: str, causes: list[Cause]) -> None:
    if causes:
        raise options_invalid(kind, causes)


def options_invalid(kind: str, causes: list[Cause]) -> ApiFailure:
    """422: the options are none."""
    sentences = [str(cause) for cause in causes]
    what = sentences[0] if len(sentences) == 1 else f"[{', '.join(sentences)}]"
    return ApiFailure(
        *(422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {what}'),
        kind=kind,
        group="meta.k8s.io",
        causes=causes,
    )
