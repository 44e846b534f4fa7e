"""All that IPVS mode keeps in one node's kernel: what every node has, and what only this one has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from testbed.proxy.ipvs_layers import (
    ADDRESS,
    DENIED,
    IPSET,
    IPVS,
    SHORT,
    Contested,
    Item,
    Layer,
    Merged,
    Touched,
    following,
    fresh,
    items_of,
    touched_since,
)
from testbed.proxy.ipvs_residents import Residents
from testbed.proxy.ipvs_services import (
    DEVICE,
    Lines,
    Part,
    Site,
    Style,
    bound,
    common_part,
    own_part,
)
from testbed.proxy.ipvs_sets import Set, creation, set_name, sets_of
from testbed.proxy.ruleset import Chains, Ruleset, changed_chains
from testbed.proxy.table import Entries, ForwardingTable, ServicePortEntry
from testbed.shared_map import SharedMap
from testbed.store import Key

DEVICE_KEY = "device"


@dataclass(frozen=True, slots=True)
class Assembled:
    """The sections of a plan, and the layers that the next one is derived from."""

    style: Style
    site: Site
    entries: SharedMap[Key, Entries]
    residents: Residents
    common: Layer
    own: Layer
    sections: Mapping[str, Chains]
    rules: Mapping[str, Chains] = field(default_factory=dict)
    """Tables filter and nat."""

    def changed_chains(self, before: object) -> int | None:
        """See `ruleset.Remembering`: keys of the sections count as chains."""
        known = touched(before, self) if isinstance(before, Assembled) else None
        if known is None or not isinstance(before, Assembled):
            return None
        keys = sum(
            before.sections[one.section].get(one.key) != self.sections[one.section].get(one.key)
            for one in known
            if one.section in self.sections
        )
        return keys + changed_chains(Ruleset(before.rules), Ruleset(self.rules))

    @property
    def denied(self) -> tuple[str, ...]:
        """Rules of KUBE-IPVS-OUT-FILTER, sorted."""
        return tuple(sorted(self.common.sections[DENIED]))

    @property
    def short(self) -> tuple[tuple[str, str], ...]:
        """What KUBE-CLUSTER-TRAFFIC matches, and where it leads ("": nowhere else), sorted."""
        items = Merged(self.common.sections[SHORT], self.own.sections[SHORT]).items()
        return tuple(sorted((where, "".join(target)) for where, target in items))

    @property
    def filled(self) -> frozenset[str]:
        """Names of the sets that have entries."""
        return frozenset(
            name for one in (self.common, self.own) for name, size in one.sizes.items() if size
        )


def assemble(
    table: ForwardingTable, style: Style, site: Site, before: Assembled | None
) -> Assembled:
    """The sections of a table; those before, this node's or another's, only save work."""
    if before and before.style != style:
        before = None
    changed = table.by_service.changed_since(before.entries).values() if before else ()
    exchange = _Exchange(
        [entry for then, _ in changed for entry in then or ()],
        [entry for _, now in changed for entry in now or ()],
    )
    common = _derived(
        before.common if before else None, exchange, lambda entry: common_part(entry, style)
    ) or fresh(_items(table.ports, lambda entry: common_part(entry, style)))
    residents = before.residents if before and not changed else Residents(table.ports)
    own = _derived(
        before.own if before and before.site == site else None,
        exchange,
        lambda entry: own_part(entry, style, site),
    ) or fresh(residents.items(style, site))
    sections = _sections(style, site, common, own)
    return Assembled(style, site, table.by_service, residents, common, own, sections)


Wants = Callable[[ServicePortEntry], Part]


class _Exchange(NamedTuple):
    """The service ports that are there no more, and those that were not."""

    gone: list[ServicePortEntry]
    come: list[ServicePortEntry]


def _derived(before: Layer | None, exchange: _Exchange, wants: Wants) -> Layer | None:
    """The layer that follows; None where it takes all service ports to tell."""
    if before is None:
        return None
    try:
        return following(before, _items(exchange.gone, wants), _items(exchange.come, wants))
    except Contested:
        return None


def _items(entries: Iterable[ServicePortEntry], wants: Wants) -> Iterator[Item]:
    for entry in entries:
        yield from items_of(wants(entry))


def touched(have: Assembled, want: Assembled) -> frozenset[Touched] | None:
    """The keys that may differ between two plans; None where nobody knows."""
    if (have.style, have.site) != (want.style, want.site):
        return None
    common = touched_since(have.common, want.common)
    own = touched_since(have.own, want.own)
    return None if common is None or own is None else common | own


def _sections(style: Style, site: Site, common: Layer, own: Layer) -> dict[str, Chains]:
    device: Lines = {DEVICE_KEY: (f"link add {DEVICE} type dummy",)}
    sets: Lines = {
        set_name(one, style.family): (creation(one, style.family),)
        for one in sets_of(style.documented)
    }
    # An address that the node has anyway is not bound to the dummy device.
    unbound = [key for ip in site.own_ips for key in bound(ip, style)]
    unlisted = [f"{set_name(Set.IPVS_IPS, style.family)} {ip}" for ip in site.own_ips]
    return {
        ADDRESS: Merged(common.sections[ADDRESS], device, without=unbound),
        IPSET: Merged(common.sections[IPSET], own.sections[IPSET], sets, without=unlisted),
        IPVS: Merged(common.sections[IPVS], own.sections[IPVS]),
    }
