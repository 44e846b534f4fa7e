"""What Endpoints and EndpointSlices must be.

Source: ValidateEndpoints of `pkg/apis/core/validation/validation.go` and `pkg/apis/discovery/validation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from testbed.apiserver.validation.choices import ADDRESS_TYPES, PROTOCOLS
from testbed.apiserver.validation.formats import (
    dns_label,
    dns_subdomain,
    ip,
    label_value,
    non_special_ip,
    port_number,
    qualified_name,
)
from testbed.apiserver.validation.place import Place

_MOST_ENDPOINTS, _MOST_PORTS, _MOST_ADDRESSES = 1000, 20000, 100
_MOST_HINTS = 8


def endpoints(item: Place) -> None:
    """Subsets of addresses that have the same ports."""
    for subset in item["subsets"].items():
        ready, others, ports = subset["addresses"], subset["notReadyAddresses"], subset["ports"]
        if not ready and not others:
            subset.required("must specify `addresses` or `notReadyAddresses`")
        for address in (*ready.items(), *others.items()):
            _address(address)
        for port in ports.items():
            _port(port, needs_name=len(ports.list) > 1)


def _address(address: Place) -> None:
    text = address["ip"].text
    address["ip"].invalid(*(ip(text) or non_special_ip(text)), value=text)
    if address["hostname"]:
        address["hostname"].invalid(*dns_label(address["hostname"].text))
    if address["nodeName"]:
        address["nodeName"].invalid(*dns_subdomain(address["nodeName"].text))


def _port(port: Place, *, needs_name: bool) -> None:
    if port["name"]:
        port["name"].invalid(*dns_label(port["name"].text))
    elif needs_name:
        port["name"].required()
    port["port"].invalid(*port_number(port["port"].number), value=port["port"].number)
    _protocols(port)


def _protocols(port: Place) -> None:
    port["protocol"].one_of(PROTOCOLS)
    if port["appProtocol"]:
        port["appProtocol"].invalid(*qualified_name(port["appProtocol"].text))


def endpoint_slice(item: Place) -> None:
    """Endpoints of one address type."""
    kind = item["addressType"]
    kind.one_of(ADDRESS_TYPES)
    every, ports = item["endpoints"], item["ports"]
    if len(every.list) > _MOST_ENDPOINTS:
        every.too_many(_MOST_ENDPOINTS)
        return
    for endpoint in every.items():
        _endpoint(endpoint, kind.text)
    if len(ports.list) > _MOST_PORTS:
        ports.too_many(_MOST_PORTS)
        return
    names: set[str] = set()
    for port in ports.items():
        name = port["name"]
        if name:
            name.invalid(*dns_label(name.text))
        name.unique(name.text, names)
        if port["port"].value is not None:
            port["port"].invalid(*port_number(port["port"].number))
        _protocols(port)


def _endpoint(endpoint: Place, kind: str) -> None:
    addresses = endpoint["addresses"]
    if not addresses:
        addresses.required("must contain at least 1 address")
    elif len(addresses.list) > _MOST_ADDRESSES:
        addresses.too_many(_MOST_ADDRESSES)
    for address in addresses.items():
        address.invalid(*_of_type(address.text, kind))
    if endpoint["hostname"].value is not None:
        endpoint["hostname"].invalid(*dns_label(endpoint["hostname"].text))
    if endpoint["nodeName"].value is not None:
        endpoint["nodeName"].invalid(*dns_subdomain(endpoint["nodeName"].text))
    for key, what in (("forZones", label_value), ("forNodes", dns_subdomain)):
        hints = endpoint["hints"][key]
        if len(hints.list) > _MOST_HINTS:
            hints.too_many(_MOST_HINTS)
        seen: set[str] = set()
        for hint in hints.items():
            hint["name"].invalid(*what(hint["name"].text), value=hint["name"].text)
            hint["name"].unique(hint["name"].text, seen)


def _of_type(text: str, kind: str) -> list[str]:
    if kind == "FQDN":
        name = text.removesuffix(".")
        short = "should be a domain with at least two segments separated by dots"
        return dns_subdomain(name) or ([] if "." in name else [short])
    if kind not in ADDRESS_TYPES:
        return []
    if ip(text) or f"IPv{ip_address(text).version}" != kind:
        return [f"must be a valid {kind} address"]
    return non_special_ip(text)


def address_type_stays(item: Place, old: Mapping[str, Any]) -> None:
    item["addressType"].unchanged(old.get("addressType"))
