"""What a Node must be, and what of it stays as it was.

Source: ValidateNode and ValidateNodeUpdate of `pkg/apis/core/validation/validation.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.apiserver.validation.choices import EFFECTS
from testbed.apiserver.validation.formats import cidr, label_value, qualified_name
from testbed.apiserver.validation.place import Place


def node(item: Place) -> None:
    """Taints and ranges of pods."""
    spec = item["spec"]
    seen: set[tuple[str, str]] = set()
    for taint in spec["taints"].items():
        key, effect = taint["key"], taint["effect"]
        key.invalid(*qualified_name(key.text), value=key.text)
        if wrong := label_value(taint["value"].text):
            taint["value"].invalid(";".join(wrong))
        effect.one_of(EFFECTS)
        if (key.text, effect.text) in seen:
            pair = {"key": key.text, "effect": effect.text}
            taint.duplicate(pair)
        seen.add((key.text, effect.text))
    ranges = spec["podCIDRs"]
    for one in ranges.items():
        one.invalid(*cidr(one.text))
    if len(ranges.list) > 2 or len({":" in one for one in ranges.list}) < len(ranges.list):
        ranges.invalid("may specify no more than one CIDR for each IP family")
    if ranges and spec["podCIDR"].text not in {"", ranges.list[0]}:
        spec["podCIDR"].invalid("must be equal to the first of `podCIDRs`")


def node_update(item: Place, old: Mapping[str, Any]) -> None:
    """Once it has them it keeps its ranges of pods and its provider's name for it."""
    spec, was = item["spec"], old.get("spec", {})
    if was.get("podCIDRs") and list(spec["podCIDRs"].list) != list(was["podCIDRs"]):
        spec["podCIDRs"].forbidden('node updates may not change podCIDR except from "" to valid')
    if was.get("providerID") and spec["providerID"].text != was["providerID"]:
        spec["providerID"].forbidden(
            'node updates may not change providerID except from "" to valid'
        )
