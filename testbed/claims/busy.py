"""Whether the choice of a backend depends on how busy the pods are."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from testbed.claims.addresses import PORT
from testbed.claims.claim import Claim, Judgement, Observation
from testbed.claims.judging import count, on_average, weighed
from testbed.claims.stage import Stage
from testbed.traffic.samples import read
from testbed.traffic.spec import LoadSpec

RATE_RPS = 90.0
"""An equal share of it keeps the slow pod busy for 60 % of its time: 30 requests of 20 ms a second."""
DURATION_S = 3.0
MARGIN = 0.05


def scene(stage: Stage) -> Generator[None, None, Mapping[str, Observation]]:
    """New connections from one node to two quick backends and one that takes five times as long."""
    node = stage.chance.choice(sorted(stage.nodes))
    (load,) = stage.lab.start_loads(
        LoadSpec(
            source=stage.caller(node),
            url=f"http://{stage.address('mixed')}:{PORT}/hostname",
            rate_rps=RATE_RPS,
            duration_s=DURATION_S,
            drain_s=1.0,
            seed=stage.chance.randrange(2**31),
            label="busy",
        )
    )
    yield
    yield  # others do in two turns what disturbs nobody here
    picked = read(load.wait().samples)["backend"].dropna()
    slow = picked.isin([pod.name for pod in stage.backends("slow")])
    fair = 1 / (len(stage.backends("slow")) + len(stage.backends("quick")))
    return {
        "busy-pod-gets-less": {
            "picks": len(picked),
            "slow_share": float(slow.mean()) if len(picked) else None,
            "fair": fair,
        }
    }


def judge(observed: Sequence[Observation], mode: str) -> Judgement:
    """The slow backend's share: an equal one, to within the margin, refutes the claim, and so does more."""
    known = [one for one in observed if one["slow_share"] is not None]
    fair = known[0]["fair"] if known else 1.0
    test, figures = on_average([one["slow_share"] for one in known], fair, MARGIN)
    figures["connections"] = sum(one["picks"] for one in known)
    said = (
        f"The slow backend got {test.estimate:.1%} of {figures['connections']:,} connections, an "
        f"equal share is {fair:.1%}; {count(test.n, 'trial')}"
    )
    needs = f"longer trials, to tell {MARGIN:.0%}"
    judged = weighed([test], said, figures, needs=needs, inside_holds=False)
    if judged.verdict == "holds" and test.estimate > fair:
        return Judgement("does not hold", f"{said}: more, not less.", figures, judged.p_value)
    return judged


CLAIMS = (
    Claim(
        "busy-pod-gets-less",
        "The choice depends on how busy a pod is.",
        "tutorial",
        "a pod that takes five times as long gets over 5 percentage points less than an equal share",
        scene,
        judge,
    ),
)
