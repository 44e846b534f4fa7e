"""A Corefile's words and blocks, and what is said of one that is no good."""

from __future__ import annotations

import pytest

from testbed.dns.corefile import CorefileError, reverse_zones, server_blocks


def test_blocks_directives_and_options() -> None:
    (block,) = server_blocks(
        """
        (common) {
            errors   # why queries failed
        }
        .:53, 10.0.0.0/8:53 {
            import common
            health {
                lameduck 5s
            }
            rewrite name regex "a b" \\
                c
        }
        """
    )
    assert (block.zones, block.port) == (("", "10.in-addr.arpa"), 53)
    errors, health, rewrite = block.directives
    assert (errors.name.text, errors.arguments) == ("errors", ())
    assert [[word.text for word in line] for line in health.options] == [["lameduck", "5s"]]
    assert [word.text for word in rewrite.arguments] == ["name", "regex", "a b", "c"]


def test_words_know_where_they_are() -> None:
    (block,) = server_blocks(".:53 {\n    cache 30\n}\n")
    (cache,) = block.directives
    assert [(word.line, word.column) for word in (cache.name, *cache.arguments)] == [
        (2, 5),
        (2, 11),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: there is no server block (write it like .:53 { … })"),
        (".:53", "1:1: .:53 opens no block (write { behind the zones)"),
        (".:53 {\n errors", "1:1: this block is never closed (write } below its lines)"),
        ("}", "1:1: this brace closes nothing (take it out)"),
        (". {\n import x\n}", "2:9: no snippet 'x' (define it as (x) { … } above; files are not imported)"),
        ("(x) {\n import x\n}\n. {\n import x\n}", "2:9: no snippet 'x' (define it as (x) { … } above; files are not imported)"),  # noqa: E501
        (". { errors }", "1:5: a block's lines begin below its brace"),
        ("a {\n}\nA. {\n}", "3:1: a:53 is served twice (first in line 1; keep one)"),
        (".:x {\n}", "1:1: 'x' is no port (write it like .:53)"),
        ("{\n}", "1:1: a block without a zone (write it like .:53 {)"),
        ('a {\n "foo\n}', "2:2: this quotation mark is never closed"),
        ("tls://. {\n}", "1:1: the testbed's servers do not speak tls (use dns:// or no scheme)"),
        ("a:53 b:54 {\n}", "1:1: one block has several ports (write a block for each)"),
        ("a..b {\n}", "1:1: a..b is no domain"),
        ("10.0.0.0/33 {\n}", "1:1: 10.0.0.0/33 is no network: '10.0.0.0/33' does not appear to be an IPv4 or IPv6 network"),  # noqa: E501
    ],
)  # fmt: skip
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(CorefileError) as caught:
        server_blocks(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("cidr", "zones"),
    [
        ("10.244.0.0/16", ("244.10.in-addr.arpa",)),
        ("10.96.0.0/15", ("96.10.in-addr.arpa", "97.10.in-addr.arpa")),
        ("fd00::/8", ("d.f.ip6.arpa",)),
    ],
)
def test_networks_are_reverse_zones(cidr: str, zones: tuple[str, ...]) -> None:
    assert reverse_zones(cidr) == zones
