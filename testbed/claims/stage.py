"""Where a trial's claims are observed: its lab, who is in it, and how to ask them."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import NotFound, TestbedError
from testbed.experiment.beside import Beside
from testbed.experiment.module import Factors
from testbed.experiment.subjects import PodRef, live_nodes, pods_of
from testbed.experiment.trial_lab import TrialLab

PROBE = Path(__file__).with_name("probe.py")
ASKER = "client-{node}-1"
"""The pod that probes from a node; `client-NODE-0` makes the loads, whose connections are counted."""
CALLER = "client-{node}-0"
OUTSIDE = "outside"
"""The machine outside the cluster."""
POD_PORT = 8080
PATIENCE_S = 120.0
"""A probe of some seconds may take so long where the machine is slow."""
STARTED = "started\n"
"""What a probe prints when all it is to watch has begun."""

Answers = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """`view` is `inspect` as it was when the trial began."""

    lab: TrialLab
    factors: Factors
    chance: random.Random
    view: Mapping[str, Any]

    @property
    def mode(self) -> str:
        """The proxy's label."""
        return str(self.view["proxy"])

    @property
    def nodes(self) -> dict[str, str]:
        """Address by name."""
        return {node["name"]: node["addresses"][0] for node in live_nodes(self.view)}

    @property
    def pods(self) -> dict[str, PodRef]:
        """By name, as they were when the trial began."""
        return pods_of(self.view)

    def backends(self, workload: str) -> tuple[PodRef, ...]:
        """The pods of a workload, by name."""
        return tuple(pod for name, pod in sorted(self.pods.items()) if _is_of(name, workload))

    def service(self, name: str) -> Mapping[str, Any]:
        """A service's row of `inspect`. Raises NotFound."""
        return service_of(self.view, name)

    def address(self, service: str) -> str:
        """A service's cluster address."""
        return str(self.service(service)["clusterIP"])

    def asker(self, node: str) -> str:
        """The pod that asks from a node."""
        return ASKER.format(node=node)

    def caller(self, node: str) -> str:
        """The pod that makes loads from a node."""
        return CALLER.format(node=node)

    def begin(self, where: str, **jobs: Sequence[Any]) -> Asked:
        """Start a probe; what it is asked for is in `testbed.claims.probe`."""
        argv = [sys.executable, "-S", "-E", str(PROBE), json.dumps(jobs)]
        return Asked(where, self.lab.begin(where, argv, PATIENCE_S))

    def ask(self, where: str, **jobs: Sequence[Any]) -> Answers:
        """A probe's answers."""
        return self.begin(where, **jobs).answers()

    def ask_all(self, jobs: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, Answers]:
        """The answers of several probes at once, by place."""
        started = {where: self.begin(where, **wanted) for where, wanted in jobs.items()}
        return {where: asked.answers() for where, asked in started.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """A probe that runs."""

    where: str
    _running: Beside

    def await_start(self) -> None:
        """Return when everything that it watches is under way. Raises TestbedError where it failed."""
        if self._running.line() != STARTED:
            self.answers()

    def stop(self) -> None:
        """Watch no longer."""
        self._running.stop()

    def answers(self) -> Answers:
        """What it printed. Raises TestbedError where it failed."""
        done = self._running.result()
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise TestbedError(f"the probe in {self.where} ended with {done.returncode}: {last}")
        answers: Answers = json.loads(done.stdout.splitlines()[-1])
        return answers


def service_of(view: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A service of the namespace default in `inspect`. Raises NotFound."""
    for service in view["services"]:
        if (service["namespace"], service["name"]) == ("default", name):
            found: Mapping[str, Any] = service
            return found
    raise NotFound(f"the lab has no service {name}", "claims needs topologies/claims.yaml")


def _is_of(pod: str, workload: str) -> bool:
    stem, _, ordinal = pod.rpartition("-")
    return stem == workload and ordinal.isdecimal()
