"""Probing containers as kubelet does: when, how often, and what the outcomes come to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from testbed.controllers.asking import AskOnce, Outcome
from testbed.controllers.pod_record import ContainerRecord, Life, PodRecord, Probed, Stage
from testbed.controllers.probe_tally import ProbeTally, next_due_s
from testbed.events import Event, Record
from testbed.model.containers import Probe
from testbed.model.objects.metadata import name_of


class Prober:
    """The probes of one node's pods: a task for each probe of each run of a container.

    `verdict(uid, probed)` is called when a threshold is reached; every failure, and the first
    success after one, is an event.
    """

    def __init__(
        self,
        node: str,
        record: Record,
        now_ns: Callable[[], int],
        verdict: Callable[[str, Probed], None],
        ask: AskOnce,
    ) -> None:
        self._node = node
        self._record = record
        self._now_ns = now_ns
        self._verdict = verdict
        self._ask = ask
        self._workers: dict[str, dict[_Key, asyncio.Task[None]]] = {}

    def follow(self, pod: PodRecord) -> None:
        """Probe what runs, stop probing what does not."""
        want = _probes(pod)
        workers = self._workers.setdefault(pod.pod.meta.uid, {})
        for key in [key for key in workers if key not in want]:
            workers.pop(key).cancel()
        for key, (container, probe) in want.items():
            if key not in workers:
                worker = asyncio.create_task(self._work(pod, key, container, probe))
                worker.add_done_callback(_show_bugs)
                workers[key] = worker

    def forget(self, uid: str) -> None:
        """Stop probing a pod."""
        for worker in self._workers.pop(uid, {}).values():
            worker.cancel()

    def stop(self) -> None:
        """Stop probing."""
        for uid in tuple(self._workers):
            self.forget(uid)

    async def _work(
        self, pod: PodRecord, key: _Key, container: ContainerRecord, probe: Probe
    ) -> None:
        name, kind, _ = key
        tally = ProbeTally(_BELIEVED[kind])

        def report(outcome: Outcome) -> None:
            nonlocal tally
            before, tally = tally, tally.after(outcome.ok, probe)
            if not outcome.ok or before.last is not True:
                detail = {
                    "uid": pod.pod.meta.uid,
                    "container": name,
                    "probe": kind,
                    "restart_count": container.restart_count,
                    "run": tally.run,
                    "reason": outcome.message,
                }
                what = "probe-succeeded" if outcome.ok else "probe-failed"
                where = name_of(pod.pod)
                self._record(Event(self._now_ns(), "kubelet", self._node, what, where, 0, detail))
            if tally.verdict is not None and tally.verdict != before.verdict:
                self._verdict(pod.pod.meta.uid, Probed(name, kind, tally.verdict))

        await keep_asking(
            probe,
            lambda: self._ask(pod, container.spec, probe),
            report,
            lambda: self._now_ns() / 1e9,
        )


_Key = tuple[str, str, float | None]
"""(container, kind of probe, when this run of the container started)."""
_BELIEVED = {"readiness": False, "liveness": True, "startup": None}
"""Before the first verdict; a startup probe has to give one, either way."""


def _show_bugs(worker: asyncio.Task[None]) -> None:
    if not worker.cancelled():
        worker.result()  # probing never ends by itself: let the event loop show the exception


def _probes(pod: PodRecord) -> dict[_Key, tuple[ContainerRecord, Probe]]:
    """The probes that should run: until a container has started, its startup probe alone; liveness ends when
    the pod or the container is being stopped.
    """
    want: dict[_Key, tuple[ContainerRecord, Probe]] = {}
    for container in pod.every:
        if not container.runs:
            continue
        spec, started_s = container.spec, container.started_s
        lives = container.life is Life.RUNNING and pod.stage is Stage.UP
        if not container.started:
            if lives and spec.startup_probe is not None:
                want[spec.name, "startup", started_s] = (container, spec.startup_probe)
            continue
        if spec.readiness_probe is not None:
            want[spec.name, "readiness", started_s] = (container, spec.readiness_probe)
        if lives and spec.liveness_probe is not None:
            want[spec.name, "liveness", started_s] = (container, spec.liveness_probe)
    return want


async def keep_asking(
    probe: Probe,
    once: Callable[[], Awaitable[Outcome]],
    report: Callable[[Outcome], None],
    now_s: Callable[[], float],
) -> None:
    """Probe for ever: first after the initial delay, then every period.

    Without an initial delay the first probe is as soon as the container runs, which in kubelet is
    what the manual trigger of a container that is not ready yet does.
    """
    await asyncio.sleep(probe.initial_delay_s)
    due_s = now_s()
    while True:
        report(await once())
        due_s = next_due_s(due_s, probe.period_s, now_s())
        await asyncio.sleep(max(0.0, due_s - now_s()))
