"""The pods that run an ingress controller, and what each was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from testbed.edge.ingress_options import Options, options_of
from testbed.errors import UsageError
from testbed.model.ingress_objects import IMAGE
from testbed.model.objects.pods import Pod
from testbed.store import Snapshot


def controller_pods(snapshot: Snapshot) -> Iterator[tuple[Pod, Options]]:
    """Ready or not; without those whose arguments make no sense."""
    for pod in snapshot.list(Pod):
        for container in pod.spec.containers:
            if container.image == IMAGE:
                with suppress(UsageError):  # its pod does not start, and says why
                    yield pod, options_of(container.args)
