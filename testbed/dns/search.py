"""resolv.conf(5): what a pod's says, and the names that a libc tries because of it."""

from __future__ import annotations

from dataclasses import dataclass

MAX_NAMESERVERS = 3
_MAX_NDOTS = 15
_MAX_TIMEOUT_S = 30
_MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """A resolver's settings; the defaults are glibc's. `timeout_s` is per query and server."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout_s: float = 5.0
    attempts: int = 2

    def text(self) -> str:
        """The file, as the kubelet writes it."""
        lines = [f"search {' '.join(self.search)}"] if self.search else []
        lines += [f"nameserver {server}" for server in self.nameservers]
        lines.append(f"options ndots:{self.ndots}")
        return "\n".join(lines) + "\n"


def pod_resolv_conf(namespace: str, domain: str, nameservers: tuple[str, ...]) -> ResolvConf:
    """Settings of a pod with dnsPolicy ClusterFirst; `nameservers` are kube-dns's cluster addresses."""
    search = (f"{namespace}.svc.{domain}", f"svc.{domain}", domain)
    return ResolvConf(nameservers, search, ndots=5)


def parse_resolv_conf(text: str) -> ResolvConf:
    """The settings in a file; like glibc it passes over what it does not understand."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split()
        if line[:1] in ("#", ";") or len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):  # the last one wins
            search = tuple(words[1:]) if words[0] == "search" else (words[1],)
        elif words[0] == "options":
            pairs = (word.partition(":") for word in words[1:])
            options |= {key: int(value) for key, _, value in pairs if value.isdecimal()}
    return ResolvConf(
        # With no nameserver line glibc asks the machine itself.
        nameservers=tuple(servers[:MAX_NAMESERVERS]) or ("127.0.0.1",),
        search=tuple(domain.rstrip(".") for domain in search if domain.rstrip(".")),
        ndots=min(options.get("ndots", 1), _MAX_NDOTS),
        timeout_s=float(min(max(options.get("timeout", 5), 1), _MAX_TIMEOUT_S)),
        attempts=min(max(options.get("attempts", 2), 1), _MAX_ATTEMPTS),
    )


def candidates(name: str, conf: ResolvConf) -> tuple[str, ...]:
    """Absolute names to ask for, in glibc's order, until one has an answer.

    A final dot means: this name only. With `ndots` dots or more the name itself is first, else
    last.
    """
    if name.endswith("."):
        return (name[:-1],)
    searched = tuple(f"{name}.{domain}" for domain in conf.search)
    return (name, *searched) if name.count(".") >= conf.ndots else (*searched, name)
