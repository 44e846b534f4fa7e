"""Requests that go on to pods: which part of which object means what."""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns

from aiohttp import web

from testbed.apiserver.failure import not_found
from testbed.apiserver.pod_commands import pod_attach, pod_exec
from testbed.apiserver.pod_logs import pod_log
from testbed.apiserver.pod_proxy import passed_on, pod_destination, proxy_name, service_destination
from testbed.apiserver.port_forward import pod_port_forward
from testbed.apiserver.routing import Target
from testbed.apiserver.streaming import Pods
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Snapshot


async def to_pods(
    where: Target, request: web.Request, *, pods: Pods, snapshot: Callable[[], Snapshot]
) -> web.StreamResponse:
    """Answer a request for one of them. Raises ApiFailure."""
    part = where.subresource.name if where.subresource is not None else ""
    if part == "proxy":
        return await _proxy(request, where, pods, snapshot())
    pod = snapshot().get(Pod, where.namespace, where.name)
    if pod is None:
        raise not_found(where.resource, where.name)
    if part == "log":
        return await pod_log(request, pod, pods, time_ns)
    handler = {"exec": pod_exec, "attach": pod_attach, "portforward": pod_port_forward}[part]
    return await handler(request, pod, pods)


async def _proxy(
    request: web.Request, where: Target, pods: Pods, snapshot: Snapshot
) -> web.StreamResponse:
    wanted = proxy_name(where.name)
    if where.resource.stored == Service.kind:
        service = snapshot.get(Service, where.namespace, wanted.name)
        if service is None:
            raise not_found(where.resource, wanted.name)
        destination = service_destination(service, wanted, snapshot)
    else:
        pod = snapshot.get(Pod, where.namespace, wanted.name)
        if pod is None:
            raise not_found(where.resource, wanted.name)
        destination = pod_destination(pod, wanted)
    return await passed_on(request, destination, where.rest, pods)
