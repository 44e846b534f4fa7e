"""A Mininet Topo -> the machines and links of a topology. Runs the Topo's own `build`, and nothing else of it.

`underlay: {mininet: …}` names it as `FILE.py:NAME` (a class, or a key of the file's `topos`, as `mn --custom`
has it), or as one that comes with Mininet.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import runpy
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import MissingFeature
from testbed.model.mininet_options import OptionError, link_of, refuse_switches, special_hosts
from testbed.spelling import nearest

REMEDY = "pip install 'kube-testbed[mininet]'; apt-get install --no-install-recommends mininet"
WITH_MININET: Mapping[str, tuple[str, str]] = {
    "minimal": ("mininet.topo", "MinimalTopo"),
    "single": ("mininet.topo", "SingleSwitchTopo"),
    "reversed": ("mininet.topo", "SingleSwitchReversedTopo"),
    "linear": ("mininet.topo", "LinearTopo"),
    "tree": ("mininet.topolib", "TreeTopo"),
    "torus": ("mininet.topolib", "TorusTopo"),
}
"""Those of `mn --topo`, by its names."""
_EXAMPLE = "as in mininet: fattree.py:FatTree, or one of " + ", ".join(WITH_MININET)


class TopoError(Exception):
    """What is wrong with a Topo. `key` is the one of `underlay` that it is about."""

    def __init__(self, message: str, hint: str = "", key: str = "mininet") -> None:
        super().__init__(message)
        self.message, self.hint, self.key = message, hint, key


@dataclass(frozen=True, slots=True)
class TopoPlan:
    """What a Topo says, in words of a topology. `hosts` and `switches` are in its order."""

    hosts: tuple[str, ...]
    switches: tuple[str, ...]
    links: tuple[Mapping[str, Any], ...]
    """Entries of `links:`."""
    special: Mapping[str, str]
    """Hosts that are more than plain ones, and what each is."""


def load_topo(reference: str, args: Any, directory: Path) -> TopoPlan:
    """The Topo that `reference` names, built with `args`, a mapping or a list. Files lie in `directory`.

    Raises TopoError, and MissingFeature where Mininet is not installed.
    """
    topo, order = _built(_maker(reference, directory), args, reference)
    names = _names([str(node) for node in topo.nodes(sort=False)])
    infos = {names[str(node)]: topo.nodeInfo(node) for node in topo.nodes(sort=False)}
    switches = tuple(names[str(one)] for one in topo.switches())
    try:
        refuse_switches({name: infos[name] for name in switches})
        return TopoPlan(
            tuple(names[str(one)] for one in topo.hosts()),
            switches,
            tuple(link_of(info, names) for info in order),
            special_hosts({name: info for name, info in infos.items() if name not in switches}),
        )
    except OptionError as error:
        raise TopoError(error.message, error.hint) from None


def _maker(reference: str, directory: Path) -> Any:
    """What is called to have the Topo."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # distutils, which newer interpreters get from setuptools
        try:
            importlib.import_module("mininet.topo")
        except ImportError as error:
            raise MissingFeature(f"Mininet is not installed: {error}", REMEDY) from None
        file, colon, name = reference.rpartition(":")
        if colon:
            return _of_file(directory / file, file, name)
        if reference not in WITH_MININET:
            meant = nearest(reference, WITH_MININET)
            hint = f"did you mean {meant}?" if meant else _EXAMPLE
            raise TopoError(f"Mininet has no Topo {reference}", hint)
        module, name = WITH_MININET[reference]
        return getattr(importlib.import_module(module), name)


def _of_file(path: Path, shown: str, name: str) -> Any:
    if not path.is_file():
        raise TopoError(f"there is no file {shown}", "it is relative to the topology's directory")
    sys.path.insert(0, str(path.parent))  # what it imports may lie beside it
    try:
        with _told_apart(shown):
            found = runpy.run_path(str(path), run_name="testbed_topo")
    finally:
        sys.path.remove(str(path.parent))
    topos = found.get("topos")
    known = dict(topos) if isinstance(topos, Mapping) else {}
    base = importlib.import_module("mininet.topo").Topo
    known |= {
        key: value
        for key, value in found.items()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == "testbed_topo"
    }
    if name not in known:
        hint = f"it has {', '.join(map(str, known))}" if known else "a class derived from Topo"
        raise TopoError(f"{shown} has no Topo {name}", hint)
    return known[name]


def _built(maker: Any, args: Any, reference: str) -> tuple[Any, list[Mapping[str, Any]]]:
    """The Topo, and its links in the order in which they were added: interfaces are numbered by it."""
    module: Any = importlib.import_module("mininet.topo")
    order: list[Mapping[str, Any]] = []

    class Graph(module.MultiGraph):  # type: ignore[misc]
        def add_edge(
            self, src: Any, dst: Any, key: Any = None, attr_dict: Any = None, **attrs: Any
        ) -> Any:
            made = super().add_edge(src, dst, key, attr_dict, **attrs)
            order.append(self.edge[src][dst][made])
            return made

    plain = module.MultiGraph
    module.MultiGraph = Graph
    try:
        with _told_apart(reference, key="args"):
            topo = maker(**args) if isinstance(args, Mapping) else maker(*args)
    finally:
        module.MultiGraph = plain
    if not hasattr(topo, "nodes") or not list(topo.nodes()):
        raise TopoError(f"{reference} builds no machine", "its build() adds hosts and links")
    return topo, order


@contextlib.contextmanager
def _told_apart(shown: str, key: str = "mininet") -> Iterator[None]:
    """What the user's code prints is no answer of ours, and what it raises is its own mistake."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        where = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}: " if at else ""
        message = f"{shown} cannot be built: {where}{type(error).__name__}: {error}"
        raise TopoError(message, "it has to build without a network", key) from None


def _names(real: list[str]) -> dict[str, str]:
    """What each machine is called in the lab: in small letters, and dashes for what a name cannot have."""
    found: dict[str, str] = {}
    for one in real:
        name = re.sub(r"[^a-z0-9-]+", "-", one.lower()).strip("-")
        if not name or len(name) > 63:
            raise TopoError(f"{one!r} cannot be a machine's name", "letters, digits and dashes")
        other = next((key for key, value in found.items() if value == name), None)
        if other is not None:
            raise TopoError(f"{other} and {one} would both be called {name}", "rename one of them")
        found[one] = name
    return found
