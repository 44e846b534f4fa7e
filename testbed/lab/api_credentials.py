"""What the API server shows to clients, and clients to it: a certificate of the lab's own authority, tokens."""

from __future__ import annotations

import hmac
import secrets
import ssl
from collections.abc import Iterable

import trustme


class Credentials:
    """Of one lab, made at once and gone with it. A token stands for a user; there is no authorisation."""

    def __init__(self, names: Iterable[str]) -> None:
        """`names`: by which names and addresses clients reach the server."""
        authority = trustme.CA()
        certificate = authority.issue_cert(*names, common_name="kube-apiserver")
        self.ca_pem: str = authority.cert_pem.bytes().decode()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self.tls)
        self._tokens: dict[str, str] = {}
        """User -> token."""

    def token(self, user: str) -> str:
        """The token of a user, who need not have had one."""
        return self._tokens.setdefault(user, secrets.token_urlsafe(32))

    def user(self, token: str) -> str | None:
        """Whose token it is; compared in constant time."""
        given, found = token.encode(), None
        for user, known in self._tokens.items():
            if hmac.compare_digest(known.encode(), given):
                found = user
        return found
