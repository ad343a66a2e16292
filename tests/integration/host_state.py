"""A simulated host's certificate stores and registry, read and written in its files: not by way of what is tested."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.lab import pki

UNDO = "SOFTWARE\\winpki.scep\\Undo"
LEVEL_KEY = "SOFTWARE\\Microsoft\\Cryptography\\AutoEnrollment"
_STORES = Path(".dotnet/corefx/cryptography/x509stores")


def put_certificate(folder: Path, store: str, *certificates: x509.Certificate, key: pki.Key | None = None) -> None:
    """Put certificates into a store of LocalMachine; with a key, the one that it belongs to."""
    for certificate in certificates:
        target = folder / _STORES / store.lower() / f"{pki.thumbprint(certificate)}.pfx"
        target.parent.mkdir(parents=True, exist_ok=True)
        own, others = (certificate, None) if key else (None, [certificate])
        target.write_bytes(pkcs12.serialize_key_and_certificates(None, key, own, others, serialization.NoEncryption()))


def stores(folder: Path) -> dict[str, set[str]]:
    """The SHA-256 of every certificate in every store of LocalMachine that is not empty."""
    found: dict[str, set[str]] = {}
    for path in sorted((folder / _STORES).glob("*/*")):
        content = pkcs12.load_pkcs12(path.read_bytes(), None)
        parts = [content.cert, *content.additional_certs]
        found.setdefault(path.parent.name, set()).update(pki.sha256(part.certificate) for part in parts if part)
    return found


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file of the stores byte for byte, and every value of the registry but for the undo records."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in (folder / _STORES).glob("*/*")}
    # A host's first change of its registry writes the keys that every host has, without values.
    keys = {name: key["values"] for name, key in registry(folder).items() if key.get("values") and UNDO not in name}
    return {**files, "registry": json.dumps(keys, sort_keys=True).encode("utf-8")}


def store_file(folder: Path, store: str, certificate: x509.Certificate) -> Path:
    """The file that a certificate in a store is."""
    return folder / _STORES / store.lower() / f"{pki.thumbprint(certificate)}.pfx"


def registry(folder: Path) -> dict[str, Any]:
    """The keys below HKLM that the host has, by path."""
    path = folder / "registry" / "HKLM.json"
    return dict(json.loads(path.read_text("utf-8"))["keys"]) if path.exists() else {}


def level(folder: Path) -> dict[str, Any]:
    """The values of the key that holds the log level of enrolment."""
    return dict(registry(folder).get(LEVEL_KEY, {}).get("values", {}))


def set_key(folder: Path, key: str, **values: tuple[str, Any]) -> None:
    """Make a key below HKLM; values are (kind, data), as the registry's files have them."""
    path = folder / "registry" / "HKLM.json"
    path.parent.mkdir(exist_ok=True)
    document: dict[str, Any] = {"format": 1, "keys": {}}
    if path.exists():
        document = json.loads(path.read_text("utf-8"))
    entry = document["keys"].setdefault(key, {"values": {}})
    entry["values"].update({name: {"kind": kind, "data": data} for name, (kind, data) in values.items()})
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document), encoding="utf-8")
    new.replace(path)


def deny(folder: Path, key: str, access: str) -> None:
    """Let a key below HKLM and what is below it be `readonly` or `denied`."""
    path = folder / "registry" / "access.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({f"HKLM\\{key}": access}), encoding="utf-8")


def undo_records(folder: Path) -> list[dict[str, Any]]:
    """The undo records, oldest first."""
    records = [
        json.loads(key["values"]["Record"]["data"])
        for name, key in registry(folder).items()
        if name.startswith(f"{UNDO}\\")
    ]
    return sorted(records, key=lambda record: str(record["created"]))


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Put an undo record into the registry."""
    set_key(folder, f"{UNDO}\\{record['change_id']}", Record=("String", json.dumps(record)))
