"""What everything bears that a lab has the Docker daemon make: whose it is, and what it stands for."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_HOST = "unix:///var/run/docker.sock"
"""Where the daemon listens unless DOCKER_HOST says otherwise."""
LAB = "testbed.lab"
INSTANCE = "testbed.instance"
"""This lab, and none that had or will have its name."""
HOME = "testbed.home"
"""The machine, and the folder of the labs: who shares a daemon does not judge the labs of others."""
NODE, POD, CONTAINER = "testbed.node", "testbed.pod", "testbed.container"


@dataclass(frozen=True, slots=True)
class Owner:
    """A lab, as the daemon's things name it."""

    lab: str
    instance: str
    home: str

    def labels(self, **more: str) -> dict[str, str]:
        """By their whole names; `more`: node, pod, container."""
        own = {LAB: self.lab, INSTANCE: self.instance, HOME: self.home}
        return own | {f"testbed.{name}": value for name, value in more.items()}
