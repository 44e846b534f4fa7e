"""A row of the flow table: who dials what, and who answers, seeing whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.addresses import POD_NODES, ZONES

NAMESPACE = "flows"
POD_PORT = 8080
"""Where the test pods answer, by every protocol."""

REFUSED = "refused"
DROPPED = "dropped"
UNTOUCHED = "untouched"
"""No rule matches: the packet goes where the routes say, and nobody is there."""
LOST = "lost"
"""A pod gets it, but answers past the node that rewrote the address: the client takes it for a
stranger's.
"""

CLOSED = "closed"
"""Somebody accepts the connection and ends it, having nowhere to lead it."""

PROFILES = ("kube-proxy-1.36", "documented")

OPTIONS: Mapping[str, Mapping[str, object]] = {
    "": {},
    "masquerade all": {"masqueradeAll": True},
    "primary node ports": {"nodePortAddresses": ["primary"]},
}
"""What a topology's `proxy` says beside mode and profile."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`pods`: whose address each pod that may answer sees. `otherwise`: what happens where nobody
    answers, or beside that: REFUSED, DROPPED, UNTOUCHED or LOST.
    """

    pods: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class Deviation:
    """What one mode does instead."""

    why: str
    answers: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
    issue: str = ""
    """Of kubernetes/kubernetes, where there is one."""
    documented: bool = False
    """Kubernetes' documents say so of this mode, or are silent: it holds in both profiles."""
    kept: bool = False
    """The row `expires`, but here the client keeps its backend."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One row. `client` is a pod, node or outside host; `to` a host that `Plan.target` knows, and a
    port. `answers` and `otherwise` are what Kubernetes documents.
    """

    name: str
    client: str
    to: str
    answers: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
    protocol: str = "tcp"
    state: str = "base"
    sticks: bool = False
    """A client gets the same one of `answers` every time."""
    expires: bool = False
    """A client that pauses for longer than the affinity's timeout gets another one of `answers`."""
    via: str = ""
    """The node that an outside host's packet reaches first, where `to` does not say it."""
    option: str = ""
    """Which of OPTIONS the proxies have."""
    families: tuple[int, ...] = (4, 6)
    deviates: Mapping[str, Deviation] = field(default_factory=dict)
    """Mode -> what it does where that is not what is documented."""

    blind: str = ""
    """Who answers where policies, hints, source ranges and terminating endpoints are not known, as in
    userspace mode: pods, or how it ends. "": the same as above.
    """

    masqueraded: Mapping[str, str] = field(default_factory=dict)
    """Who answers where the pod network hides a pod from other nodes behind its own; {}: the same."""

    def expected(
        self, mode: str, profile: str, *, masquerade: bool = False, outside_too: bool = False
    ) -> Answer:
        """What this row is to get in a mode (without variant and scheduler) and profile; `masquerade`:
        whether the pod network hides pods from what is outside; `outside_too`: and that from pods elsewhere.
        """
        if masquerade and self.masqueraded and mode != "userspace":
            return Answer(self.masqueraded)
        answer = self._routed(mode, profile)
        if outside_too and answer.otherwise == LOST:  # hidden behind the node, its reply comes back
            pods = self.blind.split() or self.answers
            return Answer(dict.fromkeys(pods, self.proxied_by))
        return answer

    def _routed(self, mode: str, profile: str) -> Answer:
        deviation = self.deviates.get(mode)
        if deviation is not None and (deviation.documented or profile == PROFILES[0]):
            return Answer(deviation.answers, deviation.otherwise)
        return self._of_userspace(profile) if mode == "userspace" else self.documented

    @property
    def documented(self) -> Answer:
        """What Kubernetes documents."""
        return Answer(self.answers, self.otherwise)

    def _of_userspace(self, profile: str) -> Answer:
        """A process dials for its clients: pods see its node, and no reply goes astray. Kubernetes
        documents both, and that it knows no SCTP.
        """
        if self.protocol == "sctp" and self.answers:
            return Answer(otherwise=UNTOUCHED)
        if self.target in POD_NODES:
            return self.documented
        if self.blind and (profile == PROFILES[0] or self.otherwise == LOST):
            pods = self.blind.split()
            known = pods[0] in POD_NODES
            return Answer(dict.fromkeys(pods, self.proxied_by)) if known else Answer({}, pods[0])
        if self.otherwise == REFUSED and profile == PROFILES[0]:
            return Answer(otherwise=CLOSED if self.protocol == "tcp" else DROPPED)
        return Answer(dict.fromkeys(self.answers, self.proxied_by), self.otherwise)

    @property
    def target(self) -> str:
        """The host of `to`."""
        return self.to.rpartition(":")[0]

    @property
    def proxied_by(self) -> str:
        """The node whose rules meet the packet first."""
        dialled = self.target.removesuffix("-second")
        if dialled in ZONES:
            return dialled
        return self.via or POD_NODES.get(self.client, self.client)
