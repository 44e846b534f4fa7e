"""Somebody who uses a lab's Mininet CLI: `python -m testbed.runtime.mininet_user SOCKET [LINE…]`.

Runs in the lab as what `exec` starts; hands its standard input, output and error over, and passes Ctrl-C on.
"""

from __future__ import annotations

import json
import signal
import socket
import sys


def main() -> int:
    """The line's exit code, or the last one's of those that were typed."""
    path, *words = sys.argv[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.connect(path)
        signal.signal(signal.SIGINT, lambda *_: server.send(b"\x03"))
        request = json.dumps({"words": words}).encode()
        socket.send_fds(server, [request], [0, 1, 2])
        answer = server.recv(4096)
    return int(json.loads(answer)["code"]) if answer else 1


if __name__ == "__main__":
    sys.exit(main())
