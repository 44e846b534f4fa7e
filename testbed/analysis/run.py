"""A finished run as values, and what an experiment finds in it.

The keys of `run.json` that analysis and report read (all but `experiment` may be missing):

- `experiment`, `run`, `seed`, `status`, `topology`, `environment` ({kernel, …});
- `format`: the version of the directory's files;
- `profile`: `smoke`, `default` or `paper`;
- `command`: the shell line that repeats the run;
- `factors`: {name: [values]};
- `mode`: the label of the proxy, such as `iptables-nft`;
- `timing`: {name: value}, only what differs from Kubernetes' default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import pandas as pd

from testbed.analysis.stored import Samples
from testbed.errors import NotFound, UsageError
from testbed.experiment.columns import FORMAT_VERSION, LEDGER

Verdict = Literal["holds", "does not hold", "undecided"]

EVENT_COLUMNS = ("trial", "t_ns", "source", "node", "kind", "object", "resource_version", "detail")


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question. `figures` are numbers by name, units in the names.

    Experiments say what their own test says; `analysis.multiplicity` corrects for how many there are.
    """

    question: str
    hypothesis: str
    verdict: Verdict
    figures: Mapping[str, Any] = field(default_factory=dict)
    answer: str = ""
    """One sentence for people: what was found, with its figures."""
    name: str = ""
    """Short and stable, such as `flat-network`."""
    arm: str = ""
    """Label of the arm that it is about, such as `ipvs/rr`; empty: the whole run."""
    confirmatory: bool = True
    """Named before the run: corrected after Holm. Else after Benjamini and Hochberg."""
    p_value: float | None = None
    """Of the test behind the verdict, before correction; None: no chance is involved."""
    adjusted_p: float | None = None
    """After correction over all findings of the run."""

    def to_json(self) -> dict[str, Any]:
        """The row of `testbed run -o json` and of `findings` in run.json."""
        return {
            "question": self.question,
            "hypothesis": self.hypothesis,
            "verdict": self.verdict,
            "figures": dict(self.figures),
            "answer": self.answer,
            "name": self.name,
            "arm": self.arm,
            "confirmatory": self.confirmatory,
            "p_value": self.p_value,
            "adjusted_p": self.adjusted_p,
        }


class _SamplesOf:
    """`Run.samples`: set from a table or from what is stored, read when somebody looks at it."""

    def __get__(self, run: Run | None, owner: type) -> pd.DataFrame:
        if run is None:  # dataclasses ask for a default: there is none
            raise AttributeError
        if "samples" not in run.memo:
            run.memo["samples"] = run.requests.frame()
        return cast(pd.DataFrame, run.memo["samples"])

    def __set__(self, run: Run, value: pd.DataFrame | Samples) -> None:
        run.__dict__["requests"] = value if isinstance(value, Samples) else Samples(value)


@dataclass(frozen=True, eq=False)
class Run:
    """One run; all its times are CLOCK_MONOTONIC nanoseconds.

    A row of `trials` is a trial, of `samples` a request, of `ledger` a trial's backend as one
    client node saw it, of `events` an event, whose `detail` is a dict. `samples` is read when it is
    first asked for; `requests.columns(…)` reads no more than its name says.
    """

    directory: Path
    meta: Mapping[str, Any]
    trials: pd.DataFrame
    if TYPE_CHECKING:
        samples: pd.DataFrame
    else:
        samples: pd.DataFrame = _SamplesOf()
    ledger: pd.DataFrame
    events: pd.DataFrame
    requests: Samples = field(init=False, repr=False)
    memo: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
    """What `analysis.once` keeps."""

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors, which are columns of `trials`."""
        return tuple(name for name in self.meta.get("factors", {}) if name in self.trials.columns)

    @property
    def varied(self) -> tuple[str, ...]:
        """The factors that take more than one value in this run: what tells its arms apart."""
        return tuple(name for name in self.factors if self.trials[name].nunique() > 1)

    @property
    def seed(self) -> int:
        """The run's seed; what analysis simulates starts from it, so that it repeats exactly."""
        return int(self.meta.get("seed", 0))

    @property
    def findings(self) -> pd.DataFrame:
        """A row per answer: question, verdict, answer, and what `Finding` has beside them."""
        return pd.DataFrame(list(self.meta.get("findings", ())))

    @property
    def summary(self) -> pd.DataFrame:
        """A row per metric and arm, factors as columns. Raises UsageError before a report was made."""
        path = self.directory / "summary.json"
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(
                f"{self.directory} has no summary yet", f"make it: testbed report {self.directory}"
            ) from None
        except (OSError, ValueError) as problem:
            raise _unreadable(path, problem) from problem
        return pd.DataFrame([{**row.pop("factors"), **row} for row in rows])

    def only(self, trials: pd.Series[Any] | list[Any]) -> Run:
        """The same run reduced to some trials."""
        keep = set(trials)
        frames = {
            name: frame[frame["trial"].isin(keep)].reset_index(drop=True)
            for name in ("trials", "ledger", "events")
            if "trial" in (frame := getattr(self, name)).columns
        }
        return replace(self, samples=cast(pd.DataFrame, self.requests.only(keep)), **frames)


def load_run(path: Path | str) -> Run:
    """Read a run directory.

    Raises NotFound where there is none, UsageError where it is no run or cannot be read.
    """
    directory = Path(path)
    if not directory.is_dir():
        raise NotFound(f"no run at {directory}", "runs are in results/EXPERIMENT/RUN")
    meta = read_meta(directory / "run.json")
    return Run(
        directory=directory,
        meta=meta,
        trials=_read_csv(directory / "trials.csv"),
        samples=cast(pd.DataFrame, Samples(_readable(directory / "samples.parquet"))),
        ledger=_read_csv(directory / "ledger.csv", LEDGER),
        events=_read_events(directory / "events.jsonl"),
    )


def read_meta(path: Path) -> dict[str, Any]:
    """What a run.json says. Raises UsageError where there is none that this version reads."""
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{path.parent} is not a run: it has no run.json",
            "name a directory like results/balance/RUN",
        ) from None
    except (OSError, ValueError) as problem:
        raise _unreadable(path, problem) from problem
    if not isinstance(meta, dict) or "experiment" not in meta:
        raise UsageError(f"{path} is not the record of a run: it names no experiment")
    if (version := meta.get("format", FORMAT_VERSION)) != FORMAT_VERSION:
        raise UsageError(
            f"{path} is of format {version}, this testbed reads format {FORMAT_VERSION}",
            "use the version of testbed that wrote it: run.json names it under environment",
        )
    return meta


def _unreadable(path: Path, problem: Exception) -> UsageError:
    why = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    return UsageError(
        f"{path} cannot be read: {why.splitlines()[0]}", "take it from a copy, or repeat the run"
    )


def _read_csv(path: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """`columns` are those of the empty table that stands for a missing file; none: no stand-in."""
    try:  # only what is empty is missing: "None" is a factor's value, such as of session affinity
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (FileNotFoundError, pd.errors.EmptyDataError):
        if columns:
            return pd.DataFrame(columns=pd.Index(columns))
        raise UsageError(
            f"{path} is missing or empty: no trial of this run was finished",
            "continue it with `testbed run EXPERIMENT --resume RUN`",
        ) from None
    except (OSError, ValueError) as problem:
        raise _unreadable(path, problem) from problem


def _readable(path: Path) -> Path:
    """The path, when it is a parquet file: its rows are read later."""
    from pyarrow import parquet

    try:
        path.stat()  # pyarrow's own error names the file, not the reason
        parquet.read_metadata(path)
    except (OSError, ValueError) as problem:
        raise _unreadable(path, problem) from problem
    return path


def _read_events(path: Path) -> pd.DataFrame:
    try:
        lines = filter(None, path.read_text(encoding="utf-8").splitlines())
        rows = json.loads(f"[{','.join(lines)}]")  # at once: a call a line takes twice as long
    except (OSError, ValueError) as problem:
        raise _unreadable(path, problem) from problem
    return pd.DataFrame(rows, columns=pd.Index(EVENT_COLUMNS))
