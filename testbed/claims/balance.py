"""Who picks the backend of a new connection, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping

from testbed.claims import picking
from testbed.claims.addresses import PORT
from testbed.claims.claim import Claim, Observation, still
from testbed.claims.judging import always, saw
from testbed.claims.rules_read import chains
from testbed.claims.stage import Stage
from testbed.experiment.trial_lab import RunningLoad
from testbed.proxy.packet import UnknownRuleError
from testbed.traffic.samples import read
from testbed.traffic.spec import LoadSpec

HELD = 6
"""Connections of a node that are open at once: two for each of three backends."""
_PROBABILITY = re.compile(r"--probability (\d\.\d+)")


def observe(stage: Stage) -> Mapping[str, Observation]:
    """One connection after the other from every node at once; before it, some that stay open.

    All of a client come from one address: where addresses are hashed, another one is another client.
    """
    held = stage.ask_all(
        {
            stage.asker(node): {
                "hold": [{"host": stage.address("crowd"), "port": PORT, "connections": HELD}]
            }
            for node in stage.nodes
        }
    )
    loads = stage.lab.start_loads(
        *(
            LoadSpec(
                source=stage.caller(node),
                url=f"http://{stage.address('web')}:{PORT}/hostname",
                connections=1,
                source_addresses=(stage.pods[stage.caller(node)].ip,),
                duration_s=float(stage.factors["duration_s"]),
                seed=stage.chance.randrange(2**31),
                label="main",
            )
            for node in stage.nodes
        )
    )
    names = [pod.name for pod in stage.backends("web")]
    sequences = {load.spec.source: _picks(load) for load in loads}
    first = [place["hold"][0] for place in held.values()]
    return {
        **picking.observations(sequences, names),
        "as-told": {**picking.told(sequences, names), "held": first},
        "same-backend-first": {
            "coincided": picking.coincided(first),
            "next_differs_chance": picking.next_differs(sequences),
        },
        "rule-probabilities": _probabilities(stage),
    }


def _picks(load: RunningLoad) -> list[str]:
    """Who answered, in the order in which the requests began: each waited for the one before it."""
    samples = read(load.wait().samples).sort_values("start_ns", kind="stable")
    return [str(name) for name in samples["backend"].dropna()]


def _probabilities(stage: Stage) -> Observation:
    """What each node's rules say of the chance of each backend, in their order."""
    if not stage.mode.startswith("iptables-"):
        return saw(len(stage.nodes), 0, _other_way(stage))
    found = {node: probabilities(stage.mode, stage.lab.rules(node)) for node in stage.nodes}
    wrong = [
        f"{node} has {', '.join(map(_shown, chances))}"
        for node, chances in found.items()
        if [round(chance, 6) for chance in chances] != [0.333333, 0.5, 1.0]
    ]
    remark = f"The rules of each node: {', '.join(map(_shown, next(iter(found.values()))))}."
    return saw(len(found), len(found) - len(wrong), *wrong[:1], remark=remark)


def probabilities(mode: str, rules: str, service: str = "default/web") -> list[float]:
    """The chance that each rule of a service's chain takes what reaches it; the last one takes all."""
    nat = chains(mode, rules)["nat"]
    for name, lines in nat.items():
        own = [line for line in lines if f'"{service} -> ' in line and "-j KUBE-SEP-" in line]
        if name.startswith("KUBE-SVC-") and own:
            return [
                float(match[1]) if (match := _PROBABILITY.search(line)) else 1.0 for line in own
            ]
    raise UnknownRuleError(f"no chain of service {service}")


def _other_way(stage: Stage) -> str:
    """What stands in the place of probabilities."""
    mode = stage.mode.partition("/")[0]
    return {
        "nftables": "one rule draws a number, numgen random mod 3, and a map says whose it is",
        "ipvs": "the rules name no backend: IPVS' scheduler picks",
        "userspace": "the rules name no backend: the proxy's process picks",
    }.get(mode, f"mode {mode} has no such rules")


def _shown(chance: float) -> str:
    return f"{chance:.4g}"


SCENE = still(observe)
CLAIMS = (
    Claim(
        "a-third-each",
        "With three backends each gets one third of the connections.",
        "tutorial",
        "each share is 1/3 to within one percentage point, over all client nodes",
        SCENE,
        picking.judge_thirds,
    ),
    Claim(
        "rule-probabilities",
        "The rules of three backends have the probabilities 1/3, 1/2 and 1.",
        "answer",
        "on every node the service's chain has exactly these, in this order",
        SCENE,
        always,
    ),
    Claim(
        "random-pick",
        "A new connection goes to a backend picked at random.",
        "documentation",
        "the next pick of a node, given its last, has the entropy of a fair draw to within 5 %",
        SCENE,
        picking.judge_random,
    ),
    Claim(
        "round-robin",
        "A service hands its backends out round robin.",
        "tutorial",
        "at least 99 % of a node's picks are the next of one fixed order",
        SCENE,
        picking.judge_round_robin,
    ),
    Claim(
        "as-told",
        "Each mode picks as it is told: at random, round robin, or as the IPVS scheduler's name says.",
        "documentation",
        "the picks of each node follow that rule, as far as it can be told from them",
        SCENE,
        picking.judge_told,
    ),
    Claim(
        "same-backend-first",
        "Two clients on two nodes may hit one backend first.",
        "answer",
        f"in some trial two nodes' picks of the same number, of the first {HELD}, are one backend",
        SCENE,
        picking.judge_same_first,
    ),
    Claim(
        "evens-out",
        "Whatever the order, shares even out in the long run.",
        "answer",
        "over all connections of a trial the shares' coefficient of variation is below 0.05",
        SCENE,
        picking.judge_even,
    ),
)
