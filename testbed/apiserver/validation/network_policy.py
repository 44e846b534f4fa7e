"""What a NetworkPolicy must be.

Source: `pkg/apis/networking/validation/validation.go`.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from testbed.apiserver.validation.choices import POLICY_TYPES, PROTOCOLS
from testbed.apiserver.validation.formats import cidr, port_name, port_number
from testbed.apiserver.validation.metadata import label_selector
from testbed.apiserver.validation.place import Place


def network_policy(item: Place) -> None:
    """Whom it is for, and who may talk with them."""
    spec = item["spec"]
    label_selector(spec["podSelector"])
    for rules, peers in (("ingress", "from"), ("egress", "to")):
        for rule in spec[rules].items():
            for port in rule["ports"].items():
                _port(port)
            for peer in rule[peers].items():
                _peer(peer)
    if len(spec["policyTypes"].list) > len(POLICY_TYPES):
        spec["policyTypes"].invalid("may not specify more than two policyTypes")
        return
    for kind in spec["policyTypes"].items():
        kind.one_of(POLICY_TYPES)


def _port(port: Place) -> None:
    port["protocol"].one_of(PROTOCOLS, required=False)
    first, last = port["port"], port["endPort"]
    if first.value is None:
        if last.value is not None:
            last.invalid("may not be specified when `port` is not specified")
    elif isinstance(first.value, str):
        if last.value is not None:
            last.invalid("may not be specified when `port` is non-numeric")
        first.invalid(*port_name(first.text))
    else:
        first.invalid(*port_number(first.number))
        if last.value is not None:
            if last.number < first.number:
                last.invalid("must be greater than or equal to `port`")
            last.invalid(*port_number(last.number))


def _peer(peer: Place) -> None:
    found = [
        key
        for key in ("podSelector", "namespaceSelector", "ipBlock")
        if peer[key].value is not None
    ]
    if not found:
        peer.required("must specify a peer")
    elif len(found) > 1 and "ipBlock" in found:
        peer.forbidden("may not specify both ipBlock and another peer")
    for key in ("podSelector", "namespaceSelector"):
        label_selector(peer[key])
    if "ipBlock" in found:
        _block(peer["ipBlock"])


def _block(block: Place) -> None:
    whole = block["cidr"]
    if not whole:
        whole.required()
        return
    wrong = cidr(whole.text)
    whole.invalid(*wrong)
    for part in block["except"].items():
        if mistakes := cidr(part.text):
            part.invalid(*mistakes)
        elif not wrong and not _is_less(part.text, whole.text):
            part.invalid("must be a strict subset of `cidr`")


def _is_less(part: str, whole: str) -> bool:
    """Whether one range is a part of the other."""
    small: IPv4Network | IPv6Network = ip_network(part, strict=False)
    large: IPv4Network | IPv6Network = ip_network(whole, strict=False)
    return small.prefixlen > large.prefixlen and small.network_address in large
