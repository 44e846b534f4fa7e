"""A kubelet: keeps the pods of its node as the store says, and says in the store how they are.

It stands in for kubelet and container runtime. What to do is decided by `pod_lifecycle` and done by
`pod_actions`; what comes of it is fed back. Everything that happens in one turn of the event loop is
one batch: one transaction in the store.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

from testbed.controllers.asking import Asker, AskOnce
from testbed.controllers.endings import Endings
from testbed.controllers.fresh_writes import apply_fresh
from testbed.controllers.heartbeats import Heartbeats
from testbed.controllers.informer import Informer
from testbed.controllers.kubelet_events import kubelet_events
from testbed.controllers.pod_actions import PodActions
from testbed.controllers.pod_deletion import ended
from testbed.controllers.pod_lifecycle import advance, has_died
from testbed.controllers.pod_record import (
    Action,
    DeletePod,
    Gone,
    Happening,
    PodRecord,
    Relisted,
    Seen,
    Stage,
    Tick,
)
from testbed.controllers.pod_status import pod_status
from testbed.controllers.probes import Prober
from testbed.controllers.timing import NO_DELAYS, Delays, KubeletTiming
from testbed.events import Record
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.runtime.interface import PodRuntime
from testbed.store import Change, Snapshot, Store, Update, Write

DEFAULT_TIMING = KubeletTiming()


class Kubelet:
    """The kubelet of `node`. Runs on the event loop that is running when `start` is called.

    `seed` fixes the phase of its relist; `ask` replaces the real probes (tests).
    """

    def __init__(
        self,
        node: str,
        store: Store,
        runtime: PodRuntime,
        record: Record,
        now_ns: Callable[[], int],
        *,
        timing: KubeletTiming = DEFAULT_TIMING,
        delays: Delays = NO_DELAYS,
        seed: int | str = 0,
        ask: AskOnce | None = None,
        heartbeats: Heartbeats | None = None,
    ) -> None:
        self.node = node
        self._store = store
        self._runtime = runtime
        self._record = record
        self._now_ns = now_ns
        self._timing = timing
        self._delays = delays
        self._relist_phase = random.Random(f"{seed}/{node}").random()
        ask_once = ask or Asker(runtime).ask
        self._prober = Prober(node, record, now_ns, self._post, ask_once)
        endings = Endings(runtime, ask_once, self._now_s, timing.stop_poll_s)
        self._actions = PodActions(runtime, endings, self._post)
        self._host_ips: tuple[str, ...] = ()
        self._pods: dict[str, PodRecord] = {}
        self._inbox: list[tuple[str, Happening]] = []
        self._changed: dict[str, None] = {}
        """Pods whose status may have to be written, by uid, in order."""
        self._deletes: list[Write] = []
        self._flush_due = False
        self._wakes: dict[str, asyncio.TimerHandle] = {}
        self._relist_timer: asyncio.TimerHandle | None = None
        self._informer: Informer | None = None
        self._over = False
        self._away = False
        """The control plane cannot be reached: nothing of it is heard."""
        self._speaking: asyncio.TimerHandle | None = None
        """When it can be heard again, though it hears already."""
        self._heartbeats = heartbeats

    def start(self) -> None:
        """Say that the node is ready, take over its pods, and go on until `stop`."""
        self._loop = asyncio.get_running_loop()
        self._informer = Informer(
            self._store, self._seen, self._loop.call_later, self._now_s, self._delays.watch_s
        )
        for node in self._store.list(Node):
            if node.meta.name == self.node:
                self._host_ips = node.internal_ips
        if self._away:
            self._informer.pause()
        else:
            self._report_ready()
            if self._heartbeats is not None:
                self._heartbeats.begin(self.node, self._now_s())
        for pod in self._store.list(Pod):
            if pod.spec.node_name == self.node:
                self._post(pod.meta.uid, Seen(pod))
        first_s = self._timing.relist_s * self._relist_phase
        self._relist_timer = self._loop.call_later(first_s, self._relist)

    async def stop(self) -> None:
        """Stop acting, and say no more; the pods are left as they are."""
        self._over = True
        if self._heartbeats is not None:
            self._heartbeats.end(self.node, self._now_s())
        if self._informer is not None:
            self._informer.stop()
        if self._relist_timer is not None:
            self._relist_timer.cancel()
        for wake in self._wakes.values():
            wake.cancel()
        self._prober.stop()
        await self._actions.stop()

    def lose_touch(self) -> None:
        """The control plane cannot be reached: pods go on as they are, and what they become is said later."""
        if self._speaking is not None:
            self._speaking.cancel()
            self._speaking = None
        elif self._away:
            return
        self._away = True
        self.pause_watch()
        if self._heartbeats is not None:
            self._heartbeats.end(self.node, self._now_s())

    def regain_touch(self) -> None:
        """The control plane can be reached: hear what was missed, and say what has happened. Where the node is
        lost, with the next heartbeat: who says that a pod is ready before that is not believed.
        """
        if not self._away or self._speaking is not None:
            return
        self.resume_watch()
        now_s = self._now_s()
        next_s = now_s if self._heartbeats is None else self._heartbeats.resume(self.node, now_s)
        node = self._store.snapshot().get(Node, "", self.node)
        if node is None or (node.ready and not node.unreachable):
            self._speak()
        else:
            self._speaking = self._loop.call_later(max(0.0, next_s - now_s), self._speak)

    def _speak(self) -> None:
        self._speaking = None
        self._away = False
        self._report_ready()
        self._flush()

    def pause_watch(self) -> None:
        """See no change of the store until `resume_watch`."""
        if self._informer is not None:
            self._informer.pause()

    def resume_watch(self) -> None:
        """See what was missed, and go on."""
        if self._informer is not None:
            self._informer.resume()

    def _report_ready(self) -> None:
        if self._over:
            return
        node = self._store.snapshot().get(Node, "", self.node)
        if node is not None and (node.unreachable or not node.ready):
            self._store.apply([Update(_ready(node, self._now_s()))])

    # Happenings come in …

    def _now_s(self) -> float:
        return self._now_ns() / 1e9

    def _seen(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            pod = change.object
            if isinstance(pod, Pod) and pod.spec.node_name == self.node:
                deleted = change.type == "DELETED"
                self._post(pod.meta.uid, Gone() if deleted else Seen(pod))

    def _relist(self) -> None:
        for uid, record in self._pods.items():
            if record.stage in (Stage.UP, Stage.STOPPING):
                states = self._runtime.containers(uid)
                if has_died(record, states):
                    self._post(uid, Relisted(states))
        self._relist_timer = self._loop.call_later(self._timing.relist_s, self._relist)

    def _post(self, uid: str, happening: Happening) -> None:
        if not self._inbox:
            self._loop.call_soon(self._drain)
        self._inbox.append((uid, happening))

    # … are taken together …

    def _drain(self) -> None:
        inbox, self._inbox = self._inbox, []
        if self._over:
            return
        actions: list[tuple[PodRecord, Action]] = []
        for uid, happening in inbox:
            actions += self._advance(uid, happening)
        self._flush_soon()
        for record, action in actions:
            self._act(record, action)

    def _advance(self, uid: str, happening: Happening) -> list[tuple[PodRecord, Action]]:
        before = self._pods.get(uid)
        if before is None:
            if not isinstance(happening, Seen):
                return []  # the last word on a pod that is forgotten
            before = PodRecord.of(happening.pod)
        now_ns = self._now_ns()
        step = advance(before, happening, now_ns / 1e9, self._timing)
        if (wake := self._wakes.pop(uid, None)) is not None:
            wake.cancel()
        after = step.record
        for event in kubelet_events(before, after, self.node, now_ns):
            self._record(event)
        if step.forget:
            self._pods.pop(uid, None)
            self._prober.forget(uid)
            return []
        self._pods[uid] = after
        self._changed[uid] = None
        self._prober.follow(after)
        if step.wake_at_s is not None:
            wait_s = max(0.0, step.wake_at_s - self._now_s())
            self._wakes[uid] = self._loop.call_later(wait_s, self._post, uid, Tick())
        return [(after, action) for action in step.actions]

    # … what became of them is written to the store …

    def _flush_soon(self) -> None:
        """Write now, or after the API's delay; what changes again meanwhile is written once."""
        if self._delays.api_s is None:
            self._flush()
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_later(self._delays.api_s(), self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._over or self._away:
            return
        snapshot = self._store.snapshot()
        records = (self._pods.get(uid) for uid in self._changed)
        writes = [
            write
            for record in records
            if record is not None and (write := self._status_write(record, snapshot)) is not None
        ]
        self._changed.clear()
        deletes, self._deletes = self._deletes, []
        if writes or deletes:
            apply_fresh(self._store, [*writes, *deletes])

    def _status_write(self, record: PodRecord, snapshot: Snapshot) -> Write | None:
        meta = record.pod.meta
        pod = snapshot.get(Pod, meta.namespace, meta.name)
        if pod is None or pod.meta.uid != meta.uid:
            return None
        status = pod_status(record, pod.status, self._now_s(), self._host_ips)
        return None if status == pod.status else Update(replace(pod, status=status))

    # … and acted upon.

    def _act(self, record: PodRecord, action: Action) -> None:
        if not isinstance(action, DeletePod):
            self._actions.begin(record, action)
            return
        meta = record.pod.meta
        known = self._store.snapshot().get(Pod, meta.namespace, meta.name)
        if known is not None and known.meta.uid == meta.uid:
            self._deletes.append(ended(known, self._now_s()))
        self._flush_soon()


def _ready(node: Node, now_s: float) -> Node:
    """The node as a kubelet that has begun reports it."""
    changed_s = node.ready_changed_s if node.ready else now_s
    return replace(node, ready=True, unreachable=False, ready_changed_s=changed_s)
