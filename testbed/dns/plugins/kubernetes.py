"""`kubernetes [ZONES…] { … }`: the cluster's services, endpoints and pods.

Source: plugin/kubernetes/README.md and setup.go of CoreDNS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from testbed.dns.corefile import CorefileError, Directive, Token
from testbed.dns.directives import (
    NONE,
    Fallthrough,
    Words,
    counted,
    fallthrough,
    one_of,
    only,
    options,
    whole,
    zones,
)
from testbed.dns.query import Query, Reply, Respond, Serve
from testbed.dns.surroundings import Block, Made, Names
from testbed.dns.wire import IN, NXDOMAIN, REFUSED, SERVFAIL
from testbed.dns.zone import Answer
from testbed.dns.zone_options import MAX_TTL_S, POD_MODES, ZoneOptions, normal
from testbed.model.label_selector import LabelSelector, LabelSelectorRequirement

_FOREIGN = (
    "endpoint tls kubeconfig apiserver_qps apiserver_burst apiserver_max_inflight startup_timeout"
)
_REQUIREMENT = re.compile(
    r"\s*(?P<absent>!?)\s*(?P<key>[\w./-]+)\s*"
    r"(?:(?P<op>==?|!=|\bin\b|\bnotin\b)\s*(?P<value>\([^()]*\)|[\w.-]*))?\s*"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is published, and which unknown names go on."""

    published: ZoneOptions
    falls: Fallthrough


def settings(directive: Directive, block_zones: tuple[str, ...]) -> Settings:
    """Raises CorefileError."""
    found: dict[str, Any] = {"pods": "disabled"}  # CoreDNS's own default: kubeadm says insecure
    falls = NONE

    def say(key: str, value: Any) -> None:
        found[key] = value

    def falls_through(words: Words) -> None:
        nonlocal falls
        falls = fallthrough(words)

    def ignores(words: Words) -> None:
        one_of(only(words), ("empty_service",))
        say("ignore_empty_service", True)

    def nothing_behind(words: Words) -> bool:
        counted(words, 0, 0)
        return True

    options(
        directive,
        {
            "pods": lambda words: say("pods", one_of(only(words), POD_MODES)),
            "endpoint_pod_names": lambda words: say("endpoint_pod_names", nothing_behind(words)),
            "ttl": lambda words: say("ttl_s", whole(only(words), 0, MAX_TTL_S)),
            "namespaces": lambda words: say(
                "namespaces", tuple(word.text for word in counted(words, 1))
            ),
            "labels": lambda words: say("labels", _selector(counted(words, 1))),
            "namespace_labels": lambda words: say("namespace_labels", _selector(counted(words, 1))),
            "noendpoints": lambda words: say("endpoints", not nothing_behind(words)),
            "fallthrough": falls_through,
            "ignore": ignores,
        },
        unbuilt=_FOREIGN,
    )
    if found.get("namespaces") and found.get("namespace_labels"):
        message = "namespaces and namespace_labels exclude each other"
        raise CorefileError(directive.name, message, "keep one")
    served = zones(directive.arguments, block_zones)
    if "" in served:
        hint = "write them: kubernetes cluster.local in-addr.arpa ip6.arpa"
        raise CorefileError(directive.name, "kubernetes needs zones of its own", hint)
    return Settings(ZoneOptions(zones=served, **found), falls)


def make(settings: Settings, block: Block) -> Made:
    """Its names follow the cluster from now on."""
    names = block.around.names(settings.published)
    plugin = Kubernetes(settings, block, names)
    block.searches["kubernetes"] = plugin.search_of
    return Made(plugin, ready=lambda: names.synced)


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """Answers out of the zone; until that is synced, SERVFAIL: an empty one would deny names that exist."""

    settings: Settings
    block: Block
    names: Names
    name: str = "kubernetes"

    def serve(self, query: Query, respond: Respond, next: Serve) -> None:
        question = query.question
        zone = self.names.zone
        if not zone.covers(question.name):
            next(query, respond)
            return
        if not self.names.synced:
            self.block.fail(query, "plugin/kubernetes: not synced with the API yet")
            respond(Reply(SERVFAIL, authoritative=False))
            return
        if question.class_ != IN:
            respond(Reply(REFUSED, authoritative=False))
            return
        found = zone.lookup(question.name, question.type)
        unknown = found.rcode == NXDOMAIN and not found.answers
        if unknown and self.settings.falls.lets(normal(question.name)):
            next(query, lambda reply: respond(depending(reply, found.depends)))
        elif found.elsewhere:
            aside = replace(query, question=replace(question, name=found.elsewhere))
            self.block.asked(aside, lambda reply: respond(_joined(found, reply)))
        else:
            respond(_reply(found))

    def search_of(self, query: Query) -> tuple[str, ...]:
        """The search list of the pod that asks (`autopath @kubernetes`); empty where it is none."""
        zone = self.names.zone
        pods = zone.pods_at(query.client)
        if not pods:
            return ()
        namespace, domain = min(pods)[0], zone.options.domain
        return (f"{namespace}.svc.{domain}", f"svc.{domain}", domain)


def depending(reply: Reply, names: frozenset[str]) -> Reply:
    """The same, which rests on some more names."""
    return reply if reply.depends is None else replace(reply, depends=reply.depends | names)


def _reply(found: Answer) -> Reply:
    return Reply(
        found.rcode,
        found.answers,
        found.authority,
        found.additional,
        authoritative=found.rcode != REFUSED,
        depends=found.depends,
    )


def _joined(found: Answer, outside: Reply) -> Reply:
    """A CNAME that leaves the cluster, and what it leads to, as far as anybody knows it."""
    depends = depending(outside, found.depends).depends
    return replace(_reply(found), answers=found.answers + outside.answers, depends=depends)


def _selector(words: Words) -> LabelSelector:
    """Of `app=web,tier in (a, b),!old`."""
    text = " ".join(word.text for word in words)
    found = []
    for part in re.split(r",(?![^(]*\))", text):
        match = _REQUIREMENT.fullmatch(part)
        if match is None or (match["absent"] and match["op"]):
            raise _no_selector(words[0], part)
        found.append(_requirement(match, words[0]))
    return LabelSelector(match_expressions=tuple(found))


def _requirement(match: re.Match[str], at: Token) -> LabelSelectorRequirement:
    key, value = match["key"], match["value"] or ""
    if not match["op"]:
        return LabelSelectorRequirement(key, "DoesNotExist" if match["absent"] else "Exists")
    if value.startswith("(") is not (match["op"] in ("in", "notin")):
        raise _no_selector(at, match[0])
    values = tuple(one.strip() for one in value.strip("()").split(","))
    return LabelSelectorRequirement(
        key, "NotIn" if match["op"] in ("!=", "notin") else "In", values
    )


def _no_selector(at: Token, text: str) -> CorefileError:
    hint = "write it like app=web or tier in (a,b)"
    return CorefileError(at, f"{text.strip()!r} selects no labels", hint)
