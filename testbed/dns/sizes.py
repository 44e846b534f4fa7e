"""How large packets are that plug-ins only see as values: what logs and metrics say of them."""

from __future__ import annotations

from functools import lru_cache

from testbed.dns.labels import encode_name
from testbed.dns.query import Query, Reply
from testbed.dns.rdata import encode_rdata
from testbed.dns.wire import Record

_HEADER, _QUESTION_TAIL, _RECORD_HEAD, _OPT = 12, 4, 10, 11
_POINTER = 2


def reply_size(query: Query, reply: Reply) -> int:
    """Bytes of a whole reply, owner names compressed."""
    seen = {query.question.name}
    size = _HEADER + _name_size(query.question.name) + _QUESTION_TAIL
    for record in (*reply.answers, *reply.authority, *reply.additional):
        size += _POINTER if record.name in seen else _name_size(record.name)
        seen.add(record.name)
        size += _RECORD_HEAD + _data_size(record)
    return size + (0 if query.udp_size is None else _OPT)


def _name_size(name: str) -> int:
    if "\\" in name or not name:
        return len(encode_name(name))
    return len(name) + 2  # the first label's length, and the root's


@lru_cache(maxsize=4096)
def _data_size(record: Record) -> int:
    return len(encode_rdata(record.type, record.data))
