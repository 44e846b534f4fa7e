"""One fault as a value, and how people write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from testbed.errors import UsageError
from testbed.faults.link_fault import LINK_KINDS, SHAPES
from testbed.faults.watch_delay import WatchDelay
from testbed.units import duration_s, fraction, rate_bps

POD_KINDS = ("crash", "delete", "hang", "heal")
NODE_KINDS = ("stop-node", "drain", "delay-watch", "stall-proxy", "restart-proxy", "heal")
KINDS = tuple(dict.fromkeys((*POD_KINDS[:-1], *NODE_KINDS[:-1], *LINK_KINDS)))


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with a pod.

    crash: SIGKILL to a container's process. delete: the pod is deleted, gracefully unless `force`.
    hang: SIGSTOP. heal: SIGCONT, the end of a hang.
    """

    kind: str
    where: str
    """[namespace/]pod."""
    force: bool = False
    grace_s: float | None = None
    """delete: instead of the pod's own termination grace period."""
    container: str = ""
    """crash, hang and heal: "" is the pod's first container."""

    @property
    def level(self) -> str:
        """The label under which figures are kept apart: graceful and forced deletion never pool."""
        return "delete --force" if self.kind == "delete" and self.force else self.kind

    @property
    def pod(self) -> tuple[str, str]:
        """(namespace, name)."""
        namespace, _, name = self.where.rpartition("/")
        return namespace or "default", name


@dataclass(frozen=True, slots=True)
class NodeFault:
    """Something that goes wrong with a node, with what it hears of the cluster, or with its proxy.

    stop-node: it loses its power. drain: it is cordoned and its pods are evicted, as by `kubectl drain`.
    delay-watch: changes reach the proxy late, as `watch` says. stall-proxy: it syncs no more. restart-proxy: a
    new process takes its place. heal: the end of whatever is wrong with it or its links; a stopped node boots.
    """

    kind: str
    node: str
    watch: WatchDelay | None = None
    seed: int = 0
    """delay-watch: of the jitter and of what overtakes."""
    force: bool = False
    """drain: pods that nobody replaces, too."""
    grace_s: float | None = None
    """drain: instead of each pod's own termination grace period."""

    @property
    def level(self) -> str:
        """The label under which figures are kept apart."""
        return self.kind


def parse_fault(words: Sequence[str]) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    """(kind, where, options) of `KIND WHERE… [--OPTION [VALUE]]…`, options as `Lab.fault` takes them.

    Raises UsageError with what would be right.
    """
    if len(words) < 2:
        raise UsageError("a fault is KIND WHERE", "such as: crash web-0")
    kind, *rest = words
    check_kind(kind)
    where = tuple(takewhile(lambda word: not word.startswith("-"), rest))
    if not where or not all(name.rpartition("/")[2] for name in where):
        said = " ".join(where) or rest[0]
        raise UsageError(
            f"{said!r} is neither a pod nor a node", "write it as web-0, default/web-0 or n1"
        )
    if len(where) > 1 and kind not in LINK_KINDS:
        raise UsageError(f"{kind} is for one pod or node at a time, not {' '.join(where)}")
    options: dict[str, Any] = {}
    words_left = iter(rest[len(where) :])
    for word in words_left:
        if word not in _OPTIONS:
            raise UsageError(
                f"{word!r} is not an option of a fault", f"there are {', '.join(_OPTIONS)}"
            )
        name, read = _OPTIONS[word]
        options[name] = True if read is None else _read(word, next(words_left, ""), read)
    check_options(kind, options)
    return kind, where, options


def pod_fault(kind: str, where: str, options: Mapping[str, Any]) -> Fault:
    """A fault of a pod. Raises UsageError."""
    check_kind(kind)
    check_options(kind, options)
    if kind not in POD_KINDS:
        raise UsageError(f"{where} is a pod", f"{kind} is for nodes")
    return Fault(kind, where, **options)


def node_fault(kind: str, node: str, options: Mapping[str, Any]) -> NodeFault:
    """A fault of a node. Raises UsageError."""
    check_kind(kind)
    check_options(kind, options)
    if kind not in NODE_KINDS:
        raise UsageError(f"{node} is a node", f"{kind} is for pods")
    delay = {name: options[name] for name in _DELAYS if name in options}
    watch = WatchDelay(**delay) if kind == "delay-watch" else None
    force, grace_s = bool(options.get("force", False)), options.get("grace_s")
    return NodeFault(kind, node, watch, int(options.get("seed", 0)), force, grace_s)


def check_kind(kind: str) -> None:
    """Raises UsageError where `kind` is not a fault that can be injected."""
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not a fault", f"the faults are {', '.join(KINDS)}")


def check_options(kind: str, options: Mapping[str, Any]) -> None:
    """Raises UsageError for options that do not belong to the kind, or are missing."""
    mine = _OF_KIND.get(kind, ())
    for name in options:
        if name not in mine:
            raise UsageError(
                f"{kind} takes no {_SPELT.get(name, name)}",
                f"it takes {', '.join(_SPELT[one] for one in mine)}" if mine else "leave it out",
            )
    if kind == "delay-watch":
        if "delay_s" not in options:
            raise UsageError("delay-watch needs --delay", "as in --delay 500ms")
        if options.get("jitter_s", 0.0) > options["delay_s"]:
            raise UsageError("--jitter is more than --delay", "no change comes before it is made")


_DELAYS = ("delay_s", "jitter_s", "reorder")
_OPTIONS: dict[str, tuple[str, Callable[[str], Any] | None]] = {
    "--force": ("force", None),
    "--grace-period": ("grace_s", duration_s),
    "--container": ("container", str),
    "--delay": ("delay_s", duration_s),
    "--jitter": ("jitter_s", duration_s),
    "--reorder": ("reorder", fraction),
    "--seed": ("seed", int),
    "--loss": ("loss", fraction),
    "--rate": ("rate_bps", rate_bps),
    "--queue": ("queue", int),
    "--direction": ("direction", str),
}
"""On the command line -> in Python, and how its value is read; None: it has none."""
_SPELT = {name: word for word, (name, _) in _OPTIONS.items()}
_OF_KIND = {
    "delete": ("force", "grace_s"),
    "crash": ("container",),
    "hang": ("container",),
    "heal": ("container",),
    "drain": ("force", "grace_s"),
    "delay-watch": (*_DELAYS, "seed"),
    "impair": (*SHAPES, "direction"),
}


def _read(option: str, text: str, read: Callable[[str], Any]) -> Any:
    if not text or text.startswith("--"):
        raise UsageError(f"{option} needs a value")
    try:
        return read(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
