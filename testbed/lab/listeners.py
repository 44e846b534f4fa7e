"""What the lab's own servers listen on in a pod."""

from __future__ import annotations

from typing import Any

from testbed.errors import UsageError
from testbed.model.containers import Container
from testbed.model.objects.pods import SERVICE_TIME_OPTION
from testbed.runtime.netns import Place
from testbed.units import duration_s

_DEFAULT_PORT = 8080


def listeners(place: Place) -> list[dict[str, Any]]:
    """The echo server's entry for each port of the container."""
    ports = _ports(place.container)
    sctp = {(port.container_port, port.protocol) for port in place.container.ports}
    return [
        {
            "pod": place.pod.meta.name,
            "uid": place.pod.meta.uid,
            "namespace": place.pod.meta.namespace,
            "node": place.node,
            "ip": str(place.addresses[0]),
            "listen": everywhere(place),
            "port": port,
            "sctp": (port, "SCTP") in sctp,
            "netns": place.netns,
            "service_s": _service_s(place.container),
        }
        for port in ports
    ]


def _service_s(container: Container) -> float:
    """How long the echo server is told to work on a request. Raises UsageError for what is no time."""
    args = container.args
    if SERVICE_TIME_OPTION not in args:
        return 0.0
    at = args.index(SERVICE_TIME_OPTION) + 1
    try:
        return duration_s(args[at] if at < len(args) else "")
    except ValueError as error:
        raise UsageError(f"{container.name}: {SERVICE_TIME_OPTION}: {error}") from error


def everywhere(place: Place) -> list[str]:
    """What a server of the pod listens on: every address of the IP families that it has."""
    return ["::" if address.version == 6 else "0.0.0.0" for address in place.addresses]


def _ports(container: Container) -> list[int]:
    """Distinct port numbers: the echo server answers TCP and UDP on each, and SCTP where it is asked to."""
    return sorted({port.container_port for port in container.ports}) or [_DEFAULT_PORT]
