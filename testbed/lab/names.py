"""Where a command or a load is to run: WHERE of the command line -> a place in the lab."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Literal, cast

from testbed.errors import NotFound, UsageError
from testbed.model.fakes import is_fake
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.store import Snapshot

Kind = Literal["node", "host", "router", "switch", "pod"]


def find(where: str, snapshot: Snapshot, machines: dict[str, str]) -> tuple[Kind, str, Pod | None]:
    """What `where` names: (kind, name, the pod).

    `machines` maps the names of nodes, hosts and what is between them to their kind. A pod may be written
    `namespace/pod`; without a namespace it is looked for in `default`, then in all others. Raises NotFound
    with the nearest names, UsageError for a fake node.
    """
    if where in machines:
        return cast(Kind, machines[where]), where, None
    require_live(where, snapshot)
    namespace, _, name = where.rpartition("/")
    pods = {
        (pod.meta.namespace, pod.meta.name): pod
        for pod in snapshot.list(Pod)
        if pod.meta.name == name and namespace in {"", pod.meta.namespace}
    }
    if pods:
        best = min(pods, key=lambda key: (key[0] != "default", key))
        return "pod", "/".join(best), pods[best]
    known = [*machines, *(pod.meta.name for pod in snapshot.list(Pod))]
    near = get_close_matches(where, known, 3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there is {_some(known)}"
    raise NotFound(f"no node, pod or outside host {where!r}", hint)


def require_live(node: str, snapshot: Snapshot) -> None:
    """Raises UsageError for a fake node, on which nothing runs."""
    found = snapshot.get(Node, "", node)
    if found is not None and is_fake(found):
        raise UsageError(
            f"node {node} is fake: it and its pods exist only as objects",
            "`testbed inspect` says which nodes run",
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown}, …" if len(names) > 8 else shown
