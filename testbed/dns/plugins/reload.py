"""`reload [INTERVAL] [JITTER]`: looks every now and then whether the Corefile is another one.

The file is what the cluster's ConfigMap kube-system/coredns holds. Source: plugin/reload/README.md of CoreDNS.
"""

from __future__ import annotations

from testbed.dns.corefile import CorefileError, Directive
from testbed.dns.directives import all_words, counted, duration, options
from testbed.dns.surroundings import Block, Made

_INTERVAL_S, _LEAST_INTERVAL_S = 30.0, 2.0
_JITTER_S, _LEAST_JITTER_S = 15.0, 1.0


def settings(directive: Directive, block_zones: tuple[str, ...]) -> tuple[float, float]:
    """(interval, jitter) in seconds. Raises CorefileError."""
    options(directive, {})
    words = counted(all_words(directive), 0, 2)
    if not words:
        return _INTERVAL_S, _JITTER_S
    interval_s = duration(words[0], _LEAST_INTERVAL_S)
    if len(words) == 1:
        return interval_s, interval_s / 2
    jitter_s = duration(words[1], _LEAST_JITTER_S)
    if jitter_s > interval_s / 2:
        raise CorefileError(words[1], "the jitter is more than half of the interval", "write less")
    return interval_s, jitter_s


def make(settings: tuple[float, float], block: Block) -> Made:
    block.life.reload_s = settings
    return Made()
