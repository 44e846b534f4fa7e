"""What probes and lifecycle hooks of containers must be.

Source: validateProbe and validateHandler of `pkg/apis/core/validation/validation.go`.
"""

from __future__ import annotations

from testbed.apiserver.validation.choices import SCHEMES
from testbed.apiserver.validation.formats import header_name, port_number
from testbed.apiserver.validation.place import Place
from testbed.apiserver.validation.ports import port_or_name

_NUMBERS = (
    *("initialDelaySeconds", "timeoutSeconds", "periodSeconds"),
    *("successThreshold", "failureThreshold"),
)
_PROBE_ACTIONS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_ACTIONS = ("exec", "httpGet", "tcpSocket", "sleep")


def probes_and_hooks(container: Place, grace_period_s: int) -> None:
    """Of a container that may have them."""
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container[key].value is not None:
            _probe(container[key], key)
    for key in ("postStart", "preStop"):
        hook = container["lifecycle"][key]
        if hook.value is not None:
            _action(hook, _HOOK_ACTIONS, grace_period_s)


def _probe(probe: Place, key: str) -> None:
    _action(probe, _PROBE_ACTIONS, 0)
    for number in _NUMBERS:
        probe[number].at_least(0)
    grace = probe["terminationGracePeriodSeconds"]
    if grace.value is not None and key == "readinessProbe":
        grace.invalid("must not be set for readinessProbes")
    elif grace.value is not None and grace.number <= 0:
        grace.invalid("must be greater than 0")
    if key != "readinessProbe" and probe["successThreshold"].number != 1:
        probe["successThreshold"].invalid("must be 1")


def _action(handler: Place, actions: tuple[str, ...], grace_period_s: int) -> None:
    found = [handler[action] for action in actions if handler[action].value is not None]
    if not found:
        handler.required("must specify a handler type")
    for extra in found[1:]:
        extra.forbidden("may not specify more than 1 handler type")
    for action in found[:1]:
        _one_action(action, grace_period_s)


def _one_action(action: Place, grace_period_s: int) -> None:
    match action.path.rpartition(".")[2]:
        case "exec":
            if not action["command"]:
                action["command"].required()
        case "httpGet":
            port_or_name(action["port"])
            action["scheme"].one_of(SCHEMES)
            for header in action["httpHeaders"].items():
                name = header["name"].text
                action["httpHeaders"].invalid(*header_name(name), value=name)
        case "tcpSocket":
            port_or_name(action["port"])
        case "grpc":
            action["port"].invalid(*port_number(action["port"].number), value=action["port"].number)
        case "sleep":
            seconds = action["seconds"].number
            if not 0 <= seconds <= grace_period_s:
                limit = f"terminationGracePeriodSeconds ({grace_period_s})"
                action.invalid(f"must be non-negative and less than {limit}", value=seconds)
