"""What a shell may offer next: asked by the code that `testbed completion` prints, at every TAB.

Whoever presses TAB waits for it, so it imports the one command that is typed, and asks a lab by its
control socket without loading the rest. Nothing here raises: a shell shows no errors.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import argcomplete
from argcomplete.completers import FilesCompleter

from testbed.cli.main import COMMANDS, Parser, module_of
from testbed.errors import TestbedError

PATIENCE_S = 5.0
"""How long a busy lab may keep a shell waiting: an answer that is late is better than none."""

Completer = Callable[..., Iterable[str]]


def complete() -> None:
    """Answer the shell, and end this process."""
    parser = Parser(prog="testbed")
    parser.add_argument("--version", action="store_true")
    parts = parser.add_subparsers(parser_class=Parser)
    for name, text in COMMANDS.items():
        part = parts.add_parser(name, help=text)
        if name == _typed():
            module_of(name).add_arguments(part)
            for action in part._actions:
                if action.choices is None and action.dest in COMPLETERS:
                    cast(Any, action).completer = COMPLETERS[action.dest]
    argcomplete.autocomplete(parser, always_complete_options=False)


def _typed() -> str:
    """The command of the line that is being typed."""
    with suppress(ValueError):  # a quotation that is still open
        words = shlex.split(os.environ.get("COMP_LINE", ""))
        return words[1] if len(words) > 1 else ""
    return ""


def labs(**_: Any) -> list[str]:
    """The labs that run."""
    from testbed.lab import registry

    return registry.names()


def places(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Nodes and pods of the lab that is named already; a pod of another namespace with that."""
    seen = _inspected(parsed_args)
    pods = [
        pod["name"] if pod["namespace"] == "default" else f"{pod['namespace']}/{pod['name']}"
        for pod in seen.get("pods", [])
    ]
    return [*nodes(parsed_args), *pods, *_of_links(parsed_args, seen)]


def _of_links(parsed_args: argparse.Namespace, seen: Mapping[str, Any]) -> list[str]:
    """Links, and what they join: where faults of links are."""
    from testbed.faults.link_fault import LINK_KINDS

    if getattr(parsed_args, "kind", None) not in LINK_KINDS:
        return []
    links = seen.get("links", [])
    ends = dict.fromkeys(end for link in links for end in link["endpoints"])
    return [*ends, *(link["name"] for link in links)]


def nodes(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Nodes of the lab that is named already."""
    return [node["name"] for node in _inspected(parsed_args).get("nodes", [])]


def services(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Services of the lab that is named already."""
    return [
        f"{service['name']}.{service['namespace']}"
        if service["namespace"] != "default"
        else service["name"]
        for service in _inspected(parsed_args).get("services", [])
    ]


def _inspected(parsed_args: argparse.Namespace) -> dict[str, Any]:
    from testbed.lab import registry, wire

    with suppress(TestbedError, OSError):
        connection = wire.Connection(registry.find(parsed_args.lab))
        with connection.within(PATIENCE_S):
            return cast(dict[str, Any], connection.call("inspect"))
    return {}


def faults(**_: Any) -> tuple[str, ...]:
    """Kinds of faults."""
    from testbed.faults.fault import KINDS

    return KINDS


def experiments(prefix: str, **_: Any) -> list[str]:
    """Experiments that can be named, and files."""
    from testbed.experiment import module

    return [*module.names(), *_files(prefix, "py")]


def topologies(prefix: str, **_: Any) -> list[str]:
    """Topologies' files, and the names of those that come with the package."""
    from testbed.model import shipped

    return [*shipped.names(), *_files(prefix, "yaml", "yml")]


def manifests(prefix: str, **_: Any) -> list[str]:
    """Files of manifests, and folders."""
    return _files(prefix, "yaml", "yml", "json")


def labs_and_topologies(prefix: str, **_: Any) -> list[str]:
    """For a command that takes either."""
    return [*labs(), *topologies(prefix)]


def runs(prefix: str, **_: Any) -> list[str]:
    """Runs under ./results, by their names; and folders."""
    found = (path.parent.name for path in Path("results").glob("*/*/run.json"))
    return [*sorted(found), *_folders(prefix)]


def _files(prefix: str, *endings: str) -> list[str]:
    found: Iterable[str] = FilesCompleter(endings)(prefix)
    return list(found)


def _folders(prefix: str) -> list[str]:
    return _files(prefix, "no such ending")


COMPLETERS: Mapping[str, Completer] = {
    "lab": labs,
    "names": labs,
    "where": places,
    "source": places,
    "pod": places,
    "node": nodes,
    "to": services,
    "url": services,
    "kind": faults,
    "experiments": experiments,
    "topology": topologies,
    "file": topologies,
    "filename": manifests,
    "what": labs_and_topologies,
    "runs": runs,
    "run": runs,
    "resume": runs,
    "a": runs,
    "b": runs,
}
"""By the name that an argument's value has in the code of its command."""
