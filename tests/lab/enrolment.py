r"""SCEP enrolment played for one simulated host, as the host: what Windows' client asks, and what it leaves behind.

    python -m tests.lab.enrolment FOLDER all            # every profile, and the AIK where Windows would
    python -m tests.lab.enrolment FOLDER profile ID
    python -m tests.lab.enrolment FOLDER aik

It asks GetCACaps and GetCACert of the URL in the host's own registry, compares the CA's thumbprint, requests a
certificate, and writes the event 86, 87 or 88 into the host's Application log, the profile's state into its registry,
and the certificate into its store. A JSON line a try goes to standard output. It is started by programs.py's programs
on the host, or by Fleet.enrol().
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from cryptography.x509.oid import NameOID

from tests.lab import enrolment_log, pki, registry, store, tpm
from tests.lab.scep import TIMEOUT, Answer, Client
from tests.lab.scep_error import EnrolmentError, other_error

PROFILES = "HKLM\\SOFTWARE\\Microsoft\\SCEP\\MS DM Server"
# The values of Status in Microsoft's documentation of the provider ClientCertificateInstall.
SUCCEEDED, FAILED = 1, 16

_FAILURES = {
    0: (0x80090008, "Invalid algorithm specified.", "NTE_BAD_ALGID"),
    1: (0x80090006, "Invalid signature.", "NTE_BAD_SIGNATURE"),
    2: (0x80094014, "The request is denied.", "CERTSRV_E_ADMIN_DENIED_REQUEST"),
    3: (0x800B0101, "A certificate is not within its validity period.", "CERT_E_EXPIRED"),
    4: (0x80092004, "Cannot find object or property.", "CRYPT_E_NOT_FOUND"),
}
_FAILURE_NAMES = ("bad algorithm", "bad message check", "bad request", "bad time", "bad certificate id")


class UnknownProfileError(LookupError):
    """The host has no such profile."""


@dataclass(frozen=True)
class Enrolment:
    """One try at one URL.

    Attributes:
        event_id: 86, 87 or 88.
        url: as the profile has it.
        stage: the step that it ended at.
        hresult: 0 for success.
        thumbprint: of the certificate that came of it.
    """

    event_id: int
    url: str
    stage: str
    hresult: int
    thumbprint: str | None = None


class _RefusedError(Exception):
    """The server has answered, and there is no certificate."""

    def __init__(self, error: EnrolmentError, message: str) -> None:
        super().__init__(message)
        self.error = error


def enrol_profile(folder: Path, profile: str, *, timeout: float = TIMEOUT) -> list[Enrolment]:
    """Enrols for a SCEP profile of the device: its URLs in order, until one gives a certificate.

    Raises:
        UnknownProfileError: the host has no such profile.
    """
    key = f"{PROFILES}\\{profile}"
    server, pin, subject = (
        str(registry.read(folder, f"{key}\\Install", name) or "")
        for name in ("ServerURL", "CAThumbprint", "SubjectName")
    )
    if not server:
        raise UnknownProfileError(f"the host has no SCEP profile {profile} with a ServerURL")
    done: list[Enrolment] = []
    for url in (part.strip() for part in server.split(";") if part.strip()):
        enrolment, issued = _enrol(folder, url, pin, subject, timeout)
        done.append(enrolment)
        if issued is not None:
            store.put(folder, "my", issued.certificate, key=issued.key)
            registry.write(
                folder, key, {"Status": SUCCEEDED, "ErrorCode": 0, "CertThumbprint": enrolment.thumbprint or ""}
            )
            return done
    # A certificate that an earlier enrolment gave stays, and so does its thumbprint.
    registry.write(folder, key, {"Status": FAILED, "ErrorCode": done[-1].hresult} if done else {"Status": FAILED})
    return done


def enrol_aik(folder: Path, *, timeout: float = TIMEOUT) -> list[Enrolment]:
    """Enrols for an attestation identity key, as the AIK task does; nothing without an EK certificate."""
    url = tpm.url(folder)
    if url is None:
        return []
    enrolment, issued = _enrol(folder, url, "", "", timeout)
    public = None if issued is None else issued.key.public_key()
    tpm.record(
        folder,
        enrolment.hresult,
        None if public is None else public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )
    return [enrolment]


def enrol_all(folder: Path, *, timeout: float = TIMEOUT) -> list[Enrolment]:
    """What a host does by itself as time goes by: its profiles, and the AIK if its task is enabled and it has none."""
    profiles = registry.subkeys(folder, PROFILES)
    done = [each for profile in profiles for each in enrol_profile(folder, profile, timeout=timeout)]
    if tpm.task_enabled(folder) and registry.read(folder, tpm.NGC, "ErrorCode") != 0:
        done += enrol_aik(folder, timeout=timeout)
    return done


def _enrol(folder: Path, url: str, pin: str, subject: str, timeout: float) -> tuple[Enrolment, pki.Leaf | None]:
    client = Client(folder, timeout=timeout)
    key = pki.new_key()
    event_id, stage, method = 86, "GetCACaps", "GET"
    message = stage
    error: EnrolmentError | None = None
    certificate: x509.Certificate | None = None
    begun = time.monotonic()
    try:
        client.get(url, stage)
        stage = message = "GetCACert"
        begun = time.monotonic()
        _check_authority(client.get(url, stage), pin)
        event_id, stage, method, message = 87, "Submit", "POST", "Submit"
        begun = time.monotonic()
        answer = client.post(url, "PKIOperation", _request(folder, subject, key))
        stage = "ProcessResponseMessage"
        certificate = _issued(answer)
        event_id, message = 88, "PkiStatus(0): success\r\n"
    except EnrolmentError as failure:
        error = failure
        message = f"{message}\r\n{failure.answer}" if failure.answer else message
    except _RefusedError as refusal:
        error, message = refusal.error, str(refusal)
    spent = round((time.monotonic() - begun) * 1000)
    enrolment_log.write(
        folder, event_id, url, message, f"{method}({spent}ms)", stage, None if error is None else error.code_text
    )
    thumbprint = None if certificate is None else pki.thumbprint(certificate)
    done = Enrolment(event_id, url, stage, 0 if error is None else error.hresult, thumbprint)
    return done, None if certificate is None else pki.Leaf(certificate, key)


def _check_authority(answer: Answer, pin: str) -> None:
    """Refuses an answer to GetCACert without certificates, or without the one that the profile names."""
    try:
        if answer.content_type == "application/x-x509-ca-ra-cert":
            found = pkcs7.load_der_pkcs7_certificates(answer.body)
        else:
            found = [x509.load_der_x509_certificate(answer.body)]
    except ValueError as error:
        raise other_error(0x8009310B, "ASN1 bad tag value met.", "CRYPT_E_ASN1_BADTAG") from error
    wanted = pin.replace(" ", "").upper()
    if wanted and wanted not in [pki.thumbprint(certificate) for certificate in found]:
        raise other_error(0x80091007, "The hash value is not correct.", "CRYPT_E_HASH_VALUE")


def _request(folder: Path, subject: str, key: pki.Key) -> bytes:
    try:
        name = x509.Name.from_rfc4514_string(subject)
    except ValueError:
        name = x509.Name([])
    if not list(name):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, enrolment_log.computer(folder))])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256()).public_bytes(pki.DER)


def _issued(answer: Answer) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(answer.body)
    except ValueError:
        pass
    try:
        number = json.loads(answer.body)["failInfo"]
        code, name = _FAILURES[number], _FAILURE_NAMES[number]
    except (ValueError, LookupError, TypeError) as error:
        raise other_error(0x8009310B, "ASN1 bad tag value met.", "CRYPT_E_ASN1_BADTAG") from error
    raise _RefusedError(other_error(*code), f"PkiStatus(2): failure\r\nFailInfo({number}): {name}\r\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Enrols for what the arguments name, and returns 0 if something was tried, however it ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.enrolment")
    parser.add_argument("folder", type=Path)
    parser.add_argument("what", choices=("all", "aik", "profile"))
    parser.add_argument("profile", nargs="?", default="")
    parser.add_argument("--timeout", type=float, default=TIMEOUT)
    options = parser.parse_args(arguments)
    try:
        if options.what == "profile":
            done = enrol_profile(options.folder, options.profile, timeout=options.timeout)
        else:
            enrol = enrol_all if options.what == "all" else enrol_aik
            done = enrol(options.folder, timeout=options.timeout)
    except UnknownProfileError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for each in done:
        sys.stdout.write(json.dumps(each.__dict__) + "\n")
    result = os.environ.get("LAB_TASK_RESULT")
    if result and done:
        Path(result).write_text(f"{done[-1].hresult:#x}\n", "ascii")
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
