"""What a list or a watch is asked for: ListOptions.

Source: Kubernetes API concepts, "Resource versions", and apimachinery's validation of ListOptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.apiserver.failure import Cause, bad_request
from testbed.apiserver.options import options_invalid
from testbed.apiserver.resources import Resource
from testbed.apiserver.selectors import Test, field_selector, label_selector, names_of
from testbed.model.objects.metadata import Object

EXACT, NOT_OLDER_THAN = "Exact", "NotOlderThan"
_MATCHES = (EXACT, NOT_OLDER_THAN)
_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
LONGEST_WATCH_S = 1800.0
"""A watch that does not say how long it wants to last; clients begin another one."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a resource; `namespace` "": of all."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    """The only one that it can be, where the field selector names one."""
    tests: tuple[Test, ...] = ()

    def takes(self, item: Object) -> bool:
        """Whether an object of the resource is one of them."""
        if self.namespace and item.meta.namespace != self.namespace:
            return False
        return all(test(item) for test in self.tests)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """`resource_version` None: the client does not say."""

    selection: Selection
    limit: int = 0
    """0: none."""
    token: str = ""
    """`continue`."""
    resource_version: int | None = None
    match: str = ""
    watch: bool = False
    timeout_s: float = LONGEST_WATCH_S
    bookmarks: bool = False
    initial_events: bool | None = None


def list_options(resource: Resource, namespace: str, query: Mapping[str, str]) -> ListOptions:
    """Of a query. Raises ApiFailure (400, 422)."""
    initial = query.get("sendInitialEvents")
    options = ListOptions(
        _selection(resource, namespace, query),
        limit=_number(query, "limit") or 0,
        token=query.get("continue", ""),
        resource_version=resource_version(query),
        match=query.get("resourceVersionMatch", ""),
        watch=query.get("watch", "") in _TRUE,
        timeout_s=min(_number(query, "timeoutSeconds") or LONGEST_WATCH_S, LONGEST_WATCH_S),
        bookmarks=query.get("allowWatchBookmarks", "") in _TRUE,
        initial_events=None if initial is None else initial in _TRUE,
    )
    causes = _watch_mistakes(options) if options.watch else _list_mistakes(options)
    if causes:
        raise options_invalid("ListOptions", causes)
    if options.token and options.resource_version and not options.watch:
        raise bad_request("specifying resource version is not allowed when using continue")
    return options


def _selection(resource: Resource, namespace: str, query: Mapping[str, str]) -> Selection:
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    tests: list[Test] = []
    if labels.strip():
        tests.append(label_selector(labels))
    if fields.strip():
        tests.append(field_selector(fields, resource))
    return Selection(resource, namespace, names_of(fields), tuple(tests))


def resource_version(query: Mapping[str, str]) -> int | None:
    """The version that a query asks for; None: none. Raises ApiFailure (400)."""
    return _number(query, "resourceVersion")


def _number(query: Mapping[str, str], key: str) -> int | None:
    text = query.get(key, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise bad_request(f"{key}: Invalid value: {text[:60]!r}: it is no number")
    return int(text)


def _list_mistakes(options: ListOptions) -> list[Cause]:
    causes = []
    if options.initial_events is not None:
        causes.append(_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if not options.match:
        return causes
    match = "resourceVersionMatch"
    if options.resource_version is None:
        causes.append(_forbidden(match, f"{match} is forbidden unless resourceVersion is provided"))
    if options.token:
        causes.append(_forbidden(match, f"{match} is forbidden when continue is provided"))
    causes += _unsupported(options.match, _MATCHES)
    if options.match == EXACT and options.resource_version == 0:
        why = f'{match} "exact" is forbidden for resourceVersion "0"'
        causes.append(_forbidden(match, why))
    return causes


def _watch_mistakes(options: ListOptions) -> list[Cause]:
    match = "resourceVersionMatch"
    if options.initial_events is not None:
        if not options.match:
            why = f"sendInitialEvents requires setting {match} to {NOT_OLDER_THAN}"
            return [_forbidden(match, why)]
        return _unsupported(options.match, (NOT_OLDER_THAN,))
    if options.match:
        why = f"{match} is forbidden for watch unless sendInitialEvents is provided"
        return [_forbidden(match, why)]
    return []


def _forbidden(field: str, why: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


def _unsupported(value: str, supported: tuple[str, ...]) -> list[Cause]:
    if value in supported:
        return []
    words = ", ".join(f'"{one}"' for one in supported)
    message = f'Unsupported value: "{value}": supported values: {words}'
    return [Cause("FieldValueNotSupported", message, "resourceVersionMatch")]
