"""What names, labels, ports and addresses may look like: a text -> what is wrong with it, in Kubernetes' words.

Source: apimachinery's `util/validation/validation.go`. Lengths are of UTF-8 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import TypeAlias

Format: TypeAlias = Callable[[str], list[str]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_SEARCH_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SEARCH = rf"{_SEARCH_LABEL}(\.{_SEARCH_LABEL})*"
_DNS_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_PERCENT = "[0-9]+%"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_ENDS = "must start and end with an alphanumeric character"
NON_NEGATIVE = "must be greater than or equal to 0"
PORT_RANGE = "must be between 1 and 65535, inclusive"


def _length(text: str, most: int) -> list[str]:
    """What is wrong with a text's length."""
    long = len(text.encode("utf-8", "surrogatepass")) > most
    return [f"must be no more than {most} characters"] if long else []


def _pattern(said: str, pattern: str, *examples: str) -> str:
    """How Kubernetes says that a pattern does not match."""
    such = " or ".join(f"'{example}', " for example in examples)
    given = f"e.g. {such}" if examples else ""
    return f"{said} ({given}regex used for validation is '{pattern}')"


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None


def dns_label(text: str) -> list[str]:
    """A DNS-1123 label."""
    wrong = _length(text, 63)
    if _matches(_LABEL, text):
        return wrong
    if _matches(_SUBDOMAIN, text):
        return [*wrong, "must not contain dots"]
    said = (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters "
        f"or '-', and {_ENDS}"
    )
    return [*wrong, _pattern(said, _LABEL, "my-name", "123-abc")]


def dns_subdomain(text: str) -> list[str]:
    """A DNS-1123 subdomain: what most objects' names are."""
    wrong = _length(text, 253)
    if _matches(_SUBDOMAIN, text):
        return wrong
    said = (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
        f"'-' or '.', and {_ENDS}"
    )
    return [*wrong, _pattern(said, _SUBDOMAIN, "example.com")]


def search_domain(text: str) -> list[str]:
    """What resolv.conf may search: a subdomain with underscores or, since 1.34, the root."""
    if text == ".":
        return []
    plain = text.removesuffix(".")
    wrong = _length(plain, 253)
    if _matches(_SEARCH, plain):
        return wrong
    said = (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
        f"'_', '-' or '.', and {_ENDS}"
    )
    return [*wrong, _pattern(said, _SEARCH, "example.com")]


def dns_1035_label(text: str) -> list[str]:
    """What a service's name is."""
    wrong = _length(text, 63)
    if _matches(_DNS_1035, text):
        return wrong
    said = (
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
        "start with an alphabetic character, and end with an alphanumeric character"
    )
    return [*wrong, _pattern(said, _DNS_1035, "my-name", "abc-123")]


def wildcard_subdomain(text: str) -> list[str]:
    """`*.example.com`."""
    wrong = _length(text, 253)
    if _matches(_WILDCARD, text):
        return wrong
    said = (
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
        "which must consist of lower case alphanumeric characters, '-' or '.' and end with an "
        "alphanumeric character"
    )
    return [*wrong, _pattern(said, _WILDCARD, "*.example.com")]


def qualified_name(text: str) -> list[str]:
    """A key of labels and annotations: `app`, `example.com/app`."""
    said = (
        "must consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character"
    )
    examples = ("MyName", "my.name", "123-abc")
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        whole = "a qualified name " + _pattern(said, _QUALIFIED, *examples)
        return [
            f"{whole} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    wrong = []
    if slash and not prefix:
        wrong.append("prefix part must be non-empty")
    elif slash:
        wrong += [f"prefix part {one}" for one in dns_subdomain(prefix)]
    if not name:
        wrong.append("name part must be non-empty")
    wrong += [f"name part {one}" for one in _length(name, 63)]
    if not _matches(_QUALIFIED, name):
        wrong.append("name part " + _pattern(said, _QUALIFIED, *examples))
    return wrong


def label_value(text: str) -> list[str]:
    """A label's value."""
    wrong = _length(text, 63)
    if _matches(_LABEL_VALUE, text):
        return wrong
    said = (
        "a valid label must be an empty string or consist of alphanumeric characters, "
        "'-', '_' or '.', and must start and end with an alphanumeric character"
    )
    return [*wrong, _pattern(said, _LABEL_VALUE, "MyValue", "my_value", "12345")]


def path_segment(text: str) -> list[str]:
    """What may be a part of a URL's path: the names of objects that have no DNS names."""
    if text in {".", ".."}:
        return [f"may not be '{text}'"]
    return [f"may not contain '{one}'" for one in "/%" if one in text]


def config_key(text: str) -> list[str]:
    """A key of a ConfigMap or a Secret: a file's name."""
    wrong = _length(text, 253)
    if not _matches(_CONFIG_KEY, text):
        said = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        wrong.append(_pattern(said, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if text == ".":
        wrong.append("must not be '.'")
    elif text == "..":
        wrong.append("must not be '..'")
    elif text.startswith(".."):
        wrong.append("must not start with '..'")
    return wrong


def environment_name(text: str) -> list[str]:
    """A variable's name: since 1.34 nearly anything will do."""
    wrong = [] if text else ["environment variable name must be non-empty"]
    if not all(" " <= one <= "~" and one != "=" for one in text):
        wrong.append(
            "a valid environment variable name must consist only of printable ASCII "
            "characters other than '='"
        )
    return wrong


def header_name(text: str) -> list[str]:
    """Of HTTP."""
    if _matches("[-A-Za-z0-9]+", text):
        return []
    said = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return [_pattern(said, "[-A-Za-z0-9]+", "X-Header-Name")]


def port_number(number: int) -> list[str]:
    return [] if 1 <= number <= 65535 else [PORT_RANGE]


def port_name(text: str) -> list[str]:
    """An IANA service name: what a container's port may be called."""
    wrong = _length(text, 15)
    if not _matches("[-a-z0-9]+", text):
        wrong.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        wrong.append("must contain at least one letter (a-z)")
    if "--" in text:
        wrong.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        wrong.append("must not begin or end with a hyphen")
    return wrong


def percent(text: str) -> list[str]:
    if _matches(_PERCENT, text):
        return []
    said = "a valid percent string must be a numeric string followed by an ending '%'"
    return [_pattern(said, _PERCENT, "1%", "93%")]


def ip(text: str) -> list[str]:
    """An address of either family."""
    try:
        ip_address(text)
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return []


def canonical_ip(text: str) -> list[str]:
    """What an IPAddress is named."""
    wrong = ip(text)
    if wrong or str(ip_address(text)) == text:
        return wrong
    return [f'must be in canonical form ("{ip_address(text)}")']


def cidr(text: str) -> list[str]:
    """A range of either family."""
    try:
        ip_network(text, strict=False)
        is_range = "/" in text
    except ValueError:
        is_range = False
    return [] if is_range else ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]


def non_special_ip(text: str) -> list[str]:
    """An address that endpoints and external addresses may have."""
    address = ip_address(text)
    if address.is_unspecified:
        return [f"may not be unspecified ({text})"]
    if address.is_loopback:
        return ["may not be in the loopback range (127.0.0.0/8, ::1/128)"]
    if address.is_link_local:
        return ["may not be in the link-local range (169.254.0.0/16, fe80::/10)"]
    if any(address in ip_network(one) for one in ("224.0.0.0/24", "ff02::/16")):
        return ["may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"]
    return []
