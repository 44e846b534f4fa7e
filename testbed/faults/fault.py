"""One fault as a value, and how people write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.errors import NotBuiltYet, UsageError
from testbed.units import duration_s

KINDS = ("crash", "delete", "hang", "heal")
NOT_BUILT_YET = (
    "stop-node",
    "cut",
    "impair",
    "drain",
    "delay-watch",
    "stall-proxy",
    "restart-proxy",
)


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


def parse_fault(words: Sequence[str]) -> Fault:
    """The fault that `KIND WHERE [--force] [--grace-period D] [--container NAME]` says.

    Raises UsageError with what would be right, NotBuiltYet for a kind that this version lacks.
    """
    if len(words) < 2:
        raise UsageError("a fault is KIND WHERE", "such as: crash web-0")
    kind, where, *options = words
    check_kind(kind)
    if where.startswith("-") or not where.rpartition("/")[2]:
        raise UsageError(f"{where!r} is not a pod", "write it as web-0 or default/web-0")
    grace_s, force, container = None, False, ""
    rest = iter(options)
    for option in rest:
        match option:
            case "--force":
                force = True
            case "--grace-period":
                grace_s = _duration(option, next(rest, ""))
            case "--container":
                container = _value(option, next(rest, ""))
            case _:
                raise UsageError(
                    f"{option!r} is not an option of a fault",
                    "there are --force, --grace-period and --container",
                )
    fault = Fault(kind, where, force, grace_s, container)
    _check_options(fault)
    return fault


def check_kind(kind: str) -> None:
    """Raises UsageError or NotBuiltYet where `kind` is not a fault that can be injected."""
    if kind in NOT_BUILT_YET:
        raise NotBuiltYet(
            f"the fault {kind} is not built yet", f"this version has {', '.join(KINDS)}"
        )
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not a fault", f"the faults are {', '.join(KINDS)}")


def _check_options(fault: Fault) -> None:
    if fault.kind != "delete" and (fault.force or fault.grace_s is not None):
        raise UsageError(
            f"{fault.kind} has no grace period", "--force and --grace-period belong to delete"
        )
    if fault.kind == "delete" and fault.container:
        raise UsageError("a pod is deleted as a whole", "leave out --container")


def _duration(option: str, text: str) -> float:
    try:
        return duration_s(_value(option, text))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _value(option: str, text: str) -> str:
    if not text or text.startswith("--"):
        raise UsageError(f"{option} needs a value")
    return text
