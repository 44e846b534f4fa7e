"""A Corefile: which plug-ins serve which zones, as CoreDNS writes it down.

Source: Caddy 1's Caddyfile, which CoreDNS reads: words apart by blanks, `"…"` for those with some, `#` to the
end of the line, `{` at the end of a line opens a block, `(name) {` a snippet that `import name` repeats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DNS_PORT = 53
_MOST_IMPORTS = 100


class CorefileError(ValueError):
    """A mistake, and where: line and column count from 1."""

    def __init__(self, token: Token, message: str, hint: str = "") -> None:
        super().__init__(f"{token.line}:{token.column}: {message}{f' ({hint})' if hint else ''}")
        self.line = token.line
        self.column = token.column
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Token:
    """A word; where it begins."""

    text: str
    line: int
    column: int

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Directive:
    """A plug-in: its name, what follows on the line, and the lines between its braces."""

    name: Token
    arguments: tuple[Token, ...] = ()
    options: tuple[tuple[Token, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class ServerBlock:
    """Zones (in lower case, without the final dot; "" is the root), and the plug-ins that serve them."""

    key: Token
    """The first of them as it is written."""
    zones: tuple[str, ...]
    port: int
    directives: tuple[Directive, ...]


def server_blocks(text: str) -> tuple[ServerBlock, ...]:
    """Every server block. Raises CorefileError for the first mistake."""
    lines = list(_lines(text))
    found = _Reader(lines).blocks()
    if not found:
        raise CorefileError(Token("", 1, 1), "there is no server block", "write it like .:53 { … }")
    seen: dict[tuple[str, int], Token] = {}
    made = []
    for keys, directives in found:
        zones, ports = [], set()
        for key in keys:
            for zone, port in _served(key):
                if (zone, port) in seen:
                    raise CorefileError(
                        key,
                        f"{zone or '.'}:{port} is served twice",
                        f"first in line {seen[zone, port].line}; keep one",
                    )
                seen[zone, port] = key
                zones.append(zone)
                ports.add(port)
        if len(ports) > 1:
            raise CorefileError(keys[0], "one block has several ports", "write a block for each")
        made.append(ServerBlock(keys[0], tuple(zones), ports.pop(), directives))
    return tuple(made)


def zone_of(token: Token) -> tuple[str, ...]:
    """The zones that a word means: a domain, or a network's reverse zones (`10.0.0.0/24`)."""
    from ipaddress import ip_network

    text = token.text.lower()
    if "/" in text:
        try:
            return reverse_zones(str(ip_network(text, strict=False)))
        except ValueError as error:
            raise CorefileError(token, f"{token} is no network: {error}") from None
    if any(len(label) > 63 for label in text.split(".")) or ".." in text:
        raise CorefileError(token, f"{token} is no domain")
    return (text.rstrip("."),)


def reverse_zones(cidr: str) -> tuple[str, ...]:
    """The zones below in-addr.arpa or ip6.arpa of a network's addresses: `10.in-addr.arpa` of 10.0.0.0/8."""
    from ipaddress import ip_network

    network = ip_network(cidr, strict=False)
    bits = 8 if network.version == 4 else 4
    whole = -(-network.prefixlen // bits) * bits
    zones = []
    for part in network.subnets(new_prefix=whole):
        labels = part.network_address.reverse_pointer.split(".")
        zones.append(".".join(labels[(network.max_prefixlen - whole) // bits :]))
    return tuple(zones)


def _served(key: Token) -> Iterator[tuple[str, int]]:
    """(zone, port) of `.:53`, `dns://example.org`, `10.0.0.0/24:53`."""
    text = key.text
    scheme, separator, rest = text.partition("://")
    if separator:
        if scheme != "dns":
            raise CorefileError(
                key, f"the testbed's servers do not speak {scheme}", "use dns:// or no scheme"
            )
        text = rest
    zone, colon, digits = text.rpartition(":") if ":" in text else (text, "", "")
    port = DNS_PORT
    if colon:
        if not digits.isdecimal() or not 1 <= int(digits) <= 65535:
            raise CorefileError(key, f"{digits!r} is no port", "write it like .:53")
        port = int(digits)
    for one in zone_of(Token(zone, key.line, key.column)):
        yield one, port


# Words


def _lines(text: str) -> Iterator[list[Token]]:
    """The words of each line that has some; a backslash at a line's end joins the next."""
    words: list[Token] = []
    joined = False
    for number, line in enumerate(text.splitlines(), 1):
        if not joined:
            words = []
        joined = _split(line, number, words)
        if words and not joined:
            yield words
    if joined and words:
        yield words


def _split(line: str, number: int, words: list[Token]) -> bool:
    """Add the words of a line; whether it goes on in the next."""
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
        elif line[at] == "#":
            return False
        elif line[at:].rstrip() == "\\":
            return True
        elif line[at] == '"':
            start, at, quoted = at, at + 1, ""
            while at < len(line) and line[at] != '"':
                escaped = line[at : at + 2] == '\\"'
                quoted += '"' if escaped else line[at]
                at += 2 if escaped else 1
            if at >= len(line):
                message = "this quotation mark is never closed"
                raise CorefileError(Token("", number, start + 1), message)
            words.append(Token(quoted, number, start + 1))
            at += 1
        else:
            start = at
            while at < len(line) and not line[at].isspace():
                at += 1
            words.append(Token(line[start:at], number, start + 1))
    return False


# Blocks


class _Reader:
    """Blocks out of lines of words."""

    def __init__(self, lines: list[list[Token]]) -> None:
        self._lines = lines
        self._at = 0
        self._snippets: dict[str, list[list[Token]]] = {}
        self._imports = 0

    def blocks(self) -> list[tuple[list[Token], tuple[Directive, ...]]]:
        found = []
        while self._at < len(self._lines):
            keys = self._keys()
            if len(keys) == 1 and keys[0].text.startswith("(") and keys[0].text.endswith(")"):
                self._snippets[keys[0].text[1:-1]] = list(self._body(keys[0]))
            else:
                found.append((keys, tuple(self._directives(list(self._body(keys[0]))))))
        return found

    def _keys(self) -> list[Token]:
        """The words in front of a block's brace: on one line, or on several, each ending in a comma."""
        keys: list[Token] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            for index, word in enumerate(line):
                if word.text == "{":
                    if index + 1 < len(line):
                        raise CorefileError(
                            line[index + 1], "a block's lines begin below its brace"
                        )
                    if not keys:
                        raise CorefileError(word, "a block without a zone", "write it like .:53 {")
                    return keys
                if word.text == "}":
                    raise CorefileError(word, "this brace closes nothing", "take it out")
                stripped = word.text.rstrip(",")
                if stripped:
                    keys.append(Token(stripped, word.line, word.column))
            if not line[-1].text.endswith(","):
                break
        where = keys[-1]
        raise CorefileError(where, f"{where} opens no block", "write { behind the zones")

    def _body(self, opened: Token) -> Iterator[list[Token]]:
        """The lines up to the brace that closes this block."""
        depth = 1
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if line[0].text == "}":
                depth -= 1
                if len(line) > 1:
                    raise CorefileError(line[1], "nothing may follow a closing brace")
                if not depth:
                    return
            elif line[-1].text == "{":
                depth += 1
            yield line
        raise CorefileError(opened, "this block is never closed", "write } below its lines")

    def _directives(self, lines: Sequence[list[Token]]) -> Iterator[Directive]:
        at = 0
        while at < len(lines):
            line = lines[at]
            at += 1
            name = line[0]
            if name.text == "import":
                yield from self._imported(line)
                continue
            if name.text in ("{", "}"):
                raise CorefileError(name, "a brace without a plug-in", "take it out")
            if line[-1].text != "{":
                yield Directive(name, tuple(line[1:]))
                continue
            options, at = _options(lines, at)
            yield Directive(name, tuple(line[1:-1]), options)

    def _imported(self, line: list[Token]) -> Iterator[Directive]:
        self._imports += 1
        if len(line) != 2 or line[1].text not in self._snippets or self._imports > _MOST_IMPORTS:
            named = line[1] if len(line) > 1 else line[0]
            hint = f"define it as ({named}) {{ … }} above; files are not imported"
            raise CorefileError(named, f"no snippet {named.text!r}", hint)
        yield from self._directives(self._snippets[line[1].text])


def _options(lines: Sequence[list[Token]], at: int) -> tuple[tuple[tuple[Token, ...], ...], int]:
    """Lines up to the plug-in's closing brace, and the place behind it. Blocks in it lose their braces."""
    options: list[tuple[Token, ...]] = []
    depth = 1
    while at < len(lines):
        line = lines[at]
        at += 1
        if line[0].text == "}":
            depth -= 1
            if not depth:
                break
        else:
            opens = line[-1].text == "{"
            depth += opens
            options.append(tuple(line[:-1] if opens else line))
    return tuple(options), at
