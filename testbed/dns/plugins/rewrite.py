"""`rewrite [continue|stop] FIELD …`: asks something else than the client asked, and may undo it in the answer.

Source: plugin/rewrite/README.md of CoreDNS. Fields name, type, class, ttl and rcode.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from testbed.dns.corefile import CorefileError, Directive, Token
from testbed.dns.directives import all_words, counted, one_of, whole
from testbed.dns.labels import WireError
from testbed.dns.query import Query, Reply, Respond, Serve
from testbed.dns.rdata import CNAME, NS, PTR, SRV
from testbed.dns.surroundings import Block, Made
from testbed.dns.wire import Question, Record, rcode_text, type_number
from testbed.dns.zone_options import normal

MATCHES = ("exact", "prefix", "suffix", "substring", "regex")
_FIELDS = ("name", "type", "class", "ttl", "rcode")
_CLASSES = {"IN": 1, "CH": 3, "HS": 4, "ANY": 255}
_RCODES = {rcode_text(code): code for code in range(6)}
_GROUP = re.compile(r"\{(\d+)\}")

Change = Callable[[str], str | None]
"""A name with its final dot, in lower case -> what takes its place; None: it does not match."""
Answered = Callable[[Reply, Question, Question], Reply]
"""(reply, the client's question, the one that was asked) -> the reply as the client gets it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`ask` changes a question (None: the rule does not match), `answer` what comes back."""

    ask: Callable[[Question], Question | None]
    answers: tuple[Answered, ...] = ()
    goes_on: bool = False
    """Whether the rules behind it are looked at as well."""


def settings(directive: Directive, block_zones: tuple[str, ...]) -> Rule:
    """Raises CorefileError."""
    words = list(counted(all_words(directive), 1 if not directive.options else 0))
    goes_on = False
    if words and words[0].text in ("continue", "stop"):
        goes_on = words.pop(0).text == "continue"
    if directive.options:  # the first line is the rule, the others are about its answer
        if words:
            raise CorefileError(words[0], f"{words[0]} and a block: write the rule in the block")
        words = [word for line in directive.options for word in line]
    if not words:
        raise CorefileError(directive.name, f"rewrite needs one of {', '.join(_FIELDS)}")
    field = one_of(words[0], _FIELDS)
    read = {"name": _name, "type": _type, "class": _class, "ttl": _ttl, "rcode": _rcode}[field]
    return replace(read(words), goes_on=goes_on)


def make(settings: Rule, block: Block) -> Made:
    return Made(Rewrite(settings))


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One rule. Several `rewrite` lines are several of these; one that stops hides those behind it."""

    rule: Rule
    name: str = "rewrite"

    def serve(self, query: Query, respond: Respond, next: Serve) -> None:
        if query.rewritten:
            next(query, respond)
            return
        told = query.question
        asked = self.rule.ask(told)
        if asked is None:
            next(query, respond)
            return
        answers = self.rule.answers

        def answered(reply: Reply) -> None:
            for change in answers:
                reply = change(reply, told, asked)
            respond(reply)

        next(replace(query, question=asked, rewritten=not self.rule.goes_on), answered)


# Fields


def _name(words: list[Token]) -> Rule:
    """`name [MATCH] FROM TO [answer …]`."""
    kind, rest = _kind(words, 2)
    start, end = rest[0], rest[1]
    change = _change(kind, start, end.text)

    def ask(question: Question) -> Question | None:
        found = change(_full(question.name))
        return None if found is None else replace(question, name=found.rstrip("."))

    return Rule(ask, _answers(rest[2:], kind, (start.text, end.text)))


def _type(words: list[Token]) -> Rule:
    start, end = counted(words, 2, 2)
    try:
        old, new = type_number(start.text), type_number(end.text)
    except WireError as error:
        raise CorefileError(start, str(error)) from None
    return Rule(lambda asked: replace(asked, type=new) if asked.type == old else None)


def _class(words: list[Token]) -> Rule:
    old, new = (_CLASSES[one_of(word, _CLASSES)] for word in counted(words, 2, 2))
    return Rule(lambda asked: replace(asked, class_=new) if asked.class_ == old else None)


def _ttl(words: list[Token]) -> Rule:
    """`ttl [MATCH] NAME SECONDS|LEAST-MOST`."""
    kind, rest = _kind(words, 2)
    counted([words[0], *rest], 2, 2)
    change = _change(kind, rest[0], "")
    low, dash, high = rest[1].text.partition("-")
    place = rest[1].line, rest[1].column
    least = whole(Token(low or "0", *place))
    most = whole(Token(high, *place)) if high else (1 << 31) - 1 if dash else least

    def answer(reply: Reply, told: Question, asked: Question) -> Reply:
        def bounded(record: Record) -> Record:
            return replace(record, ttl=max(least, min(record.ttl, most)))

        return replace(
            reply,
            answers=tuple(map(bounded, reply.answers)),
            authority=tuple(map(bounded, reply.authority)),
            additional=tuple(map(bounded, reply.additional)),
        )

    return Rule(lambda asked: asked if change(_full(asked.name)) is not None else None, (answer,))


def _rcode(words: list[Token]) -> Rule:
    """`rcode [MATCH] NAME FROM TO`."""
    kind, rest = _kind(words, 3)
    counted([words[0], *rest], 3, 3)
    change = _change(kind, rest[0], "")
    old, new = (_RCODES[one_of(word, _RCODES)] for word in rest[1:])

    def answer(reply: Reply, told: Question, asked: Question) -> Reply:
        return replace(reply, rcode=new) if reply.rcode == old else reply

    return Rule(lambda asked: asked if change(_full(asked.name)) is not None else None, (answer,))


# Names


def _kind(words: list[Token], least: int) -> tuple[str, list[Token]]:
    """How names are compared, and the words behind that."""
    rest = list(counted(words, least))
    kind = "exact"
    if len(rest) > least and rest[0].text in MATCHES:
        kind = rest.pop(0).text
    return kind, rest


def _change(kind: str, start: Token, end: str) -> Change:
    """A name that matches -> the name with the part that matched replaced. Raises CorefileError."""
    old, new = start.text.lower(), end.lower()
    match kind:
        case "exact":
            return lambda name: _full(new) if name == _full(old) else None
        case "prefix":
            return lambda name: new + name[len(old) :] if name.startswith(old) else None
        case "suffix":
            old, new = _full(old), _full(new)
            return lambda name: name[: -len(old)] + new if name.endswith(old) else None
        case "substring":
            return lambda name: name.replace(old, new) if old in name else None
    return _by_pattern(start, start.text, end)


def _by_pattern(at: Token, pattern: str, end: str) -> Change:
    """`{1}` in `end` is what the pattern's first group matched."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise CorefileError(at, f"{pattern!r} is no regular expression: {error}") from None
    wanted = max(map(int, _GROUP.findall(end)), default=0)
    if wanted > compiled.groups:
        raise CorefileError(at, f"{pattern!r} has no group {wanted}")

    def change(name: str) -> str | None:
        found = compiled.search(name)
        return None if found is None else _GROUP.sub(lambda one: found[int(one[1])] or "", end)

    return change


def _full(name: str) -> str:
    return f"{normal(name)}."


# Answers


def _answers(words: list[Token], kind: str, names: tuple[str, str]) -> tuple[Answered, ...]:
    """Any number of `answer auto`, `answer name FROM TO` and `answer value FROM TO`."""
    found: list[Answered] = []
    at = 0
    while at < len(words):
        one_of(words[at], ("answer",))
        what, *more = counted(words[at:], 1)
        one_of(what, ("auto", "name", "value"))
        if what.text == "auto":
            found.append(_undone(kind, *names))
            at += 2
            continue
        if len(more) < 2:
            raise CorefileError(what, f"answer {what} needs a pattern and what takes its place")
        change = _by_pattern(more[0], more[0].text, more[1].text)
        found.append(_renamed(change) if what.text == "name" else _revalued(change))
        at += 4
    return tuple(found)


def _undone(kind: str, old: str, new: str) -> Answered:
    """The name that was asked for is called what the client asked for; with `suffix`, so are others."""
    back = _change("suffix", Token(new, 0, 0), old) if kind == "suffix" else None

    def answer(reply: Reply, told: Question, asked: Question) -> Reply:
        def change(name: str) -> str | None:
            if name == _full(asked.name):
                return f"{told.name}."
            return back(name) if back is not None else None

        return _with_names(reply, change)

    return answer


def _renamed(change: Change) -> Answered:
    return lambda reply, told, asked: _with_names(reply, change)


def _revalued(change: Change) -> Answered:
    """Names in the data of CNAME, SRV, PTR and NS records."""

    def spelled(record: Record) -> Record:
        if record.type not in (CNAME, SRV, PTR, NS):
            return record
        *front, target = record.data.split(" ")
        new = change(_full(target))
        return record if new is None else replace(record, data=" ".join([*front, new]))

    return lambda reply, told, asked: replace(reply, answers=tuple(map(spelled, reply.answers)))


def _with_names(reply: Reply, change: Change) -> Reply:
    def spelled(record: Record) -> Record:
        new = change(_full(record.name))
        return record if new is None else replace(record, name=new.rstrip("."))

    return replace(
        reply,
        answers=tuple(map(spelled, reply.answers)),
        additional=tuple(map(spelled, reply.additional)),
    )
