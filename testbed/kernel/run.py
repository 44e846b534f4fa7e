"""Running a `Command` inside a network namespace."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from testbed.command import Command
from testbed.errors import CommandFailed, MissingFeature
from testbed.kernel import ipvs, netns, nft_socket
from testbed.kernel.rule_tables import nothing_in_nftables, nothing_in_xtables

PACKAGES = {
    "iptables-nft-restore": "iptables",
    "iptables-legacy-restore": "iptables",
    "iptables-nft-save": "iptables",
    "iptables-legacy-save": "iptables",
    "ip6tables-nft-restore": "iptables",
    "ip6tables-legacy-restore": "iptables",
    "ip6tables-nft-save": "iptables",
    "ip6tables-legacy-save": "iptables",
    "conntrack": "conntrack",
    "nft": "nftables",
    "ipvsadm": "ipvsadm",
    "ipset": "ipset",
    "ip": "iproute2",
}
"""Which Debian package holds a tool."""

IN_PROCESS: Mapping[tuple[str, ...], Callable[[str], str | None]] = {
    ("ipvsadm", "--restore"): ipvs.restore,
    ("xargs", "-L1", "ipvsadm", "--list", "-n"): ipvs.listing,
    nft_socket.ARGV: nft_socket.load,
    ("nft", "-s", "-y", "list", "ruleset", "ip"): lambda _: nothing_in_nftables(4),
    ("nft", "-s", "-y", "list", "ruleset", "ip6"): lambda _: nothing_in_nftables(6),
    ("iptables-nft-save",): lambda _: nothing_in_nftables(4),
    ("ip6tables-nft-save",): lambda _: nothing_in_nftables(6),
    ("iptables-legacy-save",): lambda _: nothing_in_xtables(4),
    ("ip6tables-legacy-save",): lambda _: nothing_in_xtables(6),
}
"""What is done without its program: standard input -> standard output, or None where the program has to do
this one. Raises CommandFailed."""


def run(
    command: Command, env: Mapping[str, str] | None = None, *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run to the end where the calling thread is.

    Raises CommandFailed for a code other than 0 (unless `check` is False), MissingFeature where the tool is
    not installed.
    """
    if command.argv in IN_PROCESS:
        output = IN_PROCESS[command.argv](command.stdin)
        if output is not None:
            return subprocess.CompletedProcess(command.argv, 0, output, "")
    try:
        done = subprocess.run(
            command.argv,
            input=command.stdin,
            capture_output=True,
            text=True,
            env=None if env is None else {**os.environ, **env},
            check=False,
        )
    except FileNotFoundError:
        raise _not_installed(command.argv[0]) from None
    if check and done.returncode != 0:
        shown = Command(command.argv)
        raise CommandFailed(str(shown), done.returncode, done.stderr or done.stdout)
    return done


def _not_installed(tool: str) -> MissingFeature:
    package = PACKAGES.get(tool, tool)
    return MissingFeature(
        f"{tool} is not installed", f"apt-get install {package}; `testbed doctor` lists all"
    )


class Shell:
    """One thread that sits in a network namespace and runs commands there, in order.

    What it starts is born in that namespace (no `ip netns exec`, no fork in Python), and the event loop
    goes on meanwhile.
    """

    def __init__(self, namespace: int, env: Mapping[str, str] | None = None) -> None:
        self.environment: Mapping[str, str] = env or {}
        """Of whatever runs here, besides the lab's own."""
        self._thread = ThreadPoolExecutor(1, initializer=netns.setns, initargs=(namespace,))

    @property
    def executor(self) -> ThreadPoolExecutor:
        """The thread itself, for planning that should not hold up the event loop."""
        return self._thread

    async def run_all(self, commands: Sequence[Command]) -> None:
        """Run the commands one after the other; raises as `run` does, and then the rest is not run."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._all, tuple(commands))

    async def output(self, command: Command, *, check: bool = True) -> str:
        """Standard output of one command; raises as `run` does."""
        done = await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: run(command, self.environment, check=check)
        )
        return done.stdout

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _all(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            run(command, self.environment)
