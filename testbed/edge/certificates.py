"""Certificates in Secrets of type kubernetes.io/tls."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificates

from testbed.model.documents import Secret

TLS_TYPE = "kubernetes.io/tls"
CERT_KEY, KEY_KEY = "tls.crt", "tls.key"
_DER, _SPKI = Encoding.DER, PublicFormat.SubjectPublicKeyInfo


def pem_of(secret: Secret) -> str:
    """The certificate, its chain and its key, in one text. Raises ValueError that says what is wrong."""
    return _checked(_data(secret, CERT_KEY), _data(secret, KEY_KEY))


@lru_cache(maxsize=4096)
def _checked(chain: bytes, key: bytes) -> str:
    try:
        certificates = load_pem_x509_certificates(chain)
    except ValueError:
        raise ValueError(f"{CERT_KEY} is no certificate in PEM") from None
    try:
        public = load_pem_private_key(key, None).public_key()
    except (ValueError, TypeError):
        raise ValueError(f"{KEY_KEY} is no private key in PEM that needs no password") from None
    if certificates[0].public_key().public_bytes(_DER, _SPKI) != public.public_bytes(_DER, _SPKI):
        raise ValueError(f"{KEY_KEY} is not the key of {CERT_KEY}")
    return f"{chain.decode().strip()}\n{key.decode().strip()}\n"


def _data(secret: Secret, key: str) -> bytes:
    encoded = (secret.body.get("data") or {}).get(key)
    plain = (secret.body.get("stringData") or {}).get(key)
    if plain is not None:
        return str(plain).encode()
    if not encoded:
        raise ValueError(f"it has no {key}")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{key} is not base64") from None
