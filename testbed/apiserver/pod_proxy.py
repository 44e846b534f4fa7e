"""pods/NAME/proxy and services/NAME/proxy: an HTTP request that goes on to a pod, and its answer back.

NAME may be SCHEME:NAME:PORT; the port a number or a name. Source: pkg/registry/core/service/storage;
pkg/registry/core/pod/strategy.go, ResourceLocation.
"""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass

from aiohttp import ClientConnectionError, ClientSession, ClientTimeout, TCPConnector, hdrs, web
from multidict import CIMultiDict
from yarl import URL

from testbed.apiserver.failure import ApiFailure, bad_request, service_unavailable
from testbed.apiserver.streaming import Pods, why
from testbed.ip import host_port
from testbed.model.objects.endpoint_slices import Endpoint, EndpointSlice
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Snapshot

_OURS = frozenset(
    name.lower()
    for name in (
        *("Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer"),
        *("Transfer-Encoding", "Upgrade", "Authorization", "Host"),
    )
)
"""Fields that are about one connection, or for the API alone."""
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a proxied request goes: an address as seen from `node` ("": any)."""

    address: str
    port: int
    node: str = ""
    https: bool = False


@dataclass(frozen=True, slots=True)
class ProxyName:
    """SCHEME:NAME:PORT, taken apart."""

    name: str
    port: str = ""
    https: bool = False


def proxy_name(text: str) -> ProxyName:
    """Raises ApiFailure for what is no such name."""
    parts = text.split(":")
    if len(parts) == 1:
        return ProxyName(text)
    if len(parts) == 2:
        return ProxyName(parts[0], parts[1])
    if len(parts) == 3 and parts[0] in ("", "http", "https"):
        return ProxyName(parts[1], parts[2], parts[0] == "https")
    raise bad_request(f"invalid proxy name {text!r}: as in NAME, NAME:PORT or https:NAME:PORT")


def pod_destination(pod: Pod, wanted: ProxyName) -> Destination:
    """The port that is asked for, or the first one that the pod declares. Raises ApiFailure."""
    ports = [port for container in pod.spec.containers for port in container.ports]
    if wanted.port.isdecimal():
        number = int(wanted.port)
    elif wanted.port:
        named = [port.container_port for port in ports if port.name == wanted.port]
        if not named:
            raise bad_request(f"pod {pod.meta.name} has no port named {wanted.port}")
        number = named[0]
    else:
        number = ports[0].container_port if ports else (443 if wanted.https else 80)
    if not pod.status.pod_ip:
        raise bad_request("address not allowed")
    return Destination(pod.status.pod_ip, number, pod.spec.node_name, wanted.https)


def service_destination(service: Service, wanted: ProxyName, snapshot: Snapshot) -> Destination:
    """One of its ready endpoints, by chance. Raises ApiFailure."""
    port = _port_name(service, wanted.port)
    found: list[tuple[Endpoint, int]] = []
    for part in snapshot.list(EndpointSlice, service.meta.namespace):
        if part.service == (service.meta.namespace, service.meta.name):
            numbers = [one.port for one in part.ports if one.name == port]
            found += [(one, numbers[0]) for one in part.endpoints if one.ready and numbers]
    if not found:
        raise service_unavailable(f'no endpoints available for service "{wanted.name}"')
    endpoint, number = random.choice(found)
    return Destination(endpoint.addresses[0], number, endpoint.node_name, wanted.https)


def _port_name(service: Service, wanted: str) -> str:
    """Of the service's ports: as its endpoints call it."""
    for port in service.ports:
        if wanted in ("", port.name, str(port.port)):
            return port.name
    raise service_unavailable(f'no service port "{wanted}" found for service "{service.meta.name}"')


async def passed_on(
    request: web.Request, to: Destination, path: str, pods: Pods
) -> web.StreamResponse:
    """Send the request there, and what comes back to the client, as it comes. Raises ApiFailure."""
    if request.headers.get(hdrs.UPGRADE):
        raise bad_request("the proxy does not pass on upgraded connections; port-forward does")
    make = pods.make_socket(to.node)
    connector = TCPConnector(
        socket_factory=lambda info: make(socket.AddressFamily(info[0])), force_close=True
    )
    scheme = "https" if to.https else "http"
    where = f"{scheme}://{host_port(to.address, to.port)}{path or '/'}"
    url = URL(f"{where}?{request.rel_url.raw_query_string}".rstrip("?"), encoded=True)
    headers = CIMultiDict(
        (name, value) for name, value in request.headers.items() if name.lower() not in _OURS
    )
    headers["X-Forwarded-Uri"] = request.rel_url.raw_path
    body = request.content.iter_chunked(_CHUNK) if request.can_read_body else None
    async with ClientSession(
        connector=connector, auto_decompress=False, timeout=ClientTimeout(total=None, connect=10)
    ) as session:
        try:
            async with session.request(
                request.method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                ssl=False,
                skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING),
            ) as answer:
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                for name, value in answer.headers.items():
                    if name.lower() not in _OURS:
                        response.headers.add(name, value)
                await response.prepare(request)
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    await response.write(chunk)
                await response.write_eof()
                return response
        except (ClientConnectionError, TimeoutError) as error:
            raise _unreachable(to, error) from None


def _unreachable(to: Destination, error: Exception) -> ApiFailure:
    where = host_port(to.address, to.port)
    reason = why(getattr(error, "os_error", None) or error)
    return service_unavailable(f"error trying to reach service: dial tcp {where}: {reason}")
