"""Runs steps of commands as a lab runs them, in the network namespace that it is started in.

Standard input: JSON, a list of steps, each a list of [argv, stdin]; arguments: the folder for what is observed
after each step, then the command that observes. Prints how many commands went to the kernel without a process.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from testbed.command import Command
from testbed.kernel import nft_socket
from testbed.kernel.run import run


def main() -> None:
    folder, observe = Path(sys.argv[1]), Command(tuple(sys.argv[2:]))
    without_process = 0
    for number, step in enumerate(json.load(sys.stdin)):
        for argv, stdin in step:
            command = Command(tuple(argv), stdin)
            if command.argv == nft_socket.ARGV and nft_socket.load(stdin) is not None:
                without_process += 1
            else:
                run(command)
        (folder / str(number)).write_text(run(observe).stdout)
    print(without_process)


if __name__ == "__main__":
    main()
