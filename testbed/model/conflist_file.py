"""The file that `network.cni.conflist` names -> its contents in the topology, with the place of every key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

from testbed.errors import Problem
from testbed.model.cni_template import TemplateError, for_all_nodes
from testbed.model.document import Document, NotYAMLError, documents
from testbed.model.networks import with_defaults, written_families

KEY = ("network", "cni", "conflist")
Read = Callable[[FilePath], str]


class _Faulty(Exception):
    """The file cannot be used."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read_conflist(document: Document, directory: FilePath, read: Read) -> list[Problem]:
    """Put the list, and the plug-ins of the folder named like it, in place of what names it.

    `read` raises OSError.
    """
    network = document.value.get("network")
    cni = network.get("cni") if isinstance(network, dict) else None
    name = cni.get("conflist") if isinstance(cni, dict) else None
    if not isinstance(network, dict) or not isinstance(cni, dict) or not isinstance(name, str):
        return []
    file = directory / name
    families = written_families(with_defaults(network).get("podCIDR")) or (4,)
    try:
        found = _document(file, _text(file, read, document), families)
        cni["conflist"] = found.value
        document.positions.forget(KEY)
        document.positions.graft(KEY, found.positions)
        problems = list(found.problems)
        if isinstance(found.value, dict):
            problems += _add_folder(document, file.parent, read, families)
    except _Faulty as faulty:
        del cni["conflist"]
        return [faulty.problem]
    return problems


def _text(file: FilePath, read: Read, document: Document) -> str:
    try:
        return read(file)
    except OSError as error:
        at = document.positions.find(KEY, False)
        message = f"{str(file)[:80]!r} {error}"
        hint = "a path is relative to the topology's directory"
        problem = Problem(at.file, at.line, at.column, ".".join(KEY), message, hint)
        raise _Faulty(problem) from None


def _document(file: FilePath, text: str, families: tuple[int, ...]) -> Document:
    """JSON with template words. Raises _Faulty."""
    name = str(file)
    try:
        filled = for_all_nodes(text, families)
        json.loads(filled)
        # JSON is YAML, but for tabs between the words.
        (found,) = documents(filled.replace("\t", " "), name)
    except TemplateError as error:
        hint = "docs/cni.md lists the words that configurations may have"
        raise _Faulty(Problem(name, error.line, 1, "", str(error), hint)) from None
    except json.JSONDecodeError as error:
        hint = "no comments, no comma before a closing bracket"
        raise _Faulty(
            Problem(name, error.lineno, error.colno, "", f"not JSON: {error.msg}", hint)
        ) from None
    except NotYAMLError as error:
        raise _Faulty(error.problem) from None
    return found


def _add_folder(
    document: Document, folder: FilePath, read: Read, families: tuple[int, ...]
) -> list[Problem]:
    """The plug-ins of NAME/*.conf, as libcni takes them where loadOnlyInlinedPlugins does not forbid it."""
    written: dict[str, Any] = document.value["network"]["cni"]["conflist"]
    name, plugins = written.get("name"), written.get("plugins")
    if written.get("loadOnlyInlinedPlugins") is True or not isinstance(name, str) or "/" in name:
        return []
    problems: list[Problem] = []
    for file in sorted((folder / name).glob("*.conf")):
        found = _document(file, _text(file, read, document), families)
        problems += found.problems
        if plugins is None:
            plugins = written["plugins"] = []
        if isinstance(plugins, list) and isinstance(found.value, Mapping):
            document.positions.graft((*KEY, "plugins", len(plugins)), found.positions)
            plugins.append(found.value)
    return problems
