"""CNI configurations that differ by node, in the words of containerd's `conf_template` (Go's text/template).

`{{.PodCIDR}}`, `{{range $i, $cidr := .PodCIDRRanges}}{{if $i}}, {{end}}"{{$cidr}}"{{end}}`, `{{.Routes}}` (the
default routes of the cluster's IP families), and besides `{{.MTU}}`, `{{.NodeName}}` and
`{{index .PodCIDRRanges 0}}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Value = str | int | tuple[str, ...]
Values = Mapping[str, Value]
"""By name: what a template may use."""

_ACTION = re.compile(r"(?:\s*\{\{-\s|\{\{)(.*?)(?:\s-\}\}\s*|\}\})", re.DOTALL)
_RANGE = re.compile(r"range\s+(?:\$(\w+)\s*(?:,\s*\$(\w+)\s*)?:=\s*)?(\S+)")
_INDEX = re.compile(r"index\s+(\.\w+)\s+(\d+)")
_MTU_MARK = "\0"
_MARKED = re.compile(r'("(?:[^"\\]|\\.)*")|\0')


class TemplateError(Exception):
    """What is no template, or asks for what there is not; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def values(pod_cidrs: tuple[str, ...], mtu: int, node: str) -> Values:
    """What a node's configuration may use."""
    return {
        "PodCIDR": pod_cidrs[0],
        "PodCIDRRanges": pod_cidrs,
        "Routes": tuple("::/0" if ":" in cidr else "0.0.0.0/0" for cidr in pod_cidrs),
        "MTU": mtu,
        "NodeName": node,
    }


def for_all_nodes(text: str, families: tuple[int, ...]) -> str:
    """The text without its ranges and conditions: what is a node's own stays as a word inside a JSON string.

    Raises TemplateError.
    """
    own: dict[str, Value] = {
        "PodCIDR": "{{.PodCIDR}}",
        "PodCIDRRanges": tuple(f"{{{{index .PodCIDRRanges {at}}}}}" for at in range(len(families))),
        "Routes": tuple("::/0" if family == 6 else "0.0.0.0/0" for family in families),
        "MTU": _MTU_MARK,
        "NodeName": "{{.NodeName}}",
    }
    return _MARKED.sub(_quoted, render(text, own))


def _quoted(found: re.Match[str]) -> str:
    """A number has no quotes around it, and gets them until its node is known."""
    return found[1].replace(_MTU_MARK, "{{.MTU}}") if found[1] else '"{{.MTU}}"'


def of_node(value: Any, own: Values) -> Any:
    """A parsed configuration as one node has it."""
    if isinstance(value, str):
        return own["MTU"] if value == "{{.MTU}}" else render(value, own)
    if isinstance(value, list):
        return [of_node(item, own) for item in value]
    if isinstance(value, dict):
        return {key: of_node(item, own) for key, item in value.items()}
    return value


def render(text: str, own: Values) -> str:
    """The text with its actions carried out. Raises TemplateError."""
    if "{{" not in text:
        return text
    parts = list(_parts(text))
    body, end = _block(parts, 0, (), {".": "", **{f".{name}": it for name, it in own.items()}})
    if end < len(parts):
        raise TemplateError(parts[end].line, f"{{{{{parts[end].text}}}}} ends nothing")
    return body


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    action: bool
    line: int


def _parts(text: str) -> Iterator[_Part]:
    at = 0
    for found in _ACTION.finditer(text):
        yield _Part(text[at : found.start()], False, 0)
        yield _Part(found[1].strip(), True, text.count("\n", 0, found.start(1)) + 1)
        at = found.end()
    if "{{" in text[at:]:
        line = text.count("\n", 0, text.index("{{", at)) + 1
        raise TemplateError(line, "this {{ is never closed")
    yield _Part(text[at:], False, 0)


def _block(
    parts: list[_Part], at: int, ends: tuple[str, ...], scope: dict[str, Value]
) -> tuple[str, int]:
    """Carry out parts up to one of `ends`; returns the text and where that is."""
    said: list[str] = []
    while at < len(parts):
        part = parts[at]
        if not part.action:
            said.append(part.text)
        elif part.text in ("end", "else"):
            if part.text in ends or not ends:
                break
            raise TemplateError(part.line, f"{{{{{part.text}}}}} fits nothing here")
        elif part.text.startswith("range "):
            text, at = _range(parts, at, scope)
            said.append(text)
        elif part.text.startswith("if "):
            text, at = _if(parts, at, scope)
            said.append(text)
        elif not part.text.startswith("/*"):
            said.append(_text(_value(part, part.text, scope)))
        at += 1
    else:
        if ends:
            raise TemplateError(parts[-2].line, "an {{end}} is missing")
    return "".join(said), at


def _range(parts: list[_Part], at: int, scope: dict[str, Value]) -> tuple[str, int]:
    part = parts[at]
    found = _RANGE.fullmatch(part.text)
    items = _value(part, found[3], scope) if found else ""
    if found is None or not isinstance(items, tuple):
        raise TemplateError(part.line, f"{{{{{part.text}}}}}: a range is over a list")
    first, second = found[1], found[2]
    said = []
    for number, item in enumerate(items):
        inner: dict[str, Value] = {**scope, ".": item}
        if second:
            inner |= {f"${first}": number, f"${second}": item}
        elif first:
            inner[f"${first}"] = item
        said.append(_block(parts, at + 1, ("end",), inner)[0])
    # Once more for where it ends, also where there was no item.
    blank: dict[str, Value] = {**scope, ".": ""}
    blank |= {f"${name}": "" for name in (first, second) if name}
    return "".join(said), _block(parts, at + 1, ("end",), blank)[1]


def _if(parts: list[_Part], at: int, scope: dict[str, Value]) -> tuple[str, int]:
    part = parts[at]
    holds = bool(_value(part, part.text.removeprefix("if ").strip(), scope))
    then, middle = _block(parts, at + 1, ("else", "end"), scope)
    if parts[middle].text == "end":
        return then if holds else "", middle
    otherwise, end = _block(parts, middle + 1, ("end",), scope)
    return then if holds else otherwise, end


def _value(part: _Part, word: str, scope: dict[str, Value]) -> Value:
    if word in scope:
        return scope[word]
    if found := _INDEX.fullmatch(word):
        items = scope.get(found[1])
        if isinstance(items, tuple) and int(found[2]) < len(items):
            return items[int(found[2])]
        raise TemplateError(part.line, f"{{{{{word}}}}}: there is no such item")
    known = ", ".join(name for name in scope if name.startswith(".") and len(name) > 1)
    raise TemplateError(part.line, f"{{{{{word}}}}} is not understood; there are {known}")


def _text(value: Value) -> str:
    """A list as Go prints it."""
    return f"[{' '.join(value)}]" if isinstance(value, tuple) else str(value)
