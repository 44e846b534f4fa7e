"""Connections are balanced, one by one: what becomes of requests, of few of them, and after a restart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence

from testbed.claims.claim import Observation, still
from testbed.claims.stage import Stage
from testbed.issues.issue import Issue, attempt
from testbed.issues.judging import many_a_trial, once_a_trial
from testbed.issues.pattern import begin
from testbed.issues.waiting import CALM_NODE, await_endpoint

PORT = 80
BURSTS = 40
CLIENTS, CONNECTIONS, REQUESTS = 20, 6, 4
"""Clients with as many kept connections as let every backend have two."""
MARGIN = 0.05
"""Picks that are fair and random show each of these in about four of five attempts: far from one in 20."""
BUSIEST = 1.5
"""Times its fair share: from there on a backend has too much."""
RECONNECTING = 12
PERIOD_S = 0.02
AFTER_S = 0.5
"""So long clients go on after the restarted pod is in every node's rules again."""


def observe(stage: Stage) -> Mapping[str, Observation]:
    """From one pod: bursts of as many connections as there are backends, and clients that keep theirs."""
    names = [pod.name for pod in stage.backends("web")]
    target = {"host": stage.address("web"), "port": PORT, "count": BURSTS, "size": len(names)}
    in_turn = begin(stage, stage.asker(CALM_NODE), bursts={**target, "held": False}).answers()
    at_once = begin(stage, stage.asker(CALM_NODE), bursts={**target, "held": True}).answers()
    kept = begin(
        stage,
        stage.asker(CALM_NODE),
        clients={
            **target,
            "count": CLIENTS,
            "connections": CONNECTIONS,
            "requests": REQUESTS,
        },
    ).answers()
    return {
        "few-requests-uneven": left_out(in_turn["bursts"], names),
        "idle-while-others-busy": left_out(at_once["bursts"], names),
        "kept-connections-uneven": too_much(kept["clients"], names),
    }


def left_out(bursts: Sequence[Sequence[str]], backends: Sequence[str]) -> Observation:
    """An attempt is a burst: does some backend get nothing of it?"""
    shown = [burst for burst in bursts if set(backends) - set(burst)]
    idle = sum(len(set(backends) - set(burst)) for burst in bursts)
    share = idle / (len(bursts) * len(backends)) if bursts else None
    example = f"One burst went to {', '.join(shown[0])}" if shown else ""
    return attempt(len(bursts), len(shown), example, idle_share=share)


def too_much(clients: Sequence[Sequence[str]], backends: Sequence[str]) -> Observation:
    """An attempt is a client: does one backend get too much of its requests?"""
    limit = BUSIEST / len(backends)
    shares = [
        max((who.count(name) for name in backends), default=0) / len(who) for who in clients if who
    ]
    shown = [share for share in shares if share >= limit - 1e-9]
    example = f"One client had {shown[0]:.0%} of its requests at one backend" if shown else ""
    mean = sum(shares) / len(shares) if shares else None
    return attempt(len(shares), len(shown), example, busiest_share=mean)


def after_restart(stage: Stage) -> Generator[None, None, Mapping[str, Observation]]:
    """Clients that keep a connection each, and dial again where it breaks; amid them a backend crashes and
    comes back.
    """
    victim = stage.chance.choice(stage.backends("api"))
    wanted = {
        "host": stage.address("api"),
        "port": PORT,
        "connections": RECONNECTING,
        "period_s": PERIOD_S,
    }
    asked = begin(stage, stage.asker(CALM_NODE), reconnecting=wanted)
    asked.await_start()
    fault = stage.lab.fault("crash", victim.name)
    yield
    await_endpoint(stage, "endpoint-ready", victim.ip, fault.t_ns)
    stage.lab.pause(AFTER_S)
    asked.stop()
    rows = asked.answers()["reconnecting"]
    names = [pod.name for pod in stage.backends("api")]
    return {"uneven-after-restart": shunned(rows, victim.name, names)}


def shunned(
    rows: Sequence[tuple[str, str, int]], victim: str, backends: Sequence[str]
) -> Observation:
    """One attempt: does the pod that came back have less than half its fair share of the connections?"""
    before, after = (Counter(row[at] for row in rows) for at in (0, 1))
    if not before[victim]:
        return attempt(0, 0, f"no connection led to {victim}")
    share = after[victim] / len(rows)
    told = ", ".join(f"{name} {before[name]} then {after[name]}" for name in backends)
    return attempt(
        1,
        int(share < 0.5 / len(backends)),
        f"Connections, where {victim} restarted: {told}",
        restarted_share=share,
    )


SCENE = still(observe)
ISSUES = (
    Issue(
        "kept-connections-uneven",
        38456,
        "Clients that keep their connections load backends unevenly.",
        f"a client keeps {CONNECTIONS} connections to 3 backends and sends {REQUESTS} requests on each",
        f"a client, one of {CLIENTS} in a trial",
        f"one backend gets {BUSIEST:g} times its fair share of the client's requests, or more",
        SCENE,
        many_a_trial(MARGIN),
    ),
    Issue(
        "few-requests-uneven",
        37932,
        "Not every pod gets one of a few requests: the probabilities look unequal.",
        "as many connections as there are backends, one after the other",
        f"such a burst, one of {BURSTS} in a trial",
        "some backend gets none of a burst",
        SCENE,
        many_a_trial(MARGIN),
    ),
    Issue(
        "idle-while-others-busy",
        64580,
        "Random picks leave pods idle while others have several connections.",
        "as many connections as there are backends, all open at once",
        f"such a burst, one of {BURSTS} in a trial",
        "some backend has none of the connections that are open",
        SCENE,
        many_a_trial(MARGIN),
    ),
    Issue(
        "uneven-after-restart",
        126378,
        "After a backend restarts, connections stay uneven: those that moved do not come back.",
        f"{RECONNECTING} clients keep a connection each and dial again where it breaks; a backend crashes and "
        "is restarted",
        "a trial",
        "once every proxy has it again, the pod has less than half its fair share of the connections",
        after_restart,
        once_a_trial,
    ),
)
