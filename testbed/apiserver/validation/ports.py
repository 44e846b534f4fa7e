"""What ports may look like, wherever they are."""

from __future__ import annotations

from testbed.apiserver.validation.choices import PROTOCOLS
from testbed.apiserver.validation.formats import port_name, port_number
from testbed.apiserver.validation.place import Place


def port_or_name(place: Place) -> None:
    """A port's number, or the name of a container's port."""
    if isinstance(place.value, str):
        place.invalid(*port_name(place.text))
    else:
        place.invalid(*port_number(place.number), value=place.number)


def container_ports(ports: Place) -> None:
    """The ports of one container."""
    names: set[str] = set()
    for port in ports.items():
        name = port["name"]
        if name:
            wrong = port_name(name.text)
            name.invalid(*wrong)
            if not wrong:
                name.unique(name.text, names)
        if port["containerPort"]:
            port["containerPort"].invalid(*port_number(port["containerPort"].number))
        else:
            port["containerPort"].required()
        if port["hostPort"]:
            port["hostPort"].invalid(*port_number(port["hostPort"].number))
        port["protocol"].one_of(PROTOCOLS)


def host_ports(containers: list[Place]) -> None:
    """Containers of one pod do not take the same port of their node."""
    seen: set[str] = set()
    for container in containers:
        for port in container["ports"].items():
            if port["hostPort"]:
                what = (port["protocol"].text, port["hostIP"].text, str(port["hostPort"].number))
                port["hostPort"].unique("/".join(what), seen)
