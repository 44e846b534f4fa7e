"""What the containers of a pod must be.

Source: validateContainers and validateInitContainers of `pkg/apis/core/validation/validation.go`.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from testbed.apiserver.validation.choices import MESSAGE_POLICIES, PULL_POLICIES, RESTART_POLICIES
from testbed.apiserver.validation.environment import environment
from testbed.apiserver.validation.formats import dns_label, qualified_name
from testbed.apiserver.validation.place import Place
from testbed.apiserver.validation.ports import container_ports, host_ports
from testbed.apiserver.validation.probe import probes_and_hooks
from testbed.apiserver.validation.quantity import quantity
from testbed.apiserver.validation.volumes import mounts

_ONLY_LONG_RUNNING = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
_NATIVE = re.compile(r"cpu|memory|ephemeral-storage|hugepages-.+")
_USER_IDS = (0, 2**32 - 1)


def containers(spec: Place, volumes: Collection[str]) -> None:
    """Init containers and the others; `volumes` are the names of the pod's."""
    grace_period_s = spec["terminationGracePeriodSeconds"].number
    if not spec["containers"]:
        spec["containers"].required()
    names: set[str] = set()
    for container in spec["containers"].items():
        _container(container, volumes, names)
        probes_and_hooks(container, grace_period_s)
        if container["restartPolicy"] and container["restartPolicy"].text not in RESTART_POLICIES:
            container["restartPolicy"].unsupported(RESTART_POLICIES)
    host_ports(list(spec["containers"].items()))
    for container in spec["initContainers"].items():
        _container(container, volumes, names)
        host_ports([container])
        _init_container(container, grace_period_s)


def _init_container(container: Place, grace_period_s: int) -> None:
    """One that is restarted whenever it ends is a sidecar, which may have what other containers have."""
    policy = container["restartPolicy"]
    if policy:
        policy.one_of(RESTART_POLICIES)
    if policy.text == "Always":
        probes_and_hooks(container, grace_period_s)
        return
    for key in _ONLY_LONG_RUNNING:
        if container[key].value is not None:
            container[key].forbidden(
                "may not be set for init containers without restartPolicy=Always"
            )


def _container(container: Place, volumes: Collection[str], names: set[str]) -> None:
    """What holds for every container; `names` are those of the containers before it."""
    name, image = container["name"], container["image"]
    if name:
        name.invalid(*dns_label(name.text))
        name.unique(name.text, names)
    else:
        name.required()
    if not image:
        image.required()
    container["terminationMessagePolicy"].one_of(MESSAGE_POLICIES)
    container_ports(container["ports"])
    environment(container)
    mounts(container["volumeMounts"], volumes)
    container["imagePullPolicy"].one_of(PULL_POLICIES)
    _resources(container["resources"])
    for key in ("runAsUser", "runAsGroup"):
        user_id(container["securityContext"][key])


def user_id(place: Place) -> None:
    """A user's or a group's number."""
    low, high = _USER_IDS
    if place.value is not None and not low <= place.number <= high:
        place.invalid(f"must be between {low} and {high}, inclusive")


def _resources(resources: Place) -> None:
    """Requests are at most limits."""
    for key in ("limits", "requests"):
        for name, amount in resources[key].mapping.items():
            at = resources[key].entry(name)
            resources[key].invalid(*qualified_name(name), value=name)
            if "/" not in name and not _NATIVE.fullmatch(name):
                resources[key].invalid("must be a standard resource for containers", value=name)
            if quantity(amount) < 0:
                at.invalid("must be greater than or equal to 0")
    limits = resources["limits"].mapping
    for name, amount in resources["requests"].mapping.items():
        if name in limits and quantity(amount) > quantity(limits[name]):
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            resources["requests"].invalid(detail, value=amount)
