"""The path of a request -> what it names."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from testbed.apiserver.failure import no_such_path
from testbed.apiserver.resources import BY_PATH, Resource, Subresource


@dataclass(frozen=True, slots=True)
class Target:
    """A collection ("": no name), an object, or a part of one."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: Subresource | None = None
    rest: str = ""
    """What follows `proxy`: the path of the request that is passed on, with its leading slash."""

    @property
    def is_everywhere(self) -> bool:
        """A collection of all namespaces."""
        return self.resource.namespaced and not self.namespace


def target(path: str) -> Target:
    """What a path names, as it came (percent-encoded). Raises ApiFailure (404)."""
    root, parts = _root(path)
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        own = BY_PATH.get((root, "namespaces"))
        if own is None or len(parts) > 3 or own.subresource(parts[2]) is None:
            return _within(root, parts[1], parts[2:])
    return _within(root, "", parts)


def _root(path: str) -> tuple[str, list[str]]:
    parts = path.split("/")[1:]
    size = 2 if parts[:1] == ["api"] else 3
    if parts[:1] not in (["api"], ["apis"]) or len(parts) <= size:
        raise no_such_path()
    return "/" + "/".join(parts[:size]), parts[size:]


def _within(root: str, namespace: str, parts: list[str]) -> Target:
    if len(parts) in {2, 3} and not parts[-1]:
        parts = parts[:-1]  # a collection or an object, with a slash behind it
    resource = BY_PATH.get((root, parts[0]))
    if resource is None or (namespace and not resource.namespaced):
        raise no_such_path()
    namespace = unquote(namespace)
    if len(parts) == 1:
        return Target(resource, namespace)
    if not parts[1] or (resource.namespaced and not namespace):
        raise no_such_path()
    name = unquote(parts[1])
    if len(parts) == 2:
        return Target(resource, namespace, name)
    part = resource.subresource(parts[2])
    rest = "/" + "/".join(parts[3:]) if len(parts) > 3 else ""
    if part is None or (rest and part.name != "proxy"):
        raise no_such_path()
    return Target(resource, namespace, name, part, rest)
