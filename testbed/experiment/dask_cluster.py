"""The workers of a Dask.distributed scheduler: who they are, and orders to one of them.

What is sent are functions by value and plain dicts, so that the scheduler needs no testbed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from testbed.errors import MissingFeature, NotFound, TestbedError, UsageError
from testbed.experiment.order import program

if TYPE_CHECKING:
    from distributed import Client, Future

DASK, TLS = "dask://", "tls://"
CONNECT_S = 10.0
_INTERRUPTED = 130
"""What a process ends with that was asked to end."""


def address_of(text: str) -> str:
    """What Dask calls the scheduler of `--executor`: `dask://HOST:PORT` or `tls://HOST:PORT`.

    Raises UsageError.
    """
    scheme, slashes, place = text.partition("//")
    host, _, port = place.rpartition(":")
    if f"{scheme}{slashes}" not in {DASK, TLS} or not host or not port.isdigit():
        raise UsageError(
            f"--executor {text}: no such executor",
            "local, dask://HOST:PORT, or tls://HOST:PORT (docs/many-machines.md)",
        )
    return f"tcp://{place}" if scheme == "dask:" else text


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The cluster of a scheduler, as long as it is needed.

    Raises MissingFeature without Dask.distributed, NotFound where no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingFeature(
            "Dask.distributed is not installed", "pip install 'kube-testbed[dask]'"
        ) from error
    for name in ("distributed", "distributed.client"):  # the run says it in its own words
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        why = str(error).splitlines()[0]
        raise NotFound(
            f"no scheduler at {address}: {why}",
            "start one with `dask scheduler` (docs/many-machines.md)",
        ) from error
    try:
        yield Cluster(client, address)
    finally:
        client.close()


class Lost(Exception):
    """Nothing came back of an order: its worker, or its process there, has ended."""


class Cluster:
    """A scheduler's workers by address."""

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self.address = address

    def threads(self) -> dict[str, int]:
        """How many tasks each worker takes at a time; asked of the scheduler now.

        Raises ConnectionError where it is gone.
        """
        try:
            return {str(address): int(count) for address, count in self._client.nthreads().items()}
        except Exception as error:  # a closed client has no attributes to speak of
            raise ConnectionError(f"the scheduler at {self.address} is gone") from error

    def send(self, order: Mapping[str, Any], worker: str) -> Future:
        """Have a worker carry out an order; the result is as of `on_worker.perform`."""
        sent = {**order, "sender": self._client.id}
        return self._client.submit(
            _performer(), sent, workers=[worker], allow_other_workers=False, pure=False
        )

    def at_work(self) -> int:
        """How many orders of this client are being carried out, wanted or not."""
        found = self._client.run(_counter(), self._client.id, on_error="return")
        return sum(count for count in found.values() if isinstance(count, int))


def answer_of(future: Future, where: str) -> dict[str, Any]:
    """What `on_worker.perform` returned; `error` is what the order raised, if anything.

    Raises Lost; UsageError where the worker has another testbed, RuntimeError for a bug.
    """
    from distributed import KilledWorker

    if future.status in {"cancelled", "lost"}:
        raise Lost
    problem = future.exception() if future.status == "error" else None
    if isinstance(problem, KilledWorker):
        raise Lost from problem
    ours = program()
    if isinstance(problem, ImportError):
        raise UsageError(
            f"{where} has no testbed {ours['version']}: {problem}",
            "install kube-testbed[dask] of this version there",
        )
    if problem is not None:
        raise RuntimeError(f"{where}: {problem}") from problem
    answer: dict[str, Any] = future.result()
    if other := answer.get("other"):
        raise UsageError(
            f"{where} has another testbed: {other['version']} (source {other['source']}), and this is "
            f"{ours['version']} (source {ours['source']})",
            "install the same on both, and start the worker again",
        )
    if "crashed" in answer:
        if answer["code"] < 0 or answer["code"] == _INTERRUPTED:
            raise Lost
        raise RuntimeError(f"{where} ended with {answer['code']}\n{answer['crashed']}")
    if isinstance(error := answer.get("error"), TestbedError):
        error.message = f"{where}: {error.message}"
    return answer


def _performer() -> Callable[[dict[str, Any]], dict[str, Any]]:
    def perform(order: dict[str, Any]) -> dict[str, Any]:
        from distributed import get_worker

        from testbed.experiment import on_worker

        worker = get_worker()
        key = worker.get_current_task()

        def wanted() -> bool:
            task = worker.state.tasks.get(key)
            is_cancelled = task is None or task.state == "cancelled"
            return not is_cancelled and worker.status.name == "running"

        return on_worker.perform(order, wanted)

    return perform


def _counter() -> Callable[[str], int]:
    def count(sender: str) -> int:
        from testbed.experiment import on_worker

        return on_worker.at_work(sender)

    return count
