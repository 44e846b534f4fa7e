"""The word that a misspelt one probably means."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that a misspelt one means, or an empty text."""
    import difflib  # only who misspells waits for it

    near = difflib.get_close_matches(word, list(known), n=1)
    return near[0] if near else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean X?` when something known is near, else an empty text."""
    meant = nearest(word, known)
    return f"did you mean {meant}?" if meant else ""
