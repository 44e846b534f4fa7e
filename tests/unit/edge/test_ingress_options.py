"""What an ingress controller's container is told."""

from __future__ import annotations

import pytest

from testbed.edge.ingress_options import Options, options_of
from testbed.errors import UsageError
from testbed.model.ingress import Ingress
from testbed.model.ingress_objects import ingress_objects
from testbed.model.objects.services import Service
from testbed.model.objects.workloads import Deployment

EXPOSED = (
    (Ingress(), Options()),
    (
        Ingress.model_validate(
            {"httpPort": 8080, "httpsPort": 8443, "threads": 2, "checkInterval": 0}
        ),
        Options(
            http_port=8080, https_port=8443, redirect_port=8443, threads=2, check_interval="0s"
        ),
    ),
    (
        Ingress.model_validate({"expose": "NodePort", "httpPort": 8080}),
        Options(redirect_port=30443, publish_service="ingress-system/haproxy-ingress"),
    ),
    (
        Ingress.model_validate({"expose": "LoadBalancer", "httpsPort": 8443}),
        Options(redirect_port=8443, publish_service="ingress-system/haproxy-ingress"),
    ),
)


@pytest.mark.parametrize(("ingress", "options"), EXPOSED)
def test_a_topology_tells_its_controller_what_it_says(ingress: Ingress, options: Options) -> None:
    made = list(ingress_objects(ingress, 1.0, 1))
    (deployment,) = (item for item in made if isinstance(item, Deployment))
    found = options_of(deployment.template.spec.containers[0].args)
    assert (found, found.check_interval_s) == (options, options.check_interval_s)
    assert deployment.template.spec.host_network == (ingress.expose == "hostNetwork")
    services = [item for item in made if isinstance(item, Service)]
    assert [one.type for one in services] == [ingress.expose] * (ingress.expose != "hostNetwork")


def test_without_an_ingress_there_is_nothing() -> None:
    assert list(ingress_objects(None, 1.0, 1)) == []


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--thread=2", "did you mean --threads"),
        ("threads=2", "is no argument"),
        ("--threads", "is no argument"),
        ("--threads=two", "invalid literal"),
        ("--threads=0", "must be 1 at least"),
        ("--balance=best", "no balance 'best'"),
        ("--sync-period=soon", "soon"),
    ],
)
def test_wrong_arguments(argument: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        options_of([argument])
