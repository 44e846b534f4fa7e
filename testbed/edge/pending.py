"""Services of a topology that nobody in its lab will give a load balancer's address."""

from __future__ import annotations

from testbed.model.objects.services import Service
from testbed.model.shorthand import expand
from testbed.model.topology import Topology


def pending(topology: Topology) -> list[str]:
    """What users are told of each. A client of the API may still be the one who serves it."""
    return [
        f"Service {service.meta.namespace}/{service.meta.name}: its address stays pending: {why}"
        for service in expand(topology)
        if isinstance(service, Service) and (why := _why(service, topology))
    ]


def _why(service: Service, topology: Topology) -> str:
    """Empty where the topology's provider serves it, or it asks for no address, or brings one."""
    balancer, wanted = topology.load_balancer, service.load_balancer_class
    if service.type != "LoadBalancer" or service.load_balancer_ingress:
        return ""
    if balancer.provider == "none":
        return "loadBalancer has no provider (l2, bgp and cloud give addresses out)"
    if wanted == (served := balancer.load_balancer_class):
        return ""
    whose = f"those of class {served}" if served else "those that name no class"
    asks = f"it asks for loadBalancerClass {wanted}" if wanted else "it names no loadBalancerClass"
    return f"{asks}, and the provider serves {whose}"
