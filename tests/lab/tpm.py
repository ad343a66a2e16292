r"""A simulated host's TPM: its endorsement key's certificate, and what Windows keeps of the AIK that it attests.

The host name that a client asks of Microsoft's AIK service comes from that certificate: the maker from its subject
alternative name, the key identifier from its authority key identifier.
"""

from __future__ import annotations

import json
import struct
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.lab import pki, registry
from tests.lab.aik import DOMAIN

MAKERS = ("AMD", "IFX", "INTC", "MSFT", "NTC", "QCOM", "STM")
TASK = "\\Microsoft\\Windows\\CertificateServicesClient\\AikCertEnrollTask"
NGC = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Cryptography\\Ngc\\AIKCertEnroll"
WMI = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\TPM\\WMI"
EK_STORE = f"{WMI}\\Endorsement\\EKCertStore\\Certificates"

_EK_USAGE = x509.ObjectIdentifier("2.23.133.8.1")
_MAKER, _MODEL, _VERSION = (x509.ObjectIdentifier(f"2.23.133.2.{number}") for number in (1, 2, 3))
_EK_FILE = "ek.pem"


def endorsement_certificate(maker: str, key_id: str) -> x509.Certificate:
    """An EK certificate as the TPM's maker issues it.

    Args:
        maker: the vendor's id, such as IFX.
        key_id: 40 hex digits, the key identifier of the CA that issued it.
    """
    vendor = maker.encode("ascii").ljust(4, b"\0").hex().upper()
    described = x509.Name(
        [
            x509.NameAttribute(_MAKER, f"id:{vendor}"),
            x509.NameAttribute(_MODEL, "LAB"),
            x509.NameAttribute(_VERSION, "id:00070055"),
        ]
    )
    now = datetime.now(timezone.utc).replace(microsecond=0)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{maker} TPM EK Intermediate CA")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=700))
        .not_valid_after(now + timedelta(days=7000))
        .add_extension(x509.SubjectAlternativeName([x509.DirectoryName(described)]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier(bytes.fromhex(key_id), None, None), critical=False)
        .add_extension(x509.ExtendedKeyUsage([_EK_USAGE]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    # The issuer's own key is no one's concern: nothing in the lab builds this chain.
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


def label(certificate: x509.Certificate) -> str:
    """The first label of the host name that the AIK service is asked by.

    Raises:
        ValueError: the certificate is not one of an endorsement key.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        (directory,) = names.get_values_for_type(x509.DirectoryName)
        (vendor,) = directory.get_attributes_for_oid(_MAKER)
        maker = bytes.fromhex(str(vendor.value).removeprefix("id:")).rstrip(b"\0").decode("ascii")
    except (x509.ExtensionNotFound, ValueError) as error:
        raise ValueError("the certificate is not one of a TPM's endorsement key") from error
    if issuer is None:
        raise ValueError("the endorsement key's certificate does not say which key issued it")
    return f"{maker}-KeyId-{issuer.hex()}"


def url(folder: Path) -> str | None:
    """The URL that this host's AIK task enrols at; None without a TPM or an EK certificate."""
    path = folder / "tpm.json"
    names = json.loads(path.read_text("utf-8")).get("EkCertificates", []) if path.exists() else []
    if not names:
        return None
    certificate = x509.load_pem_x509_certificate((folder / names[0]).read_bytes())
    return f"https://{label(certificate)}.{DOMAIN}/templates/Aik/scep"


def write(folder: Path, maker: str, key_id: str | None) -> None:
    """Gives the host a TPM, with an EK certificate if there is a key identifier."""
    document: dict[str, object] = {"Present": True, "ManufacturerIdTxt": maker}
    if key_id is not None:
        certificate = endorsement_certificate(maker, key_id)
        (folder / _EK_FILE).write_text(pki.to_pem(certificate), "ascii")
        document["EkCertificates"] = [_EK_FILE]
        registry.write(folder, f"{EK_STORE}\\{pki.thumbprint(certificate)}", {"Blob": _blob(certificate)})
    (folder / "tpm.json").write_text(json.dumps(document), "ascii")


def _blob(certificate: x509.Certificate) -> bytes:
    """A certificate as Windows' stores in the registry hold it: numbered properties, the last of them the DER."""
    der = certificate.public_bytes(pki.DER)
    properties = ((3, bytes.fromhex(pki.thumbprint(certificate))), (32, der))
    return b"".join(struct.pack("<III", number, 1, len(data)) + data for number, data in properties)


def record(folder: Path, hresult: int, public_key: bytes | None = None) -> None:
    """Writes what Windows keeps of the last AIK enrolment, and that there is an AIK where one was made."""
    registry.write(folder, NGC, {"ErrorCode": hresult})
    if public_key is not None:
        digest = hashes.Hash(hashes.SHA256())
        digest.update(public_key)
        registry.write(folder, WMI, {"WindowsAIKHash": digest.finalize()})


def task_enabled(folder: Path) -> bool:
    """Whether the host has the AIK task enabled; a host without a list of its own has it so."""
    path = folder / "tasks.json"
    if not path.exists():
        return True
    tasks = json.loads(path.read_text("utf-8")).get("tasks", {})
    own = next((entry for name, entry in tasks.items() if name.casefold() == TASK.casefold()), None)
    return own is not None and own.get("Enabled", True) is not False


def write_task(folder: Path, *, enabled: bool, last_result: int | None, last_run: datetime | None) -> None:
    """Gives the host a list of tasks with the AIK task alone, as Windows has it."""
    task = {
        "Enabled": enabled,
        "LastRunTime": None if last_run is None else last_run.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "LastTaskResult": 0x41303 if last_result is None else last_result,
        "Principal": {"Id": "LocalSystem", "UserId": "SYSTEM", "LogonType": 5, "RunLevel": 0},
        "Settings": {"StartWhenAvailable": True, "RunOnlyIfNetworkAvailable": True, "ExecutionTimeLimit": "PT1H"},
        "Actions": [{"Type": 5, "ClassId": "{47E30D54-DAC1-473A-AFF7-2355BF78881F}", "Data": "AIKCertEnroll"}],
    }
    (folder / "tasks.json").write_text(
        json.dumps({"service": "running", "folders": {}, "tasks": {TASK: task}}), "ascii"
    )
