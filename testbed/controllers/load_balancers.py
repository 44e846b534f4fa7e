"""status.loadBalancer of services: which address of the pools each has, or why none. As MetalLB's controller.

Source: MetalLB, controller/service.go; for the finalizer, Kubernetes' cloud-provider, controllers/service.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address

from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.following import EMPTY
from testbed.controllers.object_deletion import without_finalizer
from testbed.edge.pool import Allocator, Given
from testbed.edge.requests import Refused, Request, request
from testbed.model.load_balancer import ALLOCATED_FROM, LoadBalancer
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.services import LoadBalancerIngress, Service
from testbed.store import Key, Snapshot, Update, Write

CLEANUP = "service.kubernetes.io/load-balancer-cleanup"
"""The finalizer that a cloud's services have until their balancer is gone."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the controller goes by."""

    balancer: LoadBalancer
    ip_mode: str = "VIP"
    """What the provider's addresses are: VIP (packets reach a node with them) or Proxy."""
    finalizer: bool = False


def is_ours(service: Service, settings: LoadBalancer) -> bool:
    """Whether the provider is to serve it."""
    return (
        service.type == "LoadBalancer"
        and service.load_balancer_class == settings.load_balancer_class
    )


def reconcile(settings: Settings, snapshot: Snapshot, now_s: float) -> Decision:
    """Gives addresses to those that lack one, in the order in which they were made; takes them back from those
    that must not have theirs.
    """
    given, _ = outcomes(settings.balancer, snapshot)
    writes: list[Write] = []
    for key, service in snapshot.of(Service).items():
        if _is_foreign(service, settings.balancer):
            continue
        if service.meta.deletion_s is not None and CLEANUP in service.meta.finalizers:
            writes.append(without_finalizer(service, CLEANUP))
        elif (after := _as_given(service, given.get(key), settings)) != service:
            writes.append(Update(after))
    return writes, None


def remembering(settings: Settings) -> Reconcile:
    """A `reconcile` that looks only when a service that is a load balancer, or has been one, has changed."""
    then = EMPTY
    unsettled = True

    def ask(now: Snapshot, now_s: float) -> Decision:
        nonlocal then, unsettled
        before, then = then, now
        if not unsettled and not any(_changes(before, now)):
            return [], None
        decision = reconcile(settings, now, now_s)
        unsettled = bool(decision[0])
        return decision

    return ask


def outcomes(settings: LoadBalancer, snapshot: Snapshot) -> tuple[dict[Key, Given], dict[Key, str]]:
    """Who has what, and why others have nothing."""
    allocator = Allocator(settings.all_pools)
    ours = sorted(
        (
            (key, service)
            for key, service in snapshot.of(Service).items()
            if is_ours(service, settings) and service.ip_families and not _is_going(service)
        ),
        key=lambda item: (item[1].meta.creation_s, item[0]),
    )
    given: dict[Key, Given] = {}
    refused: dict[Key, str] = {}
    waiting: list[tuple[Key, Request]] = []
    for key, service in ours:
        try:
            asked = request(service)
        except Refused as why:
            refused[key] = str(why)
            continue
        have = tuple(ip_address(one.ip) for one in service.load_balancer_ingress if one.ip)
        try:
            if not have:
                raise Refused("it has none yet")
            given[key] = allocator.keep(asked, have)
        except Refused:
            waiting.append((key, asked))
    for key, asked in waiting:
        try:
            given[key] = allocator.allocate(asked)
        except Refused as why:
            refused[key] = str(why)
    return given, refused


def _is_foreign(service: Service, settings: LoadBalancer) -> bool:
    """Whether another controller sees to it (spec.loadBalancerClass)."""
    return service.type == "LoadBalancer" and not is_ours(service, settings)


def _is_going(service: Service) -> bool:
    """Whether it is being deleted, and is to get nothing more; what it has it keeps to the end."""
    return service.meta.deletion_s is not None and not service.load_balancer_ingress


def _as_given(service: Service, given: Given | None, settings: Settings) -> Service:
    """The service with what it has been given, and nothing of what it has not."""
    noted_as_given = service.load_balancer_ingress or ALLOCATED_FROM in service.meta.annotations
    if service.type != "LoadBalancer" and not noted_as_given:
        return service
    noted = {key: text for key, text in service.meta.annotations.items() if key != ALLOCATED_FROM}
    finalizers = tuple(one for one in service.meta.finalizers if one != CLEANUP)
    ingress: tuple[LoadBalancerIngress, ...] = ()
    if given is not None:
        noted[ALLOCATED_FROM] = given.pool
        ingress = tuple(
            LoadBalancerIngress(ip=str(one), ip_mode=settings.ip_mode) for one in given.addresses
        )
        if settings.finalizer:
            finalizers = (*finalizers, CLEANUP)
    meta = service.meta
    if (service.load_balancer_ingress, meta.annotations, meta.finalizers) == (
        ingress,
        noted,
        finalizers,
    ):
        return service
    marked = with_meta(service, annotations=noted, finalizers=finalizers)
    return replace(marked, load_balancer_ingress=ingress)


def _changes(before: Snapshot, now: Snapshot) -> Iterator[bool]:
    for pair in now.of(Service).changed_since(before.of(Service)).values():
        for one in pair:
            yield one is not None and (
                one.type == "LoadBalancer" or bool(one.load_balancer_ingress)
            )
