"""Which endpoint is which server of a backend."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.edge.haproxy_text import FREE, Server


def slots(have: Sequence[Server], endpoints: Sequence[Server], step: int) -> tuple[Server, ...]:
    """Endpoints that have a slot keep it, others take free ones; those that end take none. There are as many
    slots as before, or, where that is too few, a multiple of `step`.
    """
    wanted = {(one.address, one.port): one for one in endpoints}
    found: list[Server] = []
    for server in have:
        kept = None if server.state == "maint" else wanted.pop((server.address, server.port), None)
        found.append(kept or FREE)
    new = [one for one in wanted.values() if one.state == "ready"]
    room = [place for place, server in enumerate(found) if server is FREE]
    missing = max(0, len(new) - len(room))
    if missing or not found:
        size = -(-max(1, len(found) + missing) // step) * step
        room += range(len(found), size)
        found += [FREE] * (size - len(found))
    for place, server in zip(room, new, strict=False):
        found[place] = server
    return tuple(found)
