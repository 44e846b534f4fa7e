"""How far the run can be trusted, as tables: the fidelity meter, what was excluded, and what that changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.analysis.arms import arms, valid_rows
from testbed.analysis.fidelity import Fidelity, summary
from testbed.analysis.run import Finding, Run
from testbed.report.tables import Table, number


def trust_tables(
    run: Run, findings: Sequence[Finding], unfiltered: Sequence[Finding]
) -> tuple[Table, ...]:
    """Of the whole run; `unfiltered` are the findings had nothing been excluded."""
    return tuple(table for table in _tables(run, findings, unfiltered) if table.rows)


def _tables(
    run: Run, findings: Sequence[Finding], unfiltered: Sequence[Finding]
) -> Iterator[Table]:
    fidelity = summary(run)
    yield signal_table(fidelity)
    if not valid_rows(run).all():
        yield arm_table(fidelity)
        yield verdict_table(findings, unfiltered)
        yield excluded_table(run)


def signal_table(fidelity: Fidelity) -> Table:
    """What the fidelity meter saw in all trials."""
    return Table(
        title="Fidelity meter",
        note="What the host and the control showed, over all trials, the excluded ones too. A trial above "
        "a limit does not count; lag that the subject of a trial causes is never a reason.",
        columns=("signal", "typical trial", "worst trial", "limit", "trials above it"),
        rows=tuple(
            (
                signal.title,
                number(signal.median),
                number(signal.worst),
                "not judged" if signal.limit is None else number(signal.limit),
                "" if signal.limit is None else f"{signal.over} of {signal.known}",
            )
            for signal in fidelity.signals
        ),
    )


def arm_table(fidelity: Fidelity) -> Table:
    """How much of each arm was left out, and why."""
    return Table(
        title="Excluded per arm",
        note="Arms that lose more trials than others deserve a second look.",
        columns=("arm", "trials", "excluded", "why"),
        rows=tuple(
            (
                one.arm or "all",
                str(one.trials),
                str(one.excluded),
                ", ".join(f"{reason} ({count})" for reason, count in one.reasons) or "none",
            )
            for one in fidelity.arms
        ),
    )


def verdict_table(findings: Sequence[Finding], unfiltered: Sequence[Finding]) -> Table:
    """Each verdict as it is, and as it would be."""
    before = {(item.name, item.question, item.arm): item.verdict for item in unfiltered}
    rows = []
    for item in findings:
        would_be = before.get((item.name, item.question, item.arm), "not asked")
        rows.append((item.question, item.arm or "all", item.verdict, would_be))
    changed = sum(row[2] != row[3] for row in rows)
    return Table(
        title="Verdicts without the exclusions",
        note=f"{changed} would be different." if changed else "No verdict changes.",
        columns=("question", "arm", "as reported", "with the excluded trials"),
        rows=tuple(rows),
    )


def excluded_table(run: Run) -> Table:
    """The trials that were left out."""
    labels = {trial: arm.label for arm in arms(run) for trial in arm.trials}
    return Table(
        title="Excluded trials",
        note="A block counts whole or not at all, and is run again.",
        columns=("trial", "block", "arm", "reason"),
        rows=tuple(
            (str(row["trial"]), str(row.get("block", "")), labels[row["trial"]] or "all",
             str(row.get("invalid_reason", "")))
            for row in run.trials[~valid_rows(run)].to_dict("records")
        ),
    )  # fmt: skip
