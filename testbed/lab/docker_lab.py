"""What of a lab is containers: its nodes, its pods, both or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from testbed.errors import NotFound
from testbed.fabric.machine import Machine
from testbed.lab import pod_files
from testbed.lab.docker_container import DockerContainer
from testbed.lab.docker_daemon import Daemon
from testbed.lab.docker_nodes import DockerNodes
from testbed.lab.docker_pods import DockerPods
from testbed.lab.programs import Programs
from testbed.model.objects.pods import Pod
from testbed.model.topology import Topology
from testbed.runtime.docker.outside import Outside
from testbed.runtime.netns import Started

_NO_DNS = "# no DNS server: a node has none\n"


class DockerLab:
    """The containers of one lab."""

    def __init__(self, topology: Topology, folder: Path, programs: Programs) -> None:
        self.daemon: Daemon | None = None
        self.nodes: DockerNodes | None = None
        self.pods: DockerPods | None = None
        self.shown: Path | None = None
        """Where the daemon finds the files that pods' containers are shown."""
        self._folder = folder
        runtime = topology.runtime
        if not runtime.uses_docker:
            return
        assert programs.processes.outside is not None
        self.daemon = Daemon(folder, Outside(programs.processes.outside))
        if runtime.nodes == "docker":
            self.nodes = DockerNodes(self.daemon, runtime.docker.image, self._files)
        if runtime.pods == "docker":
            self.shown = folder / "pods"
            self.pods = programs.docker = DockerPods(
                self.daemon,
                programs.processes,
                runtime.docker,
                programs,
                self.container_of_node,
            )

    async def prepare(self, machines: Iterable[Machine]) -> None:
        """Make the containers of nodes, which are then wired. Raises MissingFeature, TestbedError."""
        if self.nodes is not None:
            await self.nodes.prepare([one for one in machines if one.kind == "node"])

    async def kill(self, name: str) -> None:
        """A node has lost its power."""
        if self.nodes is not None:
            await self.nodes.kill(name)

    def missing_images(self) -> dict[str, str]:
        """Name -> why the daemon has it not, of the images that containers were to be made of."""
        return {} if self.pods is None else self.pods.missing_images()

    def container_of_node(self, name: str) -> str:
        """Its id. Raises NotFound where it is none."""
        if self.nodes is None:
            raise NotFound(f"{name} is no container")
        return self.nodes.container(name)

    def _files(self, machine: Machine) -> Mapping[str, str]:
        """Path in a node's container -> file of the lab that it shows."""
        folder = self._folder / "nodes" / machine.name
        folder.mkdir(parents=True, exist_ok=True)
        addresses = [str(one.ip) for one in machine.addresses]
        (folder / "hosts").write_text(pod_files.hosts(machine.name, addresses))
        (folder / "resolv.conf").write_text(_NO_DNS)
        return {f"/etc/{name}": str(folder / name) for name in ("hosts", "resolv.conf")}


def container_of(pod: Pod, started: Mapping[str, Started]) -> str:
    """The id of a pod's first container that is one of the daemon's; "" where none is."""
    ordered = (started.get(container.name) for container in pod.spec.containers)
    return next((one.ident for one in ordered if isinstance(one, DockerContainer)), "")
