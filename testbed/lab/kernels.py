"""Which kernel carries a lab: the host's, or a guest (`kernel: host | uml | auto`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from testbed.errors import MissingFeature
from testbed.kernel import features, guests
from testbed.kernel.features import Feature
from testbed.kernel.guests import GuestKernel
from testbed.lab.backends import BACKENDS
from testbed.model.topology import Topology
from testbed.sandbox.guest_features import features_of

Say = Callable[[str], None]
Variant = Literal["nft", "legacy"]
_VARIANTS: tuple[Variant, ...] = ("nft", "legacy")


@dataclass(frozen=True, slots=True)
class Carrier:
    """A kernel for a lab, and features that were found to work on it. `guest` None: the host's kernel."""

    guest: GuestKernel | None = None
    known: frozenset[Feature] = frozenset()


def choose(topologies: Iterable[Topology], say: Say = lambda text: None) -> Carrier:
    """The one kernel that can carry each of these: what is compared runs on one kernel.

    Raises MissingFeature that says what each kernel lacks, and the remedy.
    """
    wanted = tuple(topologies)
    asked = {topology.kernel for topology in wanted}
    if asked == {"host"}:
        return Carrier()
    lacking = []
    if "uml" not in asked:
        carrier, lacks = _host(wanted)
        if carrier is not None:
            return carrier
        lacking.append(lacks)
    if "host" in asked:
        what = lacking[0] if lacking else "some ask for kernel: uml"
        raise MissingFeature(f"these topologies have no kernel in common: {what}", "kernel: auto")
    for guest in guests.installed():
        carrier, lacks = _guest(wanted, guest, say)
        if carrier is not None:
            return carrier
        lacking.append(lacks)
    raise MissingFeature("; ".join(lacking) or "there is no guest kernel here", _remedy())


def _remedy() -> str:
    names = {guest.name for guest in guests.installed()}
    missing = [guests.REMEDIES[name] for name in guests.REMEDIES if name not in names]
    return " or ".join(missing) or "`testbed doctor` says which modes run where"


def _host(topologies: tuple[Topology, ...]) -> tuple[Carrier | None, str]:
    """The host as the carrier, or what it lacks."""
    variant: Variant = "nft" if os.geteuid() == 0 else "legacy"
    needs = needed(topologies, variant)
    statuses = features.probe(sorted(needs))
    absent = [status for status in statuses if not status.available]
    if not absent:
        return Carrier(None, needs), ""
    names = ", ".join(f"{status.feature} ({status.detail})" for status in absent)
    return None, f"the host's kernel lacks {names}"


def _guest(
    topologies: tuple[Topology, ...], guest: GuestKernel, say: Say
) -> tuple[Carrier | None, str]:
    known = features_of(guest, say)
    variant: Variant = "nft" if Feature.IPTABLES_NFT in known else "legacy"
    absent = sorted(needed(topologies, variant) - known)
    if absent:
        return None, f"the {guest.name} guest kernel ({guest.release}) lacks {', '.join(absent)}"
    return Carrier(guest, known), ""


def needed(topologies: Iterable[Topology], variant: Variant) -> frozenset[Feature]:
    """What a kernel must have; `variant` is what `proxy.iptables.variant: auto` means there."""
    found = {Feature.CONNTRACK}
    for topology in topologies:
        plain = _with_variant(topology, variant)
        if plain.proxy.mode in BACKENDS:
            backend = BACKENDS[plain.proxy.mode](plain, 4)
            found |= set(map(Feature, backend.needs))
        if any(link.delay_s or link.rate_bps or link.loss for link in plain.links):
            found.add(Feature.NETEM)
    return frozenset(found)


def _with_variant(topology: Topology, variant: Variant) -> Topology:
    if topology.proxy.iptables.variant != "auto":
        return topology
    iptables = topology.proxy.iptables.model_copy(update={"variant": variant})
    proxy = topology.proxy.model_copy(update={"iptables": iptables})
    return topology.model_copy(update={"proxy": proxy})


@dataclass(frozen=True, slots=True)
class KernelModes:
    """A kernel of this host, and the proxy modes it has; `file` is "" for the host's own."""

    name: str
    release: str
    file: str
    modes: tuple[str, ...]
    features: frozenset[Feature]

    def to_json(self) -> dict[str, Any]:
        """The row that `kernel ls` prints."""
        return {
            "name": self.name,
            "release": self.release,
            "file": self.file,
            "modes": list(self.modes),
        }


def kernels(say: Say = lambda text: None) -> list[KernelModes]:
    """The kernels that can carry a lab here: the host's, then the guests, the one that can most first."""
    statuses = features.probe(name for name, trial in features.TRIALS.items() if trial.sandboxed)
    host = frozenset(status.feature for status in statuses if status.available)
    found = [KernelModes("host", os.uname().release, "", modes(host), host)]
    for guest in guests.installed():
        known = features_of(guest, say)
        found.append(KernelModes(guest.name, guest.release, str(guest.binary), modes(known), known))
    return found


def modes(known: frozenset[Feature]) -> tuple[str, ...]:
    """The labels of the proxy modes that a kernel with these features has."""
    found = []
    for mode in BACKENDS:
        for variant in _VARIANTS:
            proxy = {"mode": mode, "iptables": {"variant": variant}}
            topology = Topology.model_validate({"name": "any", "nodes": {"n1": {}}, "proxy": proxy})
            label = f"{mode}-{variant}" if mode == "iptables" else mode
            if label not in found and needed([topology], variant) <= known:
                found.append(label)
    return tuple(found)
