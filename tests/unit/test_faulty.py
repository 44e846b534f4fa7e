"""Each mistake of a topology has its file in faulty/; its last lines say what the loader must say.

`# expect [FILE:]LINE:COLUMN TEXT`, one per problem, in order.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TopologyError
from testbed.lab.checks import checks
from testbed.model.loader import load

FAULTY = Path(__file__).parent / "faulty"
FILES = sorted(FAULTY.glob("*.yaml"))


def expected(file: Path) -> list[str]:
    lines = file.read_text().splitlines()
    return [line.removeprefix("# expect ") for line in lines if line.startswith("# expect ")]


def said(error: TopologyError, file: Path) -> list[str]:
    own, others = f"{file}:", f"{FAULTY}/"
    return [
        str(problem).removeprefix(own).removeprefix(others).replace(": ", " ", 1)
        for problem in error.problems
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_mistake_is_reported_where_it_is(file: Path) -> None:
    with pytest.raises(TopologyError) as caught:
        load(file, check=checks)
    assert said(caught.value, file) == expected(file)


def test_every_faulty_file_says_what_it_expects() -> None:
    assert len(FILES) > 80
    assert [file.name for file in FILES if not expected(file)] == []
