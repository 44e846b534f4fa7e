"""An ingress controller's HAProxy: from routes, endpoints and certificates to its configuration.

Which host and path leads where is in maps, and endpoints are in slots, so that both change while it serves;
only a service that there is no backend for yet is a reload, as are the first wildcard host and exact path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from testbed.edge.haproxy_text import CERTIFICATES as CRT_LIST
from testbed.edge.haproxy_text import CertificateUse, Configuration, Pool, Section, Server, general
from testbed.edge.ingress_annotations import CODES
from testbed.edge.ingress_objects import ANY_HOST
from testbed.edge.ingress_options import Options
from testbed.edge.ingress_routes import Route, Routes, Target
from testbed.edge.slots import slots

DEFAULT_CERTIFICATE = "default.pem"
_NO_SERVICE, _NOT_FOUND, _REDIRECT = "no-service", "not-found", "to-https-"
_HOSTS = "hosts.map"
_HOST = "req.hdr(host),host_only,lower"
_MOST_CONNECTIONS = 4096


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is served to clients that ask for a host (SNI; "": for none that another is for)."""

    name: str
    """namespace_name of its Secret."""
    host: str
    pem: str


@dataclass(frozen=True, slots=True)
class Site:
    """Where a controller's HAProxy is, and what it shows to hosts without a certificate."""

    families: tuple[int, ...]
    default_pem: str


@dataclass(frozen=True, slots=True)
class Served:
    """What a controller has to serve."""

    routes: Routes
    endpoints: Mapping[Target, Sequence[Server]]
    certificates: Sequence[Certificate] = ()


def configuration(
    options: Options, site: Site, served: Served, have: Configuration | None = None
) -> Configuration:
    """What the HAProxy is told. `have`: what it was told before, where endpoints keep their slots."""
    before = {pool.name: pool for pool in have.pools} if have is not None else {}
    shown = {_file(one): one for one in served.certificates}
    general_lines = general(options.threads, _MOST_CONNECTIONS, *_TLS)
    return Configuration(
        (general_lines, _defaults(), *_frontends(options, site, served.routes)),
        (
            *_answers(options),
            *(
                _pool(name, target, served.endpoints[target], before.get(name), options)
                for name, target in sorted(_targets(served.routes).items())
            ),
        ),
        _maps(served.routes),
        {DEFAULT_CERTIFICATE: site.default_pem, **{file: one.pem for file, one in shown.items()}},
        (
            CertificateUse(DEFAULT_CERTIFICATE),
            *(CertificateUse(file, (one.host,)) for file, one in sorted(shown.items())),
        ),
    )


def pool_name(target: Target) -> str:
    """As HAProxy Technologies' controller names its backends."""
    name = "_".join((*target.service, target.port.name or str(target.port.port)))
    name = f"{name}_{target.balance}" if target.balance else name
    if not target.rewrite:
        return name
    return f"{name}_{hashlib.sha256(target.rewrite.encode()).hexdigest()[:8]}"


def targets(routes: Routes) -> list[Target]:
    """The service ports that they lead to."""
    return list(_targets(routes).values())


def _targets(routes: Routes) -> dict[str, Target]:
    found = (one.target for one in routes.all())
    return {pool_name(target): target for target in found if target is not None}


# Sections

_TLS = (
    "ssl-default-bind-options ssl-min-ver TLSv1.2",
    "hard-stop-after 30m",
    "tune.ssl.default-dh-param 2048",
)


def _defaults() -> Section:
    """Timeouts are those of HAProxy Technologies' controller. A connection that is idle while another worker
    takes over is closed with its next answer, and not before: a client may be about to use it.
    """
    return Section(
        "defaults",
        (
            "mode http",
            "option forwardfor",
            "option idle-close-on-response",
            "option redispatch 1",
            "retries 3",
            "timeout connect 5s",
            "timeout client 50s",
            "timeout client-fin 5s",
            "timeout server 50s",
            "timeout queue 5s",
            "timeout http-request 5s",
            "timeout http-keep-alive 1m",
            "timeout tunnel 1h",
        ),
    )


def _frontends(options: Options, site: Site, routes: Routes) -> Iterable[Section]:
    secure = f"ssl crt-list {CRT_LIST} alpn h2,http/1.1"
    for name, port, words in (
        ("http", options.http_port, ""),
        ("https", options.https_port, secure),
    ):
        yield Section(f"frontend {name}", (*_binds(port, site, words), *_routing(name, routes)))
    healthz = (
        "http-request return status 200 content-type text/plain string ok if { path /healthz }"
    )
    yield Section("frontend healthz", (*_binds(options.healthz_port, site), healthz))
    metrics = "http-request use-service prometheus-exporter if { path /metrics }"
    stats = (metrics, "stats enable", "stats uri /", "stats refresh 10s")
    yield Section("frontend stats", (*_binds(options.stats_port, site), *stats))


def _binds(port: int, site: Site, words: str = "") -> Iterable[str]:
    for family in site.families:
        address = f":::{port} v6only" if family == 6 else f"0.0.0.0:{port}"
        yield f"bind {address} {words}".rstrip()


def _routing(name: str, routes: Routes) -> Iterable[str]:
    """The site, which is the host as the rules name it, and the path lead to a backend. Each look-up costs a
    share of a request: those for wildcards and for exact paths are there where rules have some.
    """
    yield f"http-request set-header X-Forwarded-Proto {name}"
    site = f"{_HOST},map_str({_HOSTS},{ANY_HOST})"
    if any(host.startswith("*.") for host in routes.hosts):
        yield f"http-request set-var(txn.site) {_HOST},map_str({_HOSTS})"
        yield (
            f"http-request set-var(txn.site) {_HOST},regsub(^[^.]+,*),map_str({_HOSTS},{ANY_HOST})"
            " if !{ var(txn.site) -m found }"
        )
        site = "var(txn.site)"
    yield f'http-request set-var-fmt(txn.route) "%[{site}]%[path]/"'
    backend = f"var(txn.route),map_beg({name}-prefix.map,{_NOT_FOUND})"
    if routes.exact:
        yield f"http-request set-var(txn.backend) {backend}"
        # What is not found leaves it as it is.
        yield f"http-request set-var(txn.backend) var(txn.route),map_str({name}-exact.map)"
        backend = "var(txn.backend)"
    yield f"use_backend %[{backend}]"
    yield f"default_backend {_NOT_FOUND}"


def _answers(options: Options) -> Iterable[Pool]:
    """What the controller answers itself."""
    yield Pool(
        _NOT_FOUND,
        (
            "http-request return status 404 content-type text/plain"
            ' string "no ingress has a rule for this host and path\\n"',
        ),
    )
    yield Pool(
        _NO_SERVICE,
        (
            "http-request return status 503 content-type text/plain"
            ' string "the ingress names a service that is not there\\n"',
        ),
    )
    port = "" if options.redirect_port == 443 else f":{options.redirect_port}"
    for code in CODES:
        where = f"https://%[{_HOST}]{port}%[pathq]"
        yield Pool(_REDIRECT + code, (f"http-request redirect location {where} code {code}",))


def _pool(
    name: str, target: Target, endpoints: Sequence[Server], have: Pool | None, options: Options
) -> Pool:
    check = f"check inter {options.check_interval}" if options.check_interval_s else ""
    rewrite = (f"http-request replace-path {target.rewrite}",) if target.rewrite else ()
    return Pool(
        name,
        (f"balance {target.balance or options.balance}", *rewrite),
        slots(have.servers if have is not None else (), endpoints, options.server_slots),
        check,
    )


# Maps


def _maps(routes: Routes) -> dict[str, dict[str, str]]:
    """Hosts as rules name them, and for each frontend what site and path lead to."""
    found: dict[str, dict[str, str]] = {
        _HOSTS: {host: host for host in routes.hosts if host != ANY_HOST}
    }
    for frontend in ("http", "https"):
        for kind, table in (("exact", routes.exact), ("prefix", routes.prefix)):
            found[f"{frontend}-{kind}.map"] = {
                # What is looked up ends with a slash, so that /a is found by the prefix /a/.
                host + path + ("/" if kind == "exact" else ""): _leads_to(route, frontend)
                for host, paths in table.items()
                for path, route in paths.items()
            }
    return found


def _leads_to(route: Route, frontend: str) -> str:
    if frontend == "http" and route.redirect:
        return _REDIRECT + route.redirect
    return pool_name(route.target) if route.target is not None else _NO_SERVICE


def _file(certificate: Certificate) -> str:
    """One for each host, so that a host goes from one certificate to another without being without."""
    return f"{certificate.name}@{certificate.host.replace('*', '_')}.pem"
