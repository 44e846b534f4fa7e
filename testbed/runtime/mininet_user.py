"""Somebody who uses a lab's Mininet CLI: `python -m testbed.runtime.mininet_user SOCKET [LINE…]`.

Runs in the lab as what `exec` starts; hands its standard input, output and error over, and passes Ctrl-C on.
"""

from __future__ import annotations

import json
import signal
import socket
import sys

HEARD = b"."
"""Mininet has begun with it."""
_PATIENCE_S = 1.0


def main() -> int:
    """The line's exit code, or the last one's of those that were typed."""
    path, *words = sys.argv[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.connect(path)
        signal.signal(signal.SIGINT, lambda *_: server.send(b"\x03"))
        request = json.dumps({"words": words}).encode()
        socket.send_fds(server, [request], [0, 1, 2])
        server.settimeout(_PATIENCE_S)
        try:
            heard = server.recv(1)
        except TimeoutError:
            print("testbed: somebody is at Mininet's CLI; waiting", file=sys.stderr, flush=True)
            server.settimeout(None)
            heard = server.recv(1)
        server.settimeout(None)
        answer = server.recv(4096) if heard else b""
    return int(json.loads(answer)["code"]) if answer else 1


if __name__ == "__main__":
    sys.exit(main())
