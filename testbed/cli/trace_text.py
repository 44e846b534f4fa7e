"""The account of a traced request for people: what happened in its order, a line per hop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from testbed.cli.output import align
from testbed.units import pretty_s

_COMMENT = re.compile(r'-m comment --comment "([^"]*)" ')
_WORDS = {
    "ok": "answered",
    "dns_error": "the name has no address",
    "refused": "refused",
    "timeout": "no answer in time",
    "reset": "reset",
    "closed": "closed without an answer",
    "unreachable": "unreachable",
    "http_error": "answered with an error",
    "client_error": "not sent",
}


def shown(told: Mapping[str, Any]) -> str:
    """The account as text."""
    source = told["from"]
    where = f" on {source['node']}" if source["kind"] == "pod" else ""
    head = f"{source['kind']} {source['name']}{where} -> {told['to']} ({told['protocol']}, {told['proxy']})"
    parts = [head, *_lookup(told), *_address(told), *_rules(told), *_legs(told), *_end(told)]
    return "\n\n".join(part for part in parts if part)


def shown_offline(told: Mapping[str, Any]) -> str:
    """What a node's rules foretell, as text."""
    head = f"{told['from']} -> {told['to']} ({told['protocol']}), sent by {told['sent by']}"
    parts = [head]
    if len(told["outcomes"]) > 1:
        parts.append(
            align([[f"p={one['probability']:.4f}", _fate(one)] for one in told["outcomes"]])
        )
    for row in told["outcomes"]:
        lines = [f"p={row['probability']:.4f}  {_fate(row)}"]
        rows = [[f"    {_chain(rule)}", _chain_rest(rule)] for rule in row["rules"]]
        lines += [align(rows)] if rows else ["    (no rule matches)"]
        parts.append("\n".join(lines))
    parts += [f"NOT UNDERSTOOD {reason}" for reason in told["not_understood"]]
    return "\n\n".join(parts)


def _fate(row: Mapping[str, Any]) -> str:
    if row["verdict"] == "unknown":
        return "not known, as the last of these rules is not understood"
    if row["verdict"] != "accepted":
        return str(row["verdict"])
    said = f"to {row['destination']}"
    said += " (rewritten)" if row["translated"] else " (as it was dialled)"
    said += ", masqueraded" if row["masqueraded"] else ", source kept"
    return said + (f", remembered in {', '.join(row['remembered'])}" if row["remembered"] else "")


def _chain(rule: str) -> str:
    words = rule.split(" ", 2)
    return words[1] if words[0] in ("-A", "-a") and len(words) > 2 else ""


def _chain_rest(rule: str) -> str:
    chain = _chain(rule)
    return _without_head(rule, chain) if chain else rule


def _lookup(told: Mapping[str, Any]) -> Iterator[str]:
    lookup = told["lookup"]
    if lookup is None:
        return
    rows = [
        [f"  {one['name']} {one['type']}?", one["rcode"], one["server"], f"{one['ms']:.2f} ms"]
        for one in lookup["queries"]
    ]
    found = ", ".join(one["data"] for one in lookup["answers"]) or "no address"
    yield f"NAME {lookup['name']}: {found}\n{align(rows)}"


def _address(told: Mapping[str, Any]) -> Iterator[str]:
    request = told["request"]
    if request is not None:
        yield f"ADDRESS {request['src']} -> {request['dst']}, {request['is']}"
    if told["hint"]:
        yield f"HINT {told['hint']}"


def _rules(told: Mapping[str, Any]) -> Iterator[str]:
    for node in told["rules"]:
        rows = [
            [
                f"  {one['table']}",
                one["chain"],
                _chance(one),
                _without_head(one["rule"], one["chain"]),
            ]
            for one in node["met"]
        ]
        how = "that it met on" if node["by"] == "kernel" else "whose counters rose meanwhile on"
        tells = (
            ", as the kernel tells" if node["by"] == "kernel" else ", its own or others' packets"
        )
        yield f"RULES {how} {node['node']}{tells}\n{align(rows)}"
    for node, why in told["unheard"].items():
        yield f"RULES on {node}: the kernel does not tell which ones a packet meets ({why})"
    for node in told["silent"]:
        yield (
            f"RULES on {node} behind its bridge: Linux tells of none "
            "where a bridge has handed a packet to the node's own routing"
        )
    for row in told["ipvs"]:
        yield f"IPVS on {row['node']}: {row['virtual']} -> {row['real']} ({row['state']})"


def _chance(one: Mapping[str, Any]) -> str:
    return f"p={one['probability']:.3f}" if one["probability"] < 1 else ""


def _without_head(rule: str, chain: str) -> str:
    """A rule without its chain, its comment (iptables') at the end."""
    rest = rule.removeprefix(f"-A {chain} ")
    comment = _COMMENT.search(rest)
    return rest if comment is None else f"{rest.replace(comment[0], '')}  # {comment[1]}"


def _legs(told: Mapping[str, Any]) -> Iterator[str]:
    for number, leg in enumerate(told["legs"], 1):
        which = f", connection {number} of {len(told['legs'])}" if len(told["legs"]) > 1 else ""
        yield f"REQUEST{which}: its first packet\n{_hops(leg['request'])}"
        if leg["reply"]:
            yield f"REPLY{which}: the first packet back\n{_hops(leg['reply'])}"
        else:
            yield f"REPLY{which}: none"


def _hops(hops: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    before = None
    says = ""
    for hop in hops:
        what = hop["says"] if hop["says"] != says else ""
        says = hop["says"]
        step = "" if before is None else f"+{hop['us'] - before:.0f}"
        before = hop["us"]
        arrow = "->" if hop["direction"] == "out" else "<-"
        changed = f"{hop['changed']} rewritten" if hop["changed"] else ""
        ends = f"{hop['src']} > {hop['dst']}"
        rows.append(
            [
                f"  {hop['us']:.0f} µs",
                step,
                hop["machine"],
                arrow,
                hop["interface"],
                ends,
                what,
                changed,
            ]
        )
    return align(rows)


def _end(told: Mapping[str, Any]) -> Iterator[str]:
    outcome = told["outcome"]
    said = _WORDS.get(outcome["result"], outcome["result"])
    if outcome["answered_us"] is not None:
        said += f" after {pretty_s(outcome['answered_us'] / 1e6)}"
    first = outcome["answer"].split("\n", 1)[0].strip()
    if first.isprintable() and first:
        said += f": {first}"
    yield f"OUTCOME {said}"
    if told["observed"] is None:
        return
    yield _compared(told)
    if told["lost"]:
        yield f"LOST {told['lost']} packets or messages: the account may have gaps"


def _compared(told: Mapping[str, Any]) -> str:
    ways = told["predicted"]
    if not ways:
        return "PREDICTED nothing: not every node's rules can be read"
    observed = told["observed"]
    lines = [f"PREDICTED by the rules, {len(ways)} way{'s' if len(ways) > 1 else ''}"]
    seen = seen_ways(ways, observed)
    rows = [
        [f"  p={way['probability']:.3f}", _way(way), "<- observed" if way in seen else ""]
        for way in ways
    ]
    lines.append(align(rows))
    if not seen:
        lines.append(f"  observed: {_way(observed)}")
    if told.get("affinity"):
        lines.append("  or the endpoint that session affinity remembers")
    if told["agrees"] is None:
        lines.append("CANNOT SAY whether that agrees: not every rule is understood")
    elif told["agrees"]:
        lines.append("AGREES")
    else:
        lines += ["DISAGREES", *(f"  {line}" for line in told["disagreements"])]
    return "\n".join(lines)


def _way(way: Mapping[str, Any]) -> str:
    if way["verdict"] == "delivered":
        return f"{way['who']} sees {way['source']}" if way["source"] else way["who"]
    return f"{way['verdict']}: {way['reason']}" if way.get("reason") else way["verdict"]


def seen_ways(
    ways: Sequence[Mapping[str, Any]], observed: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Those that ended as was observed: with the same source, too, where there are such (rules do not say
    which of its addresses a node on the way takes).
    """
    alike = [
        way
        for way in ways
        if way["verdict"] == observed["verdict"] and way["who"] in ("", observed["who"])
    ]
    return [way for way in alike if way["source"] == observed["source"]] or alike
