"""Routes that come and go in a namespace of their own, as an ear hears them; printed as JSON."""

from __future__ import annotations

import json
import select
import subprocess
from ipaddress import ip_address, ip_network

from testbed.kernel import netns
from testbed.kernel.routes import BIRD, RouteEar, RouteNews

_PATIENCE_S = 60.0


def ip(line: str) -> None:
    subprocess.run(["ip", *line.split()], check=True)


def heard(ear: RouteEar, count: int) -> list[list[object]]:
    """The next news, as many as there are to be."""
    news: list[RouteNews] = []
    while len(news) < count and select.select([ear.socket], [], [], _PATIENCE_S)[0]:
        news += ear.take()
    return [[str(one.destination), sorted(map(str, one.vias))] for one in news]


def main() -> None:
    for name in ("a0", "b0"):
        ip(f"link add {name} type bridge")
        ip(f"link set {name} up")
    ip("address add 10.1.0.1/24 dev a0")
    ip("address add 10.2.0.1/24 dev b0")
    ip("-6 address add fd00:1::1/64 dev a0 nodad")
    ip("route add 10.9.1.0/24 via 10.1.0.2 proto bird")
    known = [RouteNews(ip_network("10.9.7.0/24"), (ip_address("10.1.0.2"),))]
    ear = RouteEar(netns.current(), BIRD, known)
    found = {"listed": heard(ear, 2)}
    ip("route add 10.9.2.0/24 proto bird nexthop via 10.1.0.2 nexthop via 10.2.0.2")
    ip("route add 10.9.3.0/24 via 10.1.0.2 proto static")
    ip("route add blackhole 10.9.4.0/24 proto bird")
    ip("-6 route add fd00:9::/64 via fd00:1::2 proto bird")
    found["came"] = heard(ear, 2)
    ip("route replace 10.9.2.0/24 via 10.2.0.2 proto bird")
    ip("route del 10.9.1.0/24 proto bird")
    ip("-6 route del fd00:9::/64 proto bird")
    found["went"] = heard(ear, 3)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
