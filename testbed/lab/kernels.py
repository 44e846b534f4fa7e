"""Which kernel carries a lab: the host's, or a guest (`kernel: host | uml | auto`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from testbed.errors import MissingFeature, TestbedError, UsageError
from testbed.kernel import features, guests
from testbed.kernel.capabilities import root_remedy
from testbed.kernel.features import Feature, FeatureStatus
from testbed.kernel.guests import GuestKernel
from testbed.lab.backends import BACKENDS, pod_network_needs
from testbed.lab.edge_providers import provider_needs
from testbed.model.topology import Topology
from testbed.sandbox.guest_features import features_of
from testbed.sandbox.world import in_user_namespace

Say = Callable[[str], None]
Variant = Literal["nft", "legacy"]
_VARIANTS: tuple[Variant, ...] = ("nft", "legacy")


@dataclass(frozen=True, slots=True)
class Carrier:
    """A kernel for a lab, and features that were found to work on it. `guest` None: the host's kernel."""

    guest: GuestKernel | None = None
    known: frozenset[Feature] = frozenset()


def choose(
    topologies: Iterable[Topology],
    say: Say = lambda text: None,
    also: frozenset[Feature] = frozenset(),
) -> Carrier:
    """The one kernel that can carry each of these: what is compared runs on one kernel.

    `also` are features that are needed besides those of the topologies.
    Raises MissingFeature that says what each kernel lacks, and the remedy.
    """
    wanted = tuple(topologies)
    # The Docker daemon's containers are on the host's kernel.
    asked = {"host" if one.runtime.uses_docker else one.kernel for one in wanted}
    if asked == {"host"}:
        features.require(*sorted(also))
        return Carrier()
    if os.geteuid() != 0:  # a guest too lives in a world of its user's
        features.require(Feature.USER_NAMESPACES)
    if {"host", "uml"} <= asked:
        raise UsageError(
            "some topologies ask for kernel: host, some for uml", "compare on one kernel"
        )
    if remedy := root_remedy():  # a guest kernel's wire needs them, too
        raise MissingFeature("root may not make namespaces and links here", remedy)
    refusals: list[_Refusal] = []
    for attempt in _attempts(wanted, also, guests_only="uml" in asked, say=say):
        if isinstance(attempt, Carrier):
            return attempt
        refusals.append(attempt)
        _require_tools(attempt.absent)
        if "host" in asked:
            break
    said = "; ".join(refusal.text for refusal in refusals)
    raise MissingFeature(said or "there is no guest kernel on this host", _remedy())


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a kernel cannot carry a lab."""

    kernel: str
    release: str
    absent: frozenset[Feature]

    @property
    def text(self) -> str:
        return f"the {self.kernel} kernel ({self.release}) lacks {', '.join(sorted(self.absent))}"


def _require_tools(absent: Iterable[Feature]) -> None:
    """A program that is not installed is missing on every kernel: the guests have the host's files."""
    lacking = [feature for feature in sorted(absent) if features.missing_package(feature)]
    if lacking:
        tools = sorted({features.TRIALS[feature].tool for feature in lacking})
        packages = sorted({features.missing_package(feature) for feature in lacking})
        raise MissingFeature(
            " and ".join(f"{tool} is not installed" for tool in tools),
            f"apt-get install --no-install-recommends {' '.join(packages)}",
        )


def _remedy() -> str:
    """What a container withholds, else the guest kernels that are not there yet."""
    if remedy := root_remedy():
        return remedy
    names = {guest.name for guest in guests.installed()}
    missing = [remedy for name, remedy in guests.REMEDIES.items() if name not in names]
    return " or ".join(missing) or "`testbed kernel ls` says which modes each kernel has"


def _attempts(
    topologies: tuple[Topology, ...], also: frozenset[Feature], *, guests_only: bool, say: Say
) -> Iterator[Carrier | _Refusal]:
    """Each kernel in the order of preference: as a carrier, or what it lacks."""
    if not guests_only:
        is_root = os.geteuid() == 0 and not in_user_namespace()
        needs = needed(topologies, "nft" if is_root else "legacy") | also
        works = {status.feature for status in features.probe(sorted(needs)) if status.available}
        absent = needs - works
        yield _Refusal("host's", os.uname().release, absent) if absent else Carrier(None, needs)
    for guest in guests.installed():
        known = features_of(guest, say)
        needs = needed(topologies, "nft" if Feature.IPTABLES_NFT in known else "legacy") | also
        known |= _programs(needs)
        absent = needs - known
        refusal = _Refusal(f"{guest.name} guest", guest.release, absent)
        yield refusal if absent else Carrier(guest, known)


def _programs(needs: Iterable[Feature]) -> frozenset[Feature]:
    """Those of the needs that are a program which answers here: the guests have the host's files."""
    asked = sorted(feature for feature in needs if not features.TRIALS[feature].sandboxed)
    return frozenset(status.feature for status in features.probe(asked) if status.available)


def needed(topologies: Iterable[Topology], variant: Variant) -> frozenset[Feature]:
    """What a kernel must have; `variant` is what `proxy.iptables.variant: auto` means there."""
    found = {Feature.CONNTRACK}
    for topology in topologies:
        if 6 in topology.network.families:
            found.add(Feature.IPV6)
        found |= provider_needs(topology)
        found |= {Feature.HAPROXY} if topology.ingress is not None else set()
        if topology.serves_sctp:
            found.add(Feature.SCTP)
        plain = _with_variant(topology, variant)
        if plain.proxy.mode in BACKENDS:
            for family in plain.network.families:
                found |= set(map(Feature, BACKENDS[plain.proxy.mode](plain, family).needs))
        found |= set(map(Feature, pod_network_needs(plain)))
        shapes = [shape for link in plain.all_links for shape in link.shapes()]
        if not all(shape.nothing for shape in shapes):
            found.add(Feature.TBF)
        if any(shape.needs_netem for shape in shapes):
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
    tried = (name for name, trial in features.TRIALS.items() if trial.sandboxed)
    return kernels_of(features.probe(tried), say)


def kernels_of(statuses: Iterable[FeatureStatus], say: Say) -> list[KernelModes]:
    """As `kernels`, where the host has been tried already."""
    host = frozenset(status.feature for status in statuses if status.available)
    found = [KernelModes("host", os.uname().release, "", modes(host), host)]
    for guest in guests.installed():
        known = _known(guest, say)
        found.append(KernelModes(guest.name, guest.release, str(guest.binary), modes(known), known))
    return found


def _known(guest: GuestKernel, say: Say) -> frozenset[Feature]:
    """For a list: a guest that does not boot has nothing, and why is said."""
    try:
        return features_of(guest, say)
    except TestbedError as error:
        say(f"the {guest.name} guest kernel: {error}")
        return frozenset()


@dataclass(frozen=True, slots=True)
class ModeKernels:
    """A proxy mode, the kernels that have it, and what to do for those that could."""

    mode: str
    kernels: tuple[str, ...]
    remedy: str

    def to_json(self) -> dict[str, Any]:
        """The row of `doctor`'s second table."""
        return {"mode": self.mode, "kernels": list(self.kernels), "remedy": self.remedy}


def mode_kernels(found: Sequence[KernelModes]) -> list[ModeKernels]:
    """Every mode, and where it runs."""
    rows = []
    for mode in modes(frozenset(Feature)):
        able = tuple(one.name for one in found if mode in one.modes)
        names = {one.name for one in found}
        missing = [remedy for name, remedy in guests.REMEDIES.items() if name not in names]
        remedy = "" if able else " or ".join(missing)
        rows.append(ModeKernels(mode, able, remedy))
    return rows


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
