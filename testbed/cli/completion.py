"""`testbed completion`: what a shell reads to complete commands, options, labs, pods and experiments."""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="which shell is to read it")


def run(args: argparse.Namespace) -> int:
    """Print it: `source <(testbed completion bash)`, `testbed completion fish | source`."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["testbed"], shell=args.shell))
    return 0
