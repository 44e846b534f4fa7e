"""A Service's cluster addresses and IP families: what may be asked for, and what of it stays as it was.

Source: ValidateServiceClusterIPsRelatedFields and validateUpgradeDowngradeClusterIPs of
`pkg/apis/core/validation/validation.go`. `clusterIP` alone stands for the first of `clusterIPs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from testbed.apiserver.validation.choices import IP_FAMILIES, IP_FAMILY_POLICIES
from testbed.apiserver.validation.formats import ip
from testbed.apiserver.validation.place import Place

_ONCE_SET = "may not change once set"


def cluster_ips(spec: Mapping[str, Any]) -> list[str]:
    """The cluster addresses of a service's spec, by either field."""
    one = spec.get("clusterIP")
    return list(spec.get("clusterIPs") or ()) or ([one] if one else [])


def is_headless(spec: Mapping[str, Any]) -> bool:
    return cluster_ips(spec) == ["None"]


def addresses_and_families(spec: Place) -> None:
    """Cluster addresses, their families and the policy, of a service that has any."""
    several, families = spec["clusterIPs"], spec["ipFamilies"]
    if several and spec["clusterIP"].text not in {"", several.list[0]}:
        several.invalid("first value must match `clusterIP`")
    seen: set[Any] = set()
    for family in families.items():
        family.one_of(IP_FAMILIES)
        family.unique(family.text, seen)
    spec["ipFamilyPolicy"].one_of(IP_FAMILY_POLICIES, required=False)
    addresses = Place(cluster_ips(spec.mapping), "spec.clusterIPs", spec.causes)
    if _are_addresses(addresses) and not is_headless(spec.mapping):
        _fit_each_other(addresses, families)


def _are_addresses(addresses: Place) -> bool:
    """Whether each is one, or the only one is None."""
    before = len(addresses.causes)
    for index, address in enumerate(addresses.items()):
        if index == 0 and address.text == "None":
            if len(addresses.list) > 1:
                addresses.invalid("'None' must be the first and only value")
        else:
            address.invalid(*ip(address.text))
    if len(addresses.list) > 2:
        addresses.invalid("may only hold up to 2 values")
    return len(addresses.causes) == before


def _fit_each_other(addresses: Place, families: Place) -> None:
    found = [f"IPv{ip_address(address).version}" for address in addresses.list]
    if len({*found}) < len(found):
        addresses.invalid("may specify no more than one IP for each IP family")
    for index, (address, is_of) in enumerate(zip(addresses.items(), found, strict=True)):
        wanted = families.list[index] if index < len(families.list) else is_of
        if is_of != wanted and wanted in IP_FAMILIES:
            address.invalid(f"expected an {wanted} value as indicated by `ipFamilies[{index}]`")


def addresses_update(spec: Place, old: Mapping[str, Any]) -> None:
    """The primary address and family stay; a second one may come, and goes with SingleStack. What the new spec
    leaves out altogether stays as it was.
    """
    if "ExternalName" in {spec["type"].text, old.get("type")}:
        return
    was_headless, is_now = is_headless(old), is_headless(spec.mapping)
    if was_headless and is_now:
        return
    now = cluster_ips(spec.mapping)
    _kept(spec, Place(now, "spec.clusterIPs", spec.causes), cluster_ips(old), "clusterIP")
    if was_headless == is_now:
        families = spec["ipFamilies"]
        _kept(spec, families, list(old.get("ipFamilies") or ()), "ipFamily")


def _kept(spec: Place, now: Place, before: list[str], what: str) -> None:
    if not now.list or not before:
        return
    pairs = list(zip(now.list, before, strict=False))
    same_length = len(now.list) == len(before)
    for index, (one, other) in enumerate(pairs if same_length else pairs[:1]):
        if one != other:
            Place(now.value, f"{now.path}[{index}]", now.causes).invalid(_ONCE_SET)
    policy = spec["ipFamilyPolicy"]
    if len(now.list) < len(before) and policy.text != "SingleStack":
        policy.invalid(f"must be set to 'SingleStack' when releasing the secondary {what}")
