"""What is worked out from a run once, however many figures and tables ask for it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar, cast

from testbed.analysis.run import Run

P = ParamSpec("P")
T = TypeVar("T")


def once_per_run(work: Callable[Concatenate[Run, P], T]) -> Callable[Concatenate[Run, P], T]:
    """The function, whose answer the run keeps: nobody may change it in place.

    Arguments beside the run must be hashable.
    """

    @functools.wraps(work)
    def kept(run: Run, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = (work.__module__, work.__qualname__, args, tuple(sorted(kwargs.items())))
        if key not in run.memo:
            run.memo[key] = work(run, *args, **kwargs)
        return cast(T, run.memo[key])

    return kept
