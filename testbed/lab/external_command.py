"""A command template of `proxy.external`, filled in for a node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Blanks:
    """What may stand in braces; names as in `model.proxy_process.PLACEHOLDERS`."""

    node: str
    node_ip: str
    kubeconfig: str
    """Path of a file."""
    api: str
    """URL."""
    cluster_cidr: str
    """Of pods; two by comma in dual stack, as kube-proxy takes it."""
    service_cidr: str
    folder: str
    """A folder of this node's own, for whatever the command writes."""


def filled(words: Iterable[str], blanks: Blanks) -> tuple[str, ...]:
    """The words with every field filled in; `{{` is a brace."""
    known = asdict(blanks)
    return tuple(word.format_map(known) for word in words)
