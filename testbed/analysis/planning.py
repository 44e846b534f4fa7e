"""Before a run: what its number of trials can show, from earlier runs' spread or the experiment's own guess."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from testbed.analysis.intervals import FEWEST_FOR_INTERVAL
from testbed.analysis.power import ALPHA, POWER, difference_shown, trials_needed
from testbed.analysis.run import Run
from testbed.experiment.design import Design, arms
from testbed.experiment.module import Experiment, Factors
from testbed.experiment.plan import estimate_s
from testbed.experiment.primary import Pilot, Primary

DECLARED = "the experiment's own guess"


def spreads(primaries: Iterable[Primary], run: Run) -> list[dict[str, Any]]:
    """{name, detail, factors, unit, scale, n, mean, spread} of each: `primary` in run.json, from which
    later runs are planned. `spread` is the standard deviation between trials, on the metric's scale;
    without those that were censored.
    """
    fixed = {
        name: values[0] for name, values in run.meta.get("factors", {}).items() if len(values) == 1
    }
    rows = []
    for one in primaries:
        lost = one.censored or (False,) * len(one.values)
        known = [value for value, gone in zip(one.values, lost, strict=True) if not gone]
        data = np.asarray(known, dtype=float)
        if one.scale == "log":
            data = np.log(data[data > 0])
        rows.append(
            {
                "name": one.name,
                "detail": one.detail,
                "factors": fixed | dict(one.factors),
                "unit": one.unit,
                "scale": one.scale,
                "n": int(data.size),
                "mean": float(data.mean()) if data.size else None,
                "spread": float(data.std(ddof=1)) if data.size > 1 else None,
            }
        )
    return rows


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a stored run says of its primary metrics: `spreads` as run.json has them."""

    run: str
    spreads: Sequence[Mapping[str, Any]]


def earlier_runs(root: Path, experiment: str) -> list[Earlier]:
    """Stored runs of an experiment, newest first; what cannot be read is no help and left out."""
    found = []
    for path in sorted(root.glob(f"{experiment}/*/run.json"), reverse=True):
        try:
            meta = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if meta.get("primary"):
            found.append(Earlier(path.parent.name, meta["primary"]))
    return found


def known_spread(pilot: Pilot, factors: Factors, earlier: Sequence[Earlier]) -> tuple[float, str]:
    """(standard deviation between trials, where it is from): the newest run with the same factors, else
    the pilot's own. Numbers of one name (each backend's share) are pooled.
    """
    for run in earlier:
        found = [
            (row["n"] - 1, row["spread"] ** 2)
            for row in run.spreads
            if row["name"] == pilot.name
            and row["spread"] is not None
            and row["n"] >= FEWEST_FOR_INTERVAL
            and all(factors.get(name) == value for name, value in row["factors"].items())
        ]
        if found:
            freedom = sum(weight for weight, _ in found)
            return math.sqrt(sum(weight * part for weight, part in found) / freedom), run.run
    return pilot.spread, DECLARED


def power_rows(
    experiment: Experiment,
    design: Design,
    earlier: Sequence[Earlier] = (),
    kernel: str | None = None,
) -> list[dict[str, Any]]:
    """For each primary metric of each arm what the design's repeats can show, and how many show what is
    asked; empty where the experiment says nothing of its primary metrics.

    `trials_needed` is per arm, for an answer of its own; None: more than can be run. `difference_shown` is
    the smallest margin that the design's repeats show. `needed_s` is the time of the whole run then,
    `connections_needed`, for shares, those of all its trials in an arm.
    """
    if experiment.pilot is None:
        return []
    one_block_s = estimate_s(experiment, design, kernel) / design.repeats
    rows = []
    for factors in arms(design):
        for pilot in experiment.pilot(factors):
            firsts = {name: design.factors[name][0] for name in (pilot.against, pilot.over) if name}
            if pilot.against and factors[pilot.against] == firsts[pilot.against]:
                continue
            if pilot.over and factors[pilot.over] != firsts[pilot.over]:
                continue
            spread, source = known_spread(pilot, factors, earlier)
            # All of a claim's comparisons must be shown: each may miss its share of the misses.
            wanted = 1 - (1 - POWER) / pilot.together
            needed = trials_needed(pilot.margin, spread, pilot.claim, wanted=wanted)
            rows.append(
                {
                    "metric": pilot.name,
                    "factors": {
                        name: factors[name]
                        for name, values in design.factors.items()
                        if len(values) > 1 and name != pilot.over
                    },
                    "unit": pilot.unit,
                    "scale": pilot.scale,
                    "claim": pilot.claim,
                    "together": pilot.together,
                    "power": POWER,
                    "alpha": ALPHA,
                    "difference": pilot.margin,
                    "spread": spread,
                    "spread_from": source,
                    "trials": design.repeats,
                    "trials_needed": needed,
                    "connections_needed": None if needed is None else needed * pilot.picks or None,
                    "needed_s": None if needed is None else round(needed * one_block_s, 1),
                    "difference_shown": difference_shown(
                        spread, design.repeats, pilot.claim, wanted=wanted
                    ),
                }
            )
    return rows


def hardest(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of each metric the arm that needs most trials."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        held = found.get(row["metric"])
        if held is None or _trials(row) > _trials(held):
            found[row["metric"]] = row
    return list(found.values())


def _trials(row: Mapping[str, Any]) -> float:
    return math.inf if row["trials_needed"] is None else float(row["trials_needed"])
