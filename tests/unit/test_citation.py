"""CITATION.cff names what is shipped (Citation File Format 1.2.0)."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ruamel.yaml import YAML

from testbed import __version__

ROOT = Path(__file__).parents[2]
REQUIRED = {"cff-version", "message", "title", "authors"}


def test_it_can_be_cited_as_it_is_shipped() -> None:
    citation = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(citation) >= REQUIRED
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert citation["license"] == project["license"]
    assert citation["title"].startswith(project["name"])
    assert citation["authors"] == project["authors"]
