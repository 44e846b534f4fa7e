"""What all objects have: identity, labels, owners, conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Protocol, TypeVar

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OwnerReference:
    """An object that this one depends on: it is collected once all of them are gone."""

    kind: str
    name: str
    uid: str
    api_version: str = ""
    """"": the one that objects of its kind have."""
    controller: bool = True
    """It made the object, or has adopted it."""
    block_owner_deletion: bool = False
    """The owner's foreground deletion waits for this object."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One of an object's `status.conditions`."""

    type: str
    status: str = "True"
    """True, False or Unknown."""
    reason: str = ""
    message: str = ""
    changed_s: float | None = None
    """When `status` last changed (lastTransitionTime)."""
    updated_s: float | None = None
    """When it was last said (lastUpdateTime, of a Deployment's conditions)."""


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """Identity of an object; `uid` and `resource_version` are the store's to give."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: int = 0
    labels: Labels = field(default_factory=dict)
    annotations: Labels = field(default_factory=dict)
    creation_s: float = 0.0
    deletion_s: float | None = None
    """When its graceful deletion was asked for; None: it is not terminating."""
    deletion_grace_period_s: float | None = None
    owners: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    """While there are any, a deleted object stays, terminating."""
    generation: int = 0
    """Of what is asked for: the store counts its changes, for kinds with `asked_for`."""
    rest: Mapping[str, Any] = field(default_factory=dict)
    """What the object's manifest says that no field here holds (see `model.remainder`)."""

    @property
    def owner(self) -> OwnerReference | None:
        """The controller that made it; None: nobody's."""
        return next((owner for owner in self.owners if owner.controller), None)


class Object(Protocol):
    """Anything the store holds."""

    kind: ClassVar[str]

    @property
    def meta(self) -> ObjectMeta: ...


AnyObject = TypeVar("AnyObject", bound=Object)
T = TypeVar("T")


def with_meta(item: AnyObject, **changes: Any) -> AnyObject:
    """The same object with fields of its metadata changed."""
    return _changed(item, meta=_changed(item.meta, **changes))


def _changed(item: T, **changes: Any) -> T:
    """As `dataclasses.replace`, in half its time: the store does so with every object that it is given."""
    kind: Any = type(item)
    read, places = _fields(kind)
    values = list(read(item))
    for name, value in changes.items():
        values[places[name]] = value
    changed: T = kind(*values)
    return changed


@cache
def _fields(kind: type) -> tuple[Callable[[Any], tuple[Any, ...]], dict[str, int]]:
    """What reads all fields of a dataclass at once, and the place of each."""
    names = [field.name for field in fields(kind)]
    places = {name: place for place, name in enumerate(names)}
    if len(names) == 1:
        return lambda item: (getattr(item, names[0]),), places
    return attrgetter(*names), places


def name_of(item: Object) -> str:
    """`namespace/name`, or the name of an object that has no namespace."""
    return f"{item.meta.namespace}/{item.meta.name}" if item.meta.namespace else item.meta.name
