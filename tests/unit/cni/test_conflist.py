"""Configuration lists: what a runtime takes from them, and what it could not work with."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.model.conflist import NetworkList, mistakes_of, network_list, types_of

PTP = {"type": "ptp", "ipam": {"type": "host-local"}}


def listed(**more: Any) -> dict[str, Any]:
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [PTP], **more}


@pytest.mark.parametrize(
    ("written", "want"),
    [
        (listed(), NetworkList("pods", ("1.0.0",), (PTP,))),
        (
            listed(cniVersions=["0.4.0", "1.1.0"]),
            NetworkList("pods", ("1.1.0", "1.0.0", "0.4.0"), (PTP,)),
        ),
        # A boolean was a text once.
        (listed(disableCheck="true"), NetworkList("pods", ("1.0.0",), (PTP,), disable_check=True)),
        (listed(disableGC=True), NetworkList("pods", ("1.0.0",), (PTP,), disable_gc=True)),
    ],
)
def test_what_a_runtime_goes_by(written: dict[str, Any], want: NetworkList) -> None:
    assert network_list(written) == want


def test_before_1_0_0_one_plugin_could_stand_alone() -> None:
    alone = {"cniVersion": "0.3.1", "name": "pods", **PTP}
    assert network_list(alone).plugins == (alone,)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            {"cniVersion": "1.0.0", "name": "pods", **PTP},
            "type: one plug-in's configuration is no list",
        ),
        (listed(plugins=[]), "plugins: a list needs plugins"),
        (listed(plugins=None), "a list needs plugins"),
        (listed(name=None), "name is missing"),
        (listed(cniVersion=None), "cniVersion is missing"),
        (listed(cniVersion="0.2.0", plugins=[PTP, PTP]), "from 0.3.0 on"),
        (listed(disableCheck="yes"), "disableCheck: must be true or false"),
        (listed(plugins=["ptp"]), "plugins[0]: must be a mapping"),
    ],
)
def test_mistakes(written: dict[str, Any], message: str) -> None:
    assert any(message in str(mistake) for mistake in mistakes_of(written))
    with pytest.raises(ValueError):
        network_list(written)


def test_executables_are_those_that_are_delegated_to_as_well() -> None:
    assert types_of([PTP, {"type": "portmap"}, PTP]) == ("ptp", "host-local", "portmap")
