"""Of `dns`: whose program serves the cluster's names."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from string import Formatter
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from testbed.model.fields import kind_of
from testbed.model.scalars import Text
from testbed.model.strict import Strict
from testbed.spelling import nearest

OWN = "testbed"
PROGRAMS = ("unbound", "dnsmasq", "coredns")
"""Those that the testbed knows how to configure."""
PLACEHOLDERS = ("folder", "zone", "hosts", "domain", "address", "upstream", "kubeconfig")
"""What may stand in braces in a command: see docs/external-dns-servers.md."""


def _words(value: Any) -> tuple[str, ...]:
    """A program's name, or a command: its words, or a line of them. Raises ValueError."""
    words = shlex.split(value) if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(one, str) for one in words):
        raise ValueError(f"must be {', '.join(PROGRAMS)} or a command, not {kind_of(value)}")
    if isinstance(value, str) and not words:
        raise ValueError(f"needs a program: {', '.join(PROGRAMS)}, or a command")
    if isinstance(value, str) and len(words) == 1:
        _require_known(words[0], PROGRAMS, "or a list of words")
    _check_fields(words)
    return tuple(words)


def _require_known(program: str, known: Sequence[str], otherwise: str) -> None:
    """Raises ValueError for a single word that names none of them."""
    if program not in known:
        meant = nearest(program, known)
        hint = f"did you mean {meant}?" if meant else f"known: {', '.join(known)}, {otherwise}"
        raise ValueError(f"no program {program!r}; {hint}")


class DNSServer(Strict):
    """The program in the DNS pods."""

    external: Annotated[
        tuple[Text, ...], BeforeValidator(_words, json_schema_input_type=str | list[str])
    ] = Field(
        (),
        description=f"{', '.join(PROGRAMS)}, or a command, in which fields in braces are filled in: "
        f"{', '.join(PLACEHOLDERS)}; without: the testbed's own server",
    )

    @property
    def program(self) -> str:
        """One of PROGRAMS, "command", or "" for the testbed's own."""
        if not self.external:
            return ""
        return (
            self.external[0]
            if self.external[0] in PROGRAMS and len(self.external) == 1
            else "command"
        )


def _spelled_out(value: Any) -> Any:
    """`server: unbound` is in short that it is the external program."""
    if value is None or value == OWN:
        return {}
    if not isinstance(value, str):
        return value
    # Looked at here, so that a mistake has the place where it was written.
    words = shlex.split(value)
    if len(words) == 1:
        _require_known(words[0], (OWN, *PROGRAMS), "or a command under external:")
    return {"external": _words(value)}


ServerKey = Annotated[
    DNSServer, BeforeValidator(_spelled_out, json_schema_input_type=str | DNSServer | None)
]


def _check_fields(words: Iterable[str]) -> None:
    for word in words:
        try:
            fields = [name for _, name, _, _ in Formatter().parse(word) if name is not None]
        except ValueError as error:
            raise ValueError(f"{word!r}: {error}; a brace itself is written twice") from None
        for name in fields:
            if name not in PLACEHOLDERS:
                known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
                raise ValueError(f"no field {{{name}}} in {word!r}; known: {known}")
