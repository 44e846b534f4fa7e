"""A Mininet Topo as the physical network: what becomes of it, and what is said when it cannot be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import MissingFeature, TopologyError
from testbed.model import mininet_topo
from testbed.model.loader import load_text
from testbed.model.mininet_options import link_of
from testbed.model.shape import Shape
from testbed.model.topology import Topology

MODULE = """
from mininet.link import Link, TCLink
from mininet.node import Host, OVSKernelSwitch, Switch
from mininet.topo import Topo

class Router(Host): pass
class Tofino(Switch): pass
class Fibre(Link): pass

class Line(Topo):
    def build(self, n=2, **opts):
        print("building")
        before = None
        for number in range(1, n + 1):
            switch = self.addSwitch(f"s{number}", cls=OVSKernelSwitch)
            self.addLink(self.addHost(f"h{number}"), switch)
            if before:
                self.addLink(before, switch, cls=TCLink, **opts)
            before = switch

class Capitals(Topo):
    def build(self):
        self.addLink(self.addHost("H_1"), self.addSwitch("Core.1"))
        self.addLink(self.addHost("H_2"), "Core.1")

class Alike(Topo):
    def build(self):
        self.addLink(self.addHost("h.1"), self.addHost("h_1"))

class WithRouter(Topo):
    def build(self):
        self.addHost("r", cls=Router)
        self.addLink(self.addHost("a"), "r")
        self.addLink(self.addHost("b"), "r")

class Limited(Topo):
    def build(self):
        self.addLink(self.addHost("a", cpu=0.5), self.addHost("b"))

class Foreign(Topo):
    def build(self):
        self.addLink(self.addHost("a"), self.addSwitch("s", cls=Tofino))
        self.addLink(self.addHost("b"), "s")

class Glass(Topo):
    def build(self):
        self.addLink(self.addHost("a"), self.addHost("b"), cls=Fibre)

class Red(Topo):
    def build(self):
        self.addLink(self.addHost("a"), self.addHost("b"), enable_red=True)

class Empty(Topo):
    pass

class Broken(Topo):
    def build(self):
        raise ValueError("no good")

class Leaves(Topo):
    def build(self):
        raise SystemExit(3)

topos = {"short": lambda: Line(3)}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "beside.py").write_text("from mine import Line\nclass Longer(Line): pass\n")
    (tmp_path / "no_python.py").write_text("class (:\n")
    return tmp_path


def lab(folder: Path, underlay: str, more: str = "", *set_: str) -> Topology:
    text = f"name: x\nunderlay: {underlay}\n{more}"
    return load_text(text, "x.yaml", folder, set_)


def ends(topology: Topology) -> list[str]:
    return [":".join(link.endpoints) for link in topology.links]


OF_MININET = {
    "single, two hosts as with mn": ("{mininet: single}", ["h1:s1", "h2:s1"]),
    "single, by position": ("{mininet: single, args: [3]}", ["h1:s1", "h2:s1", "h3:s1"]),
    "linear": ("{mininet: linear, args: {k: 2}}", ["h1:s1", "h2:s2", "s2:s1"]),
    "a tree, links as they were added": (
        "{mininet: tree, args: {depth: 2, fanout: 2}}",
        ["s2:h1", "s2:h2", "s1:s2", "s3:h3", "s3:h4", "s1:s3"],
    ),
    "a file's class": ("{mininet: 'mine.py:Line'}", ["h1:s1", "h2:s2", "s1:s2"]),
    "a key of its topos": (
        "{mininet: 'mine.py:short'}",
        ["h1:s1", "h2:s2", "s1:s2", "h3:s3", "s2:s3"],
    ),
}


@pytest.mark.parametrize(("underlay", "links"), OF_MININET.values(), ids=OF_MININET)
def test_its_links_are_the_labs(folder: Path, underlay: str, links: list[str]) -> None:
    topology = lab(folder, underlay)
    assert ends(topology) == links
    hosts = {end for link in links for end in link.split(":") if end.startswith("h")}
    assert sorted(topology.nodes) == sorted(hosts)
    assert topology.runtime.nodes == "mininet"


def test_it_is_in_short_for_links_and_nodes(folder: Path) -> None:
    """What is resolved needs no Mininet to be read."""
    topology = lab(folder, "{mininet: linear}")
    assert topology.underlay is None
    dumped = topology.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert Topology.model_validate(dumped) == topology


def test_what_it_prints_is_no_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab(folder, "{mininet: 'mine.py:Line'}")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "building\n")


def test_hosts_may_stand_outside_and_a_runtime_may_be_said(folder: Path) -> None:
    more = "hosts: {h2: {}}\nruntime: netns\n"
    topology = lab(folder, "{mininet: linear}", more)
    assert (list(topology.nodes), list(topology.hosts)) == (["h1"], ["h2"])
    assert topology.runtime.nodes == "netns"


def test_names_are_made_to_fit(folder: Path) -> None:
    topology = lab(folder, "{mininet: 'mine.py:Capitals'}")
    assert ends(topology) == ["h-1:core-1", "h-2:core-1"]


def test_a_router_of_the_topo_is_one_of_the_lab(folder: Path) -> None:
    topology = lab(folder, "{mininet: 'mine.py:WithRouter'}", "routers: {r: {}}\nhosts: {b: {}}\n")
    assert (list(topology.nodes), list(topology.routers)) == (["a"], ["r"])


def test_arguments_can_be_set(folder: Path) -> None:
    topology = lab(folder, "{mininet: 'mine.py:Line'}", "", "underlay.args.n=4")
    assert list(topology.nodes) == ["h1", "h2", "h3", "h4"]


WRONG = {
    "no such Topo of Mininet": (
        "{mininet: trea}",
        "",
        "x.yaml:2:21: underlay.mininet: Mininet has no Topo trea (did you mean tree?)",
    ),
    "no such file": (
        "{mininet: 'my.py:Line'}",
        "",
        "there is no file my.py",
    ),
    "no such class": (
        "{mininet: 'mine.py:Lines'}",
        "",
        "mine.py has no Topo Lines",
    ),
    "no Python": (
        "{mininet: 'no_python.py:Line'}",
        "",
        "no_python.py cannot be built",
    ),
    "a module that is not beside it": (
        "{mininet: 'beside.py:Line'}",
        "",
        "beside.py has no Topo Line (it has Longer)",
    ),
    "an argument that it does not take": (
        "{mininet: tree, args: {k: 2}}",
        "",
        "x.yaml:2:33: underlay.args: tree cannot be built",
    ),
    "it raises": (
        "{mininet: 'mine.py:Broken'}",
        "",
        "cannot be built: mine.py:58: ValueError: no good",
    ),
    "it ends the interpreter": (
        "{mininet: 'mine.py:Leaves'}",
        "",
        "SystemExit: 3",
    ),
    "nothing in it": (
        "{mininet: 'mine.py:Empty'}",
        "",
        "mine.py:Empty builds no machine",
    ),
    "two names that become one": (
        "{mininet: 'mine.py:Alike'}",
        "",
        "h.1 and h_1 would both be called h-1",
    ),
    "a host with limits": (
        "{mininet: 'mine.py:Limited'}",
        "",
        "host a has cpu",
    ),
    "a switch that is no bridge": (
        "{mininet: 'mine.py:Foreign'}",
        "",
        "switch s is a Tofino",
    ),
    "a link that is no cable": (
        "{mininet: 'mine.py:Glass'}",
        "",
        "the link of a and b is a Fibre",
    ),
    "an option that no link has": (
        "{mininet: 'mine.py:Red'}",
        "",
        "has enable_red, which no link here can have",
    ),
    "a host that is a router": (
        "{mininet: 'mine.py:WithRouter'}",
        "",
        "the Topo's host r is a Router (what forwards packets belongs under routers:",
    ),
    "a node that it does not have": (
        "{mininet: linear}",
        "nodes: {h1: {}, h2: {}, h33: {}}",
        "x.yaml:3:25: nodes.h33: the Topo has no host h33",
    ),
    "a switch as a node": (
        "{mininet: linear}",
        "nodes: {h1: {}, h2: {}, s1: {}}",
        "s1 is a switch of the Topo",
    ),
    "a host that is nothing in the lab": (
        "{mininet: linear, args: {k: 8}}",
        "nodes: {h1: {}}",
        "the Topo's h2, h3, h4, h5, h6 and 2 more is nothing in the lab",
    ),
    "links beside it": (
        "{mininet: linear}",
        "links: [{endpoints: [h1, h2]}]",
        "x.yaml:3:1: links: the links are the Topo's",
    ),
    "another key": (
        "{mininet: linear, arg: {}}",
        "",
        "unknown key 'arg'",
    ),
    "no text": (
        "{mininet: 5}",
        "",
        "must be a text",
    ),
    "nothing": (
        "{}",
        "nodes: {a: {}}",
        "mininet is missing",
    ),
}


@pytest.mark.parametrize(("underlay", "more", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_place(
    folder: Path, underlay: str, more: str, said: str
) -> None:
    with pytest.raises(TopologyError) as caught:
        lab(folder, underlay, more)
    assert said in str(caught.value)


def test_without_mininet_the_remedy_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(mininet_topo.importlib, "import_module", missing)
    with pytest.raises(MissingFeature, match=re.escape("kube-testbed[mininet]")):
        lab(folder, "{mininet: linear}")


SHAPES = {
    "Mininet's units": (
        {"bw": 10, "delay": "5ms", "jitter": "1ms", "loss": 2, "max_queue_size": 50},
        (Shape(0.005, 0.001, 0.02, 1e7, 50),) * 2,
    ),
    "a bare delay is in microseconds, as tc has it": ({"delay": 500}, (Shape(0.0005),) * 2),
    "a rate one way": ({"params1": {"bw": 1}}, (Shape(), Shape(rate_bps=1e6))),
    "a rate the other way": ({"params2": {"bw": 1}}, (Shape(), Shape(rate_bps=1e6))),
    "what both have, but for one way": (
        {"delay": "2ms", "loss": 1, "params2": {"delay": "4ms", "loss": 0}},
        (Shape(0.002, loss=0.01), Shape(0.004)),
    ),
    "ways of offloading say nothing": ({"gro": True, "txo": False}, (Shape(),) * 2),
}


@pytest.mark.parametrize(("options", "shapes"), SHAPES.values(), ids=SHAPES)
def test_shapes_of_links(options: dict[str, Any], shapes: tuple[Shape, Shape]) -> None:
    link = link_of({"node1": "a", "node2": "b", **options}, {"a": "a", "b": "b"})
    text = {"name": "x", "nodes": {"a": {}, "b": {}}, "links": [dict(link)]}
    assert Topology.model_validate(text).links[0].shapes() == shapes
