"""Answers of a server as the rows have them, read by dnspython."""

from __future__ import annotations

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.specification.rows import Row, without_serial

Said = tuple[str, frozenset[str], frozenset[str], frozenset[str]]
"""rcode; answer, authority and additional records."""


def query(row: Row) -> dns.message.Message:
    """The row's question, from somebody who takes large answers."""
    return dns.message.make_query(f"{row.name}.", row.type, use_edns=0, payload=4096)


def said(response: dns.message.Message) -> Said:
    """A response, as a row has it."""
    sections = (response.answer, response.authority, response.additional)
    answers, authority, additional = (
        frozenset(line for rrset in section for line in _lines(rrset)) for section in sections
    )
    return dns.rcode.to_text(response.rcode()), answers, authority, additional


def expected(row: Row) -> Said:
    return row.rcode, row.answers, row.authority, row.additional


def _lines(rrset: dns.rrset.RRset) -> list[str]:
    head = f"{rrset.name} {rrset.ttl} IN {dns.rdatatype.to_text(rrset.rdtype)}"
    return [without_serial(f"{head} {record.to_text()}") for record in rrset]
