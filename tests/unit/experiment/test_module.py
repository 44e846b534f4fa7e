"""An experiment's file: found, and checked before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import NotFound, UsageError
from testbed.experiment import module

GOOD = """
QUESTION = "Is it so?"
HYPOTHESIS = "It is."
REFUTED_IF = "It is not."
TOPOLOGY = "quickstart.yaml"
FACTORS = {"replicas": (2, 3), "fault": ("crash",)}
REPEATS = 5
REQUIRES = frozenset()
TIMING = True

def trial(lab, factors, seed): ...
def analyse(run): return []
def plot(run): return {}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose ./experiments is empty."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    return tmp_path / "experiments"


def test_a_good_module_becomes_a_value(folder: Path) -> None:
    (folder / "mine.py").write_text(GOOD)
    experiment = module.load("mine")
    assert (experiment.name, experiment.repeats, experiment.timing) == ("mine", 5, True)
    assert experiment.factors == {"replicas": (2, 3), "fault": ("crash",)}
    assert module.load(str(folder / "mine.py")) == experiment or experiment.path.is_absolute()


def test_a_module_here_comes_before_the_package(folder: Path) -> None:
    (folder / "balance.py").write_text(GOOD)
    assert module.find("balance") == Path("experiments/balance.py")


def test_a_name_with_a_dash_is_a_file_with_an_underscore(folder: Path) -> None:
    (folder / "known_facts.py").write_text(GOOD)
    assert module.find("known-facts") == module.find("known_facts")
    assert module.load("known-facts").name == "known-facts"
    assert "known-facts" in module.names()
    assert module.spelt(module.find("known-facts").resolve()) == "known-facts"


def test_the_package_brings_its_own(folder: Path) -> None:
    assert {"balance", "failover"} <= set(module.names())
    assert module.find("balance").is_absolute()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("balanse", "did you mean balance?"),
        ("zzzzzzzzz", "known: aa, balance"),
        ("no/such.py", "no experiment file no/such.py"),
    ],
)
def test_an_unknown_experiment_names_the_nearest(folder: Path, name: str, says: str) -> None:
    with pytest.raises(NotFound) as caught:
        module.load(name)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("REFUTED_IF", "REFUTED_IFF", "REFUTED_IF is missing (is it REFUTED_IFF?)"),
        ('TOPOLOGY = "quickstart.yaml"', "", "TOPOLOGY or topology(factors) is missing"),
        ('"Is it so?"', '"  "', "QUESTION must be a text"),
        ("(2, 3)", "3", "FACTORS['replicas'] must be a tuple"),
        ("(2, 3)", "()", "FACTORS['replicas'] must be a tuple of at least one value"),
        ("(2, 3)", "(2, '3')", "FACTORS['replicas'] mixes types: 2, '3'"),
        ("(2, 3)", "(2, 2)", "FACTORS['replicas'] names a value twice"),
        ('"replicas": (2, 3)', '"seed": (2, 3)', "no factor can be called seed"),
        ("REPEATS = 5", "REPEATS = 0", "REPEATS must be"),
        ("TIMING = True", "TIMING = 'yes'", "TIMING must be True or False"),
        ("REQUIRES = frozenset()", "REQUIRES = 'veth'", "REQUIRES must be"),
        ("def trial(lab, factors, seed)", "def trial(lab)", "trial must be a function of 3"),
        ("def plot(run): return {}", "plot = None", "plot must be a function of 1 argument"),
        ("REPEATS = 5", "REPEATS = = 5", ":7:"),
        ("REPEATS = 5", "import no_such_module", "no_such_module"),
    ],
)
def test_what_is_wrong_with_a_module_is_said(folder: Path, old: str, new: str, says: str) -> None:
    (folder / "mine.py").write_text(GOOD.replace(old, new))
    with pytest.raises(UsageError) as caught:
        module.load("mine")
    assert says in str(caught.value)


def test_everything_wrong_is_said_at_once(folder: Path) -> None:
    (folder / "mine.py").write_text(GOOD.replace("REPEATS = 5", "").replace("(2, 3)", "()"))
    with pytest.raises(UsageError, match=r"REPEATS is missing.*FACTORS\['replicas'\]"):
        module.load("mine")
