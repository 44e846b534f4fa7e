"""Which rules hold for which kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.apiserver.failure import Cause
from testbed.apiserver.validation.formats import (
    Format,
    dns_1035_label,
    dns_label,
    dns_subdomain,
    path_segment,
)
from testbed.apiserver.validation.metadata import metadata, metadata_update
from testbed.apiserver.validation.place import Place
from testbed.apiserver.validation.service import service, service_update

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """Of one kind: what its name looks like, what it must be, and what must stay when it replaces another."""

    name: Format = dns_subdomain
    checks: tuple[Callable[[Place], None], ...] = ()
    update: Callable[[Place, Json], None] | None = None


RULES: dict[str, Rules] = {
    "Namespace": Rules(dns_label),
    "Service": Rules(dns_1035_label, (service,), service_update),
    "Event": Rules(path_segment),
    "Endpoints": Rules(),
}


def mistakes(item: Json, old: Json | None = None) -> tuple[Cause, ...]:
    """Every mistake in an object, whose defaults are filled in and which is to be created, or to replace
    `old`.
    """
    rules = RULES.get(str(item.get("kind", "")), Rules())
    place = Place(item, "", [])
    if old is not None:
        metadata_update(place, old)
        if rules.update is not None:
            rules.update(place, old)
    else:
        metadata(place, rules.name)
    for check in rules.checks:
        check(place)
    return tuple(dict.fromkeys(place.causes))
