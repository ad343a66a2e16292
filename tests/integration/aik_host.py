"""A host's TPM, AIK state and AikCertEnrollTask, written and read in its files: not by way of what is tested."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.integration.host_state import set_key
from tests.lab import pki

TASK = "\\Microsoft\\Windows\\CertificateServicesClient\\AikCertEnrollTask"
ENROL_KEY = "SYSTEM\\ControlSet001\\Control\\Cryptography\\Ngc\\AIKCertEnroll"
TPM_KEY = "SYSTEM\\ControlSet001\\Services\\TPM\\WMI"
_TPM_MANUFACTURER = x509.ObjectIdentifier("2.23.133.2.1")


def endorsement(authority: pki.Authority, vendor: str | None, *, identified: bool = True) -> x509.Certificate:
    """An endorsement key certificate.

    Args:
        authority: who issues it.
        vendor: the TPM vendor's id, such as IFX; None leaves the subject alternative name out.
        identified: whether it has an authority key identifier.
    """
    model = authority.leaf("model").certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(pki.new_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if vendor is not None:
        value = f"id:{vendor.encode('ascii').ljust(4, bytes(1)).hex().upper()}"
        name = x509.Name([x509.NameAttribute(_TPM_MANUFACTURER, value)])
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DirectoryName(name)]), critical=True)
    if identified:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def key_id(authority: pki.Authority) -> str:
    """The identifier of an authority's key, 40 lower hex digits."""
    extension = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return extension.value.digest.hex()


def write_tpm(
    folder: Path, *certificates: x509.Certificate, additional: tuple[x509.Certificate, ...] = (), **more: Any
) -> None:
    """Give the host a TPM with these endorsement key certificates."""
    names: dict[str, list[str]] = {"EkCertificates": [], "AdditionalCertificates": []}
    for kind, found in zip(names, (certificates, additional), strict=True):
        for number, certificate in enumerate(found):
            names[kind].append(f"{kind}{number}.pem")
            (folder / names[kind][-1]).write_text(pki.to_pem(certificate), "ascii")
    document = {"ManufacturerIdTxt": "IFX", "ManufacturerVersion": "7.85", "SpecVersion": "2.0, 0, 1.38"}
    (folder / "tpm.json").write_text(json.dumps({**document, **names, **more}), "utf-8")


def store_endorsement(folder: Path, store: str, certificate: x509.Certificate) -> None:
    """Put an endorsement key certificate into one of the registry's stores, behind another property as in Windows."""
    der = certificate.public_bytes(pki.DER)
    thumbprint = bytes.fromhex(pki.thumbprint(certificate))
    blob = b"".join(
        number.to_bytes(4, "little") + (1).to_bytes(4, "little") + len(data).to_bytes(4, "little") + data
        for number, data in ((3, thumbprint), (32, der))
    )
    path = f"{TPM_KEY}\\Endorsement\\{store}\\Certificates\\{pki.thumbprint(certificate)}"
    set_key(folder, path, Blob=("Binary", blob.hex()))


def write_task(folder: Path, *, service: str = "running", exists: bool = True, **task: Any) -> None:
    """Write the host's tasks: AikCertEnrollTask, and one beside it."""
    tasks: dict[str, Any] = {"\\Microsoft\\Windows\\CertificateServicesClient\\SystemTask": {"Enabled": True}}
    if exists:
        tasks[TASK] = {"Enabled": True, "LastRunTime": None, "LastTaskResult": 267011, **task}
    new = folder / "tasks.new"
    new.write_text(json.dumps({"service": service, "folders": {}, "tasks": tasks}), "utf-8")
    new.replace(folder / "tasks.json")


def tasks(folder: Path) -> dict[str, Any]:
    """All that the host's tasks are."""
    return dict(json.loads((folder / "tasks.json").read_text("utf-8")))
