"""Who went where: a record per connection of the proxy, as `userspace_picks` reads them."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from pathlib import Path

from testbed.clock import now_ns
from testbed.proxy.userspace_picks import record
from testbed.proxy.userspace_process.serving import address_of


@lru_cache(maxsize=1 << 12)
def _packed(ip: str) -> bytes:
    return ipaddress.ip_address(ip).packed


class PickLog:
    """Appends to a file, where a process before it may have begun; every record is in the kernel's hands
    before the next is made.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError where the file cannot be made."""
        self._file = Path(path).open("ab", buffering=0)  # noqa: SIM115 - closed by `close`

    def record(
        self, protocol: str, client: tuple[str, int], endpoint: str, own: tuple[str, int]
    ) -> None:
        """Note one connection. Raises OSError where there is no room."""
        ip, port = address_of(endpoint)
        self._file.write(
            record(
                now_ns(),
                protocol,
                (_packed(client[0]), client[1]),
                (_packed(ip), port),
                (_packed(own[0]), own[1]),
            )
        )

    def close(self) -> None:
        self._file.close()
