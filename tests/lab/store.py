"""A simulated host's certificate stores of LocalMachine (root, ca, my), read and written in its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.lab import pki

STORES = Path(".dotnet/corefx/cryptography/x509stores")
NAMES = ("root", "ca", "my")


def put(folder: Path, store: str, *certificates: x509.Certificate, key: pki.Key | None = None) -> None:
    """Puts certificates into a store; with a key, the one that it belongs to."""
    for certificate in certificates:
        target = folder / STORES / store.lower() / f"{pki.thumbprint(certificate)}.pfx"
        target.parent.mkdir(parents=True, exist_ok=True)
        own, others = (certificate, None) if key else (None, [certificate])
        target.touch(mode=0o600)
        target.write_bytes(pkcs12.serialize_key_and_certificates(None, key, own, others, serialization.NoEncryption()))


def certificates(folder: Path, store: str) -> Iterator[x509.Certificate]:
    """The certificates of a store."""
    for path in sorted((folder / STORES / store.lower()).glob("*.pfx")):
        content = pkcs12.load_pkcs12(path.read_bytes(), None)
        yield from (part.certificate for part in (content.cert, *content.additional_certs) if part is not None)
