"""The HTML pages: each one file that holds everything, opens without a network, runs no script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.experiment.atomic import write_atomically
from testbed.report.chapter import Chapter, Outcome, chapter

if TYPE_CHECKING:
    from jinja2 import Environment


def write_page(outcomes: Sequence[Outcome], path: Path) -> Path:
    """Write the page of one run, or of several side by side; returns its path.

    Raises OSError.
    """
    several = len(outcomes) > 1
    chapters = [
        chapter(outcome, f"r{number}-" if several else "")
        for number, outcome in enumerate(outcomes, start=1)
    ]
    text = render(chapters)
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8"))
    return path


def render(chapters: Sequence[Chapter]) -> str:
    """The page's text."""
    return environment().get_template("report.html.j2").render(chapters=chapters)


def environment() -> Environment:
    """Where templates are found, and what they may say."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("testbed.report", "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
