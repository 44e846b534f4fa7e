"""Annotations of HAProxy Technologies' ingress controller that this one knows.

Source: documentation/annotations of haproxytech/kubernetes-ingress.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from testbed.edge.ingress_options import BALANCES

PREFIX = "haproxy.org/"
SSL_REDIRECT = PREFIX + "ssl-redirect"
SSL_REDIRECT_CODE = PREFIX + "ssl-redirect-code"
LOAD_BALANCE = PREFIX + "load-balance"
PATH_REWRITE = PREFIX + "path-rewrite"
CODES = ("301", "302", "303", "307", "308")
DEFAULT_CODE = "302"
_TRUE, _FALSE = ("true", "enabled", "on"), ("false", "disabled", "off")
_VALUES = {
    SSL_REDIRECT: (*_TRUE, *_FALSE),
    SSL_REDIRECT_CODE: CODES,
    LOAD_BALANCE: BALANCES,
}
_KNOWN = (*_VALUES, PATH_REWRITE)
_REWRITE = re.compile(r"/[^\s%\"'\\#]*|[^\s%\"'#]+ /[^\s%\"'#]*")
"""A path for all, or a pattern and what it becomes (\\1: its first group)."""


def redirects(annotations: Mapping[str, str], *, is_secured: bool) -> str:
    """The code by which http is sent to https; "": it is answered. Where nothing is said, hosts that have a
    certificate are sent there.
    """
    said = annotations.get(SSL_REDIRECT)
    wanted = said in _TRUE if said in _VALUES[SSL_REDIRECT] else is_secured
    if not wanted:
        return ""
    code = annotations.get(SSL_REDIRECT_CODE, DEFAULT_CODE)
    return code if code in CODES else DEFAULT_CODE


def balance(annotations: Mapping[str, str]) -> str:
    """The algorithm that is asked for; "": none is."""
    said = annotations.get(LOAD_BALANCE, "")
    return said if said in BALANCES else ""


def rewrite(annotations: Mapping[str, str]) -> str:
    """`http-request replace-path`'s pattern and replacement; "": paths go on as they are."""
    said = annotations.get(PATH_REWRITE, "")
    if not _REWRITE.fullmatch(said) or not _is_pattern(said.partition(" ")[0]):
        return ""
    return said if " " in said else f"(.*) {said}"


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def mistakes(annotations: Mapping[str, str]) -> Iterator[str]:
    """What of them says nothing here."""
    for name, value in sorted(annotations.items()):
        if not name.startswith(PREFIX):
            continue
        if name not in _KNOWN:
            yield f"annotation {name} is not known here; there is {', '.join(_KNOWN)}"
        elif name == PATH_REWRITE:
            if not rewrite(annotations):
                yield f"annotation {name}: {value!r} is no path, nor a pattern and a path"
        elif value not in _VALUES[name]:
            yield f"annotation {name}: {value!r} is none of {', '.join(_VALUES[name])}"
