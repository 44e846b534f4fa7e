"""The views by name: one line registers one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from testbed.picture.physical import physical
from testbed.picture.pods import pods
from testbed.picture.scene import Scene
from testbed.picture.services import services
from testbed.picture.shapes import Picture

VIEWS: Mapping[str, Callable[[Scene], Picture]] = {
    "physical": physical,
    "pods": pods,
    "services": services,
}
