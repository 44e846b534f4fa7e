"""The Docker daemon of this machine, through its Python SDK. Every call blocks: call it from a thread."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from testbed.errors import MissingFeature, TestbedError
from testbed.kernel.capabilities import root_remedy
from testbed.runtime.docker.labels import DEFAULT_HOST

_ANSWER_S = 120.0
"""A daemon on a busy machine copies images for a long time."""
_REMEDY = "start it (`systemctl start docker`), or name its socket: DOCKER_HOST=unix:///PATH"


def host() -> str:
    """Where the daemon listens. Raises MissingFeature for what is not a socket of this machine."""
    url = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if not url.startswith("unix://"):
        raise MissingFeature(
            f"DOCKER_HOST={url} may be another machine: runtime docker wires containers of this one",
            f"name the daemon's socket: DOCKER_HOST={DEFAULT_HOST}",
        )
    return url


def connect(url: str = "", timeout_s: float = _ANSWER_S) -> docker.APIClient:
    """A client of the daemon that answers. Raises MissingFeature that names where it was looked for."""
    url = url or host()
    path = url.removeprefix("unix://")
    if not os.path.exists(path):
        raise MissingFeature(f"no Docker daemon listens at {url}", _REMEDY)
    try:
        return docker.APIClient(base_url=url, version="auto", timeout=timeout_s)
    except (DockerException, RequestException) as error:
        raise MissingFeature(
            f"the Docker daemon at {url} does not answer: {_innermost(error)}", _REMEDY
        ) from None


def require() -> None:
    """Raises MissingFeature where labs of containers cannot be: for an ordinary user, or without a daemon."""
    if os.geteuid() != 0:
        raise MissingFeature(
            "runtime docker needs root: a user namespace cannot wire the daemon's containers",
            "sudo testbed up …, or runtime: netns",
        )
    if remedy := root_remedy():
        raise MissingFeature("root may not make namespaces and links here", remedy)
    connect().close()


@contextmanager
def said(what: str) -> Iterator[None]:
    """What the daemon refuses in here is a TestbedError that names `what` failed."""
    try:
        yield
    except APIError as error:
        raise TestbedError(f"{what}: Docker says: {explained(error)}") from None
    except (DockerException, RequestException) as error:
        raise TestbedError(f"{what}: the Docker daemon: {_innermost(error)}", _REMEDY) from None


def explained(error: APIError) -> str:
    """The daemon's own words."""
    return str(error.explanation or error).strip()


def local_image(client: docker.APIClient, name: str) -> str:
    """The id of an image that the daemon has; "" where it has none of that name."""
    try:
        found: Mapping[str, Any] = client.inspect_image(name)
    except (ImageNotFound, NotFound):
        return ""
    return str(found["Id"])


def pull(client: docker.APIClient, name: str) -> str:
    """Have the daemon fetch an image; its id. Raises TestbedError in the daemon's words."""
    with said(f"image {name}"):
        repository, tag = docker.utils.parse_repository_tag(name)
        client.pull(repository, tag=tag or "latest")
        return local_image(client, name)


def _innermost(error: BaseException) -> str:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
