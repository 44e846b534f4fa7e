"""The command `testbed`: loads the one command that is called, turns errors into exit codes.

Each module `testbed.cli.<name>` offers `add_arguments(parser) -> None` and `run(args) -> int`.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import keyword
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol, cast

from testbed import __version__
from testbed.cli.examples import epilog
from testbed.errors import TestbedError
from testbed.spelling import did_you_mean

COMMANDS: dict[str, str] = {
    "doctor": "what this host can run, found by trying",
    "check": "validate a topology: every mistake at once, with its line",
    "schema": "the JSON Schema of a topology",
    "render": "a topology with its shorthand expanded to Kubernetes objects",
    "import": "a real cluster, with stand-in pods, or a containerlab file as a topology",
    "up": "bring a lab to what a topology says",
    "down": "end labs",
    "ls": "the labs that run",
    "inspect": "nodes, pods, services, endpoints and ingresses of a lab",
    "exec": "run a command on a node, a pod or an outside host",
    "apply": "bring a lab's objects to what Kubernetes manifests say, without kubectl",
    "kubectl": "your own kubectl, pointed at a lab",
    "kubeconfig": "how kubectl and other clients of Kubernetes reach a lab",
    "ca": "the certificate of a lab's own authority: what curl --cacert wants",
    "rules": "the service rules in a node's kernel now",
    "resolve": "what a pod resolves a name to, every query shown",
    "trace": "one request hop by hop: names, rules, rewritten addresses, the way back",
    "capture": "packets of a place, as lines or as a pcapng file",
    "fault": "make something go wrong on purpose, or heal it",
    "load": "one-shot traffic: latency, outcomes and balance",
    "run": "run experiments",
    "graph": "a picture of a topology or a lab: machines, pods, services with weights",
    "watch": "a lab live: pods, services, who is picked how often, events; on a terminal or a page",
    "kernel": "guest kernels: which there are, and build the full one",
    "report": "rebuild the figures and the HTML page of a run, or of several on one page",
    "compare": "two runs, with the differences that are real; a gate for CI",
    "artifact": "a bundle for artifact evaluation: a run, what made it, how to check it",
    "completion": "what a shell reads to complete commands, labs, pods and experiments",
}
_KUBECTL = frozenset(
    {"get", "describe", "create", "delete", "edit", "expose", "logs", "rollout", "scale"}
)
"""Verbs of kubectl's that are no commands here."""

EXIT_USAGE = 2
EXIT_NO_ROOM = 5
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell says it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE


class CommandModule(Protocol):
    """What every module of a command offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


class Parser(argparse.ArgumentParser):
    """argparse that speaks as the rest does: one sentence, exit code 2, the nearest option."""

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            first = unknown.split()[0]
            message = f"unknown argument {first}"
            if first.startswith("-"):
                hint = did_you_mean(first.split("=")[0], self._option_string_actions)
                message += f", {hint}" if hint else ""
        print(f"testbed: {message}; see `{self.prog} --help`", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)


def overview() -> str:
    """The text of `testbed --help`."""
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "usage: testbed [--version] [--help] COMMAND ...\n\n"
        "Kubernetes service networking on one machine: real namespaces, real rules, measured.\n\n"
        f"commands:\n{rows}\n\n`testbed COMMAND --help` says more about one."
    )


def module_of(command: str) -> CommandModule:
    """The module of a command: its name, with an underscore where Python has taken that."""
    name = f"{command}_" if keyword.iskeyword(command) else command
    return cast(CommandModule, importlib.import_module(f"testbed.cli.{name}"))


def parser_of(command: str) -> Parser:
    """What reads the arguments of a command."""
    parser = Parser(
        prog=f"testbed {command}",
        description=COMMANDS[command],
        epilog=epilog(command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module_of(command).add_arguments(parser)
    return parser


def _dispatch(argv: Sequence[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:
        from testbed.cli.completers import complete

        complete()
    first = argv[0] if argv else ""
    if first in {"-h", "--help", "help"}:
        print(overview())
        return 0
    if first == "--version":
        print(f"testbed {__version__}")
        return 0
    if not first:
        print(overview(), file=sys.stderr)
        return EXIT_USAGE
    if first not in COMMANDS:
        what = "option" if first.startswith("-") else "command"
        hint = _word_of_another(first) or did_you_mean(first, (*COMMANDS, "--version", "--help"))
        said = f"testbed: unknown {what} {first}" + (f", {hint}" if hint else "")
        print(f"{said}; see `testbed --help`", file=sys.stderr)
        return EXIT_USAGE
    module = module_of(first)
    parser = parser_of(first)
    # Where words may be left out, options may stand between those that are not.
    intermixed = any(action.nargs in {"*", "?"} for action in parser._actions)
    parse = parser.parse_intermixed_args if intermixed else parser.parse_args
    return module.run(parse(argv[1:]))


def _word_of_another(word: str) -> str:
    """Where a fault, or a verb of kubectl's, is said as if it were a command."""
    if word in _KUBECTL:
        return f"did you mean `testbed kubectl N -- {word} …`?"
    from testbed.faults.fault import KINDS

    return f"did you mean `testbed fault N {word} WHERE`?" if word in KINDS else ""


def _dispatched(argv: Sequence[str]) -> int:
    """`_dispatch`, whose KeyboardInterrupt stays one where a library wrapped it (pydantic does)."""
    try:
        return _dispatch(argv)
    except TestbedError:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise cause from error
            cause = cause.__cause__ or cause.__context__
        raise


def _abandon_stdout() -> None:
    """Whoever read us is gone or full: what is still buffered must not raise again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Anything but a TestbedError is our bug: it shows."""
    try:
        code = _dispatched(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("testbed: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _abandon_stdout()
        print(f"testbed: cannot write: {error.strerror}", file=sys.stderr)
        return EXIT_NO_ROOM
    return code


if __name__ == "__main__":
    raise SystemExit(main())
