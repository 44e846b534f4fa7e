"""The commands of Kubernetes' test image agnhost that network tests use, for containers of that image.

`python -m testbed.traffic.agnhost COMMAND …` is the same outside one. Source: test/images/agnhost.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

Command = Callable[[argparse.Namespace], Callable[[], int]]
"""Its options -> what is to be done, with all that it needs imported."""


def main(argv: Sequence[str]) -> int:
    """Be one of the commands; returns the exit code."""
    return prepared(argv)()


def prepared(argv: Sequence[str]) -> Callable[[], int]:
    """One of the commands, ready to be run where this package can no longer be seen."""
    try:
        options = _parser().parse_args(_long_flags(argv))
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
        return lambda: code
    command: Command = options.command
    return command(options)


def _long_flags(argv: Sequence[str]) -> list[str]:
    """Go takes --flag=true where argparse takes --flag."""
    return [word.removesuffix("=true") for word in argv if not word.endswith("=false")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agnhost", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, flags: Mapping[str, object]) -> argparse.ArgumentParser:
        one = commands.add_parser(name, allow_abbrev=False)
        one.set_defaults(command=command)
        for flag, default in flags.items():
            if default is False:
                one.add_argument(f"--{flag}", action="store_true")
            else:
                one.add_argument(f"--{flag}", type=type(default), default=default)
        return one

    add("netexec", _netexec, {
        "http-port": 8080, "udp-port": 8081, "sctp-port": -1, "udp-listen-addresses": "",
        "tls-cert-file": "", "tls-private-key-file": "", "http-override": "", "delay-shutdown": 0,
    })  # fmt: skip
    add("serve-hostname", _serve_hostname, {
        "port": 9376, "tcp": False, "udp": False, "http": False, "close": False,
    })  # fmt: skip
    add("test-webserver", _test_webserver, {"port": 80})
    add("porter", _porter, {"json-response": False})
    add("pause", _pause, {})
    connect = add("connect", _connect, {
        "timeout": "0s", "protocol": "tcp", "udp-data": "hostname", "sctp-data": "hostname",
    })  # fmt: skip
    connect.add_argument("destination")
    return parser


# The servers are imported by those who are one: a lab's warm parent has no need of them.


def _netexec(options: argparse.Namespace) -> Callable[[], int]:
    from testbed.traffic.agnhost_netexec import netexec

    return lambda: netexec(options)


def _serve_hostname(options: argparse.Namespace) -> Callable[[], int]:
    from testbed.traffic import agnhost_servers as servers

    def serve() -> int:
        name = servers.hostname()
        if options.http and (options.tcp or options.udp):
            servers.log("Can't serve TCP/UDP mode and HTTP mode at the same time")
            return 1
        if options.tcp:
            servers.stream(options.port, name.encode())
        if options.udp:
            servers.datagrams(options.port, lambda _data, _client: name.encode())
        if not (options.tcp or options.udp):
            servers.fixed_http(options.port, name, close=options.close)
        servers.log(f"Serving on port {options.port}.")
        return servers.until_terminated()

    return serve


def _test_webserver(options: argparse.Namespace) -> Callable[[], int]:
    """Files from the root, as the image's own has them."""
    from testbed.traffic import agnhost_servers as servers

    def serve() -> int:
        servers.files_http(options.port, "/")
        return servers.until_terminated()

    return serve


def _porter(options: argparse.Namespace) -> Callable[[], int]:
    from testbed.traffic import agnhost_servers as servers

    def serve() -> int:
        for name, value in os.environ.items():
            servers.porter(name, value, method_too=options.json_response)
        return servers.until_terminated()

    return serve


def _pause(_options: argparse.Namespace) -> Callable[[], int]:
    return _paused


def _paused() -> int:
    """Do nothing until told to end, and take what is left without a parent."""
    awaited = {signal.SIGTERM, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    print("Paused", flush=True)
    while signal.sigwait(awaited) != signal.SIGTERM:
        _reap()
    return 0


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _connect(options: argparse.Namespace) -> Callable[[], int]:
    from testbed.traffic.agnhost_dial import connect

    def tried() -> int:
        data = options.udp_data if options.protocol == "udp" else options.sctp_data
        complaint = connect(options.destination, options.protocol, options.timeout, data)
        if complaint:
            print(complaint, file=sys.stderr, flush=True)
        return 1 if complaint else 0

    return tried


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
