"""`testbed run`: experiments, from their factors to a report."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Collection, Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.cli.output import add_output_option, emit, note
from testbed.cli.verdicts import ALL, matrix
from testbed.errors import MissingFeature, UsageError

if TYPE_CHECKING:
    from testbed.analysis.run import Finding
    from testbed.experiment.runner import Outside
    from testbed.experiment.session import Job
    from testbed.lab.kernels import Carrier

RESULTS = Path("results")
EXIT_INVALID = 1
_LOCAL = "local"
_SEEDS = 100_000
"""Seeds drawn where none is given: short, because they stand in the run's name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of DESIGN.md's `run`."""
    parser.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help="a name, or the path of its file"
    )
    parser.add_argument("--topology", metavar="F", help="instead of the experiment's own")
    parser.add_argument(
        "--set", action="append", default=[], metavar="factor=v1,v2", help="values of a factor"
    )
    parser.add_argument(
        "--repeat", type=int, metavar="R", help="how many blocks; with --until at most so many"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="of schedules and order (drawn)")
    parser.add_argument(
        "--profile",
        help="smoke: short, not for citation; paper: default timings, at least 20 trials an arm",
    )
    parser.add_argument(
        "--plan", action="store_true", help="say what would be run and how long it takes"
    )
    parser.add_argument(
        "--until",
        metavar="ci=WIDTH",
        help="end when each primary metric's 95%% interval is that narrow on either side, or ci=50ms; "
        "looks first after 10 blocks",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="J", help="trials at a time (1), where no times are measured"
    )
    parser.add_argument(
        "--executor",
        metavar="E",
        default=_LOCAL,
        help="who runs the blocks: local, or the workers of a Dask scheduler, dask://HOST:PORT",
    )
    parser.add_argument(
        "--across", action="store_true", help="use workers though their kernels differ"
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with a run that was interrupted")
    parser.add_argument(
        "-d", "--directory", type=Path, default=RESULTS, metavar="DIR", help="of results (results)"
    )
    parser.add_argument(
        "--junit", type=Path, metavar="FILE", help="also a test case per finding, as JUnit XML"
    )
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Run what was asked for; 1 where trials are invalid, 130 when interrupted."""
    _refuse(args)
    jobs = _jobs(args)
    if args.plan:
        if args.executor != _LOCAL:
            note("a plan is of this machine alone: of several, each takes its part of the time")
        from testbed.cli.run_plan import emit_plan, plan_row

        kernels = [_name(one) if one else None for one in map(_carrier_if_any, jobs)]
        pairs = zip(jobs, kernels, strict=True)
        emit_plan(args, [plan_row(job, kernel, args.directory) for job, kernel in pairs])
        return 0
    rows: list[dict[str, Any]] = []
    try:
        with closing(_runs(args, jobs)) as runs:
            for run_one in runs:
                rows.append(run_one())
    finally:  # what was found before an error or Ctrl-C is told all the same
        if rows:
            _emit_rows(args, rows)
            if args.junit:
                _write_junit(args.junit, rows)
    return EXIT_INVALID if any(row["status"] != "complete" for row in rows) else 0


def _write_junit(path: Path, rows: list[dict[str, Any]]) -> None:
    from testbed.report.junit import of_runs, xml
    from testbed.report.written import written

    written(path, lambda path: path.write_text(xml(of_runs(rows)), encoding="utf-8"))


def _refuse(args: argparse.Namespace) -> None:
    if args.executor != _LOCAL:
        from testbed.experiment.dask_cluster import address_of

        address_of(args.executor)
        if args.jobs is not None:
            raise UsageError(
                "--jobs is about this machine, --executor about others",
                "start as many workers as there are to be blocks at a time",
            )
    elif args.across:
        raise UsageError("--across is about several machines", "give --executor, or leave it out")
    if args.jobs is not None and args.jobs < 1:
        raise UsageError(f"--jobs {args.jobs} runs nothing", "give at least 1")
    if not args.experiments and not args.resume:
        from testbed.experiment.module import names

        raise UsageError("name an experiment", f"known: {', '.join(names())}")
    given = (args.set, args.topology, args.repeat, args.profile, args.until)
    if args.resume and (any(given) or args.seed is not None):
        raise UsageError(
            "--resume goes on with the run as it was begun",
            "leave --set, --topology, --repeat, --seed, --profile and --until out",
        )


def _jobs(args: argparse.Namespace) -> list[Job]:
    """Everything that was asked for, checked before anything is started."""
    from testbed.experiment.design import DEFAULT, designed
    from testbed.experiment.module import load
    from testbed.experiment.session import Job, resumed_job
    from testbed.experiment.setting import topologies
    from testbed.experiment.until import MOST_BLOCKS, goal_of

    if args.resume:
        jobs = [resumed_job(args.directory, args.resume, args.experiments)]
    else:
        seed = args.seed if args.seed is not None else random.SystemRandom().randrange(_SEEDS)
        found = [load(name) for name in args.experiments]
        known = {name for item in found for name in item.factors}
        until = goal_of(args.until) if args.until else None
        repeats = MOST_BLOCKS if until and args.repeat is None else args.repeat
        jobs = [
            Job(
                item,
                designed(
                    item,
                    _settings_of(item.factors, known, args.set),
                    repeats,
                    seed,
                    args.profile or DEFAULT,
                ),
                args.topology,
                until=until,
            )
            for item in found
        ]
    for job in jobs:
        if (args.jobs or 1) > 1 and job.experiment.timing:
            raise UsageError(
                f"{job.experiment.name} measures times: its trials run one by one",
                "leave --jobs out",
            )
        _require_until(job)
        topologies(job.experiment, job.design, job.topology)
    return jobs


def _require_until(job: Job) -> None:
    """Raises UsageError for a goal that nothing could reach."""
    from testbed.experiment.design import arms
    from testbed.experiment.until import first_look, require_met_by

    if job.until is None:
        return
    name, design = job.experiment.name, job.design
    if job.experiment.primary is None:
        raise UsageError(
            f"{name} does not say which metrics are primary: --until has nothing to look at",
            "give it primary(run) (docs/experiments.md), or use --repeat",
        )
    if design.repeats < first_look(design.profile):
        raise UsageError(
            f"--repeat {design.repeats} ends before the first look of --until",
            f"at least {first_look(design.profile)}",
        )
    if job.experiment.pilot is not None:
        pilots = [pilot for factors in arms(design) for pilot in job.experiment.pilot(factors)]
        require_met_by(job.until, pilots, name)


def _settings_of(own: Collection[str], known: Collection[str], settings: list[str]) -> list[str]:
    """Those for this experiment: of several, each takes the factors it has.

    What none of them has is left to each, to be refused.
    """
    names = [setting.partition("=")[0] for setting in settings]
    return [
        setting
        for setting, name in zip(settings, names, strict=True)
        if name in own or name not in known
    ]


def _carrier(job: Job) -> Carrier:
    """The one kernel for all trials of a run here. Raises MissingFeature."""
    from testbed.cli.outside import carrier_of
    from testbed.experiment.setting import topologies

    return carrier_of(job.experiment, topologies(job.experiment, job.design, job.topology))


def _carrier_if_any(job: Job) -> Carrier | None:
    """For a plan, which may be made where the run cannot be: None, and why is said."""
    try:
        return _carrier(job)
    except MissingFeature as error:
        note(f"{job.experiment.name} cannot run here: {error}; its time is that of a host that can")
        return None


def _name(carrier: Carrier) -> str:
    """The kernel's, as `kernel ls` has it."""
    from testbed.experiment.plan import HOST

    return carrier.guest.name if carrier.guest else HOST


def _runs(args: argparse.Namespace, jobs: list[Job]) -> Generator[Callable[[], dict[str, Any]]]:
    """What runs each job, here or on the machines of `--executor`; those are asked before each, and what can be
    refused at once is.
    """
    from testbed.cli.outside import outside_elsewhere, outside_here

    if args.executor == _LOCAL:
        at_a_time = args.jobs or 1
        for job, carrier in [(job, _carrier(job)) for job in jobs]:
            outside = outside_here(job, carrier, at_a_time)
            yield partial(_run_one, job, args.directory, outside, _name(carrier), at_a_time)
        return
    from testbed.experiment.dask_cluster import address_of, connected
    from testbed.experiment.plan import HOST, LAB_S

    with connected(address_of(args.executor)) as cluster:
        for job in jobs:
            outside, at_a_time = outside_elsewhere(job, cluster, across=args.across)
            kernel = outside.kernel["version"].removesuffix(" guest")
            kernel = kernel if kernel in LAB_S else HOST
            yield partial(_run_one, job, args.directory, outside, kernel, at_a_time)


def _run_one(
    job: Job, root: Path, outside: Outside, kernel: str | None, at_a_time: int
) -> dict[str, Any]:
    """One run with its report; the row of `-o json`."""
    from testbed.analysis.run import load_run
    from testbed.experiment.plan import estimate_s
    from testbed.experiment.progress import clock_text
    from testbed.experiment.session import execute
    from testbed.report.build import build, json_safe

    name, design = job.experiment.name, job.design
    about = clock_text(estimate_s(job.experiment, design, kernel) / at_a_time)
    most = "at most " if job.until else ""
    note(
        f"{name}: {most}{job.planned} trials, {design.repeats} of each arm, seed {design.seed}, "
        f"profile {design.profile}, {most}about {about}"
    )
    ended = execute(job, root, outside, note)
    if ended.stopped:
        note(f"{name}: {ended.stopped}")
    findings: list[Finding] = []
    if ended.valid:
        try:
            page, findings = build(load_run(ended.directory), job.experiment)
        except KeyboardInterrupt:
            note(f"its trials are kept; for the report: testbed report {ended.directory}")
            raise
        note(f"{name}: {page}")
    else:
        note(f"{name}: no valid trial; {ended.directory / 'trials.csv'} says why")
    return {
        "experiment": name,
        "run": ended.directory.name,
        "directory": str(ended.directory),
        "planned": job.planned,
        "trials": ended.valid,
        "invalid": ended.invalid,
        "status": ended.status,
        "stopped": ended.stopped,
        "findings": [json_safe(finding.to_json()) for finding in findings],
    }


COLUMNS = {
    "EXPERIMENT": lambda row: row["experiment"],
    "TRIALS": lambda row: row["trials"],
    "INVALID": lambda row: row["invalid"],
    "VERDICT": lambda row: row["verdict"],
}
ARM_COLUMN = {"ARM": lambda row: row["arm"] or ALL}
QUESTION_COLUMN = {"QUESTION": lambda row: row["question"]}


def _emit_rows(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    if args.output != "table":
        emit(args, rows)
        return
    tables = {row["directory"]: matrix(row["findings"]) for row in rows}
    listed = [row for row in rows if not tables[row["directory"]]]
    if listed:
        found = [{**row, **finding} for row in listed for finding in row["findings"]]
        of_arms = any(row["arm"] for row in found)
        emit(args, found, {**COLUMNS, **(ARM_COLUMN if of_arms else {}), **QUESTION_COLUMN})
    for row in rows:
        if table := tables[row["directory"]]:
            print(f"{row['experiment']}: {row['trials']} trials, {row['invalid']} invalid\n{table}")
