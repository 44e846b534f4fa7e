"""Least loaded of two, by what the endpoints say of themselves.

Two endpoints are drawn at random, and the less loaded one is picked: the "power of two choices" (Mitzenmacher,
2001). Taking the least loaded of all would send every node to the same endpoint until the next figure comes.
"""


class LeastLoaded:
    wants_load = True
    """Have every endpoint asked for its load (proxy.userspace.loadPath, every loadPeriod)."""

    def __init__(self, chance):
        self._chance = chance

    def pick(self, candidates, client):
        drawn = self._chance.sample(candidates, min(2, len(candidates)))
        return min(drawn, key=burden)


def burden(candidate):
    """What it reports; what this node has sent it, while it has not reported anything."""
    return candidate.connections if candidate.load is None else candidate.load
