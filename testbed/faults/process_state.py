"""The state letter of a process, from its line in /proc."""

from __future__ import annotations

STOPPED = "T"
"""Stopped by a signal: what a hang waits to see."""


def process_state(stat: str) -> str:
    """The state in the text of /proc/PID/stat: R, S, D, T, Z, …

    The name stands in brackets and may itself hold brackets and blanks. Source: proc(5).
    Raises ValueError for a text that is no such line.
    """
    _, bracket, rest = stat.rpartition(")")
    if not bracket or not rest.split():
        raise ValueError(f"{stat!r} is not a line of /proc/PID/stat")
    return rest.split()[0]
