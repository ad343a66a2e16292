"""What trust_chain refuses, each with the sentence that says what is missing, and that nothing is written then."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration.host_state import (
    set_key,
    snapshot,
    undo_records,
)
from tests.integration.module_process import ModuleHost
from tests.lab import pki
from tests.lab.engine import Engine
from tests.lab.pki import Authority, sha256, thumbprint

POLICY = "SOFTWARE\\Policies\\Microsoft\\SystemCertificates\\{0}\\Certificates\\{1}"
VERSION_1 = """-----BEGIN CERTIFICATE-----
MIIBLTCB1QIULxY4DgnGbEC6hEDx2yKWhNTAJ9MwCgYIKoZIzj0EAwIwGTEXMBUG
A1UEAwwOVmVyc2lvbiAxIFJvb3QwIBcNMjYxMTI0MTQzOTA1WhgPMjEyNjEwMzEx
NDM5MDVaMBkxFzAVBgNVBAMMDlZlcnNpb24gMSBSb290MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEzrX+z5+FHxnIw6QO2KGQpGzsZcbHV7G64d84czWG6R1BZnG9
I2drp6fJ7wp0fguMgFr3iNQFZVC0VPdOSwEqjDAKBggqhkjOPQQDAgNHADBEAiBS
tgXhzwJCAcfAazb73JGju0WU8PzP9XWT2fHkD/MG0AIgAK9znGEhtxoDD1vejSCe
hSYd+mCv/aNZk4/kaqU4+qU=
-----END CERTIFICATE-----
"""


@pytest.fixture
def host(engine: Engine, tmp_path: Path) -> Iterator[ModuleHost]:
    with ModuleHost(engine, tmp_path / "client1", "trust_chain") as started:
        yield started


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority.root("Lab Root CA")


@pytest.fixture(scope="module")
def issuing(root: Authority) -> Authority:
    return root.intermediate("Lab Issuing CA 1")


def custom_ca(name: str, *, signs_certificates: bool = True, ca: bool = True) -> Authority:
    """A self-signed certificate with something amiss."""
    key = pki.new_key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    model = pki.Authority.root("Model").certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not signs_certificates:
        usage = x509.KeyUsage(False, False, False, False, False, False, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def forged(issuing: Authority) -> str:
    """The same names and key ids as the issuing authority has, signed with another key."""
    certificate = issuing.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
    )
    for extension in certificate.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return pki.to_pem(builder.sign(Authority.root("Forger").key, hashes.SHA256()))


NOT_A_CA = (
    " is not a CA certificate (basic constraints with CA true, key usage with certificate signing if there is one): "
    "a leaf is never trusted as such; give the CA certificates above it."
)
CLOCK = "; this host's clock says {time}."
# The reason and the sentence about each certificate of one run, in its order.
REFUSALS = [
    ("not_a_ca", "1, block 1 (CN=ndes01.lab.example)" + NOT_A_CA),
    ("not_a_ca", "1, block 2 (CN=Pinned and self-signed)" + NOT_A_CA),
    ("not_a_ca", "1, block 3 (CN=Signs lists only)" + NOT_A_CA),
    ("not_a_ca", "1, block 4 (CN=Version 1 Root)" + NOT_A_CA),
    ("expired", "2, block 1 (CN=Old Root CA, O=Lab) expired at {time}" + CLOCK),
    ("expired", "2, block 2 (CN=Old Issuing CA, O=Lab) expired at {time}" + CLOCK),
    ("not_yet_valid", "2, block 3 (CN=Young Root CA, O=Lab) is not valid before {time}" + CLOCK),
    (
        "distrusted",
        "3, block 1 (CN=Distrusted CA, O=Lab) is in LocalMachine\\Disallowed, so Windows would not trust it: "
        "take it out there first, if that is right.",
    ),
    (
        "root_not_pinned",
        "4, block 1 (CN=Unpinned Root CA, O=Lab) is a root whose SHA-256 is not in pins: check {sha256} with whoever "
        "runs that CA, over another way than the one the certificate came by, and add it.",
    ),
    (
        "chain_incomplete",
        "4, block 2 (CN=Below it, O=Lab): its chain ends at CN=Unpinned Root CA, O=Lab, which is neither a pinned root "
        "among certificates nor trusted on this host already: add that root to certificates and its SHA-256 to pins.",
    ),
    (
        "chain_incomplete",
        "4, block 3 (CN=Far below it, O=Lab): the certificate of its issuer CN=Missing link, O=Lab is missing: "
        "add it to certificates.",
    ),
    (
        "chain_incomplete",
        "5, block 1 (CN=Rootless CA, O=Lab): the certificate of its issuer CN=Namesake, O=Lab is missing: "
        "add it to certificates.",
    ),
    (
        "chain_invalid",
        "6, block 1 (CN=Third, O=Lab): its chain up to CN=Lab Root CA, O=Lab is not valid (InvalidBasicConstraints).",
    ),
    (
        "chain_invalid",
        "6, block 4 (CN=Lab Issuing CA 1, O=Lab): its chain up to CN=Lab Root CA, O=Lab is not valid "
        "(NotSignatureValid).",
    ),
]
DAMAGED = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_every_refusal_says_what_is_wrong(host: ModuleHost, root: Authority, issuing: Authority) -> None:
    self_signed = custom_ca("Pinned and self-signed", ca=False)
    no_signing = custom_ca("Signs lists only", signs_certificates=False)
    old, young = Authority.root("Old Root CA", validity=pki.EXPIRED), Authority.root("Young Root CA", validity=(1, 90))
    old_issuing = root.intermediate("Old Issuing CA", validity=pki.EXPIRED)
    distrusted, unpinned, namesake = (
        Authority.root(name) for name in ("Distrusted CA", "Unpinned Root CA", "Namesake")
    )
    rootless = Authority.root("Namesake").intermediate("Rootless CA")
    first = root.intermediate("First")  # with a path length of 0: one more below it is one too many
    second = first.intermediate("Second")
    third = second.intermediate("Third")
    pinned = [one.certificate for one in (self_signed, no_signing, old, young, distrusted, namesake, root)]
    key = POLICY.format("Disallowed", thumbprint(distrusted.certificate))
    set_key(host.folder, key, Blob=("Binary", "00"))
    before = snapshot(host.folder)

    done = host.fail(
        {
            "certificates": [
                issuing.leaf("ndes01.lab.example").pem + self_signed.pem + no_signing.pem + VERSION_1,
                old.pem + old_issuing.pem + young.pem,
                distrusted.pem,
                unpinned.pem
                + unpinned.intermediate("Below it").pem
                + unpinned.intermediate("Missing link").intermediate("Far below it").pem,
                rootless.pem + namesake.pem,
                third.pem + second.pem + first.pem + forged(issuing) + root.pem,
            ],
            "pins": [*(sha256(one) for one in pinned), sha256(x509.load_pem_x509_certificate(VERSION_1.encode()))],
        }
    )
    unreadable = host.fail({"certificates": [root.pem + DAMAGED, "/etc/ssl/ndes.cer"]})

    found = [(one["reason"], re.sub(r"[0-9-]{10}T[0-9:]{8}Z", "{time}", one["message"])) for one in done["refusals"]]
    expected = [
        (reason, f"certificates entry {text}".replace("{sha256}", sha256(unpinned.certificate)))
        for reason, text in REFUSALS
    ]
    assert found == expected
    assert (done["refused"], done["reason"]) == (True, "not_a_ca")
    messages = [one["message"] for one in done["refusals"]]
    assert done["msg"] == " ".join(["Refused, nothing was changed.", *messages])
    assert unreadable["reason"] == "invalid_certificate"
    assert unreadable["msg"] == (
        "Refused, nothing was changed. certificates entry 1, block 2 is damaged: it does not decode as an X.509 "
        "certificate. certificates entry 2 is not PEM: each certificate has to stand between a BEGIN CERTIFICATE and "
        "an END CERTIFICATE line."
    )
    assert snapshot(host.folder) == before
    assert undo_records(host.folder) == []


def test_options_that_cannot_be(host: ModuleHost, root: Authority) -> None:
    one = {"certificates": [root.pem]}
    given: list[dict[str, Any]] = [
        {**one, "pins": ["0" * 64, thumbprint(root.certificate)]},
        {"certificates": []},
        {"undo": "20260131T080000Z-0a1b2c3d"},
        {"undo": "..\\..\\Run"},
    ]
    assert [host.fail(arguments)["msg"] for arguments in given] == [
        "pins entry 2 is not a SHA-256: it has to have 64 hexadecimal digits. 40 are a SHA-1 thumbprint, "
        "which is not enough.",
        "certificates is empty: name at least one CA certificate, as PEM, or a change to undo.",
        "CLIENT1 has no undo record 20260131T080000Z-0a1b2c3d. undo_info lists those that it has.",
        "This is not a change id: it has the form YYYYMMDDTHHMMSSZ-xxxxxxxx, as in 20260131T080000Z-0a1b2c3d. "
        "undo_info lists those of a host.",
    ]


def test_a_private_key_is_not_repeated(host: ModuleHost, root: Authority) -> None:
    leaf = root.leaf("ndes01.lab.example")
    # Without the action plugin, which refuses it before.
    result = host.whole({"certificates": [root.pem, root.pem + leaf.key_pem]})
    assert result["reason"] == "private_key"
    assert result["invocation"]["module_args"]["certificates"] == "not shown, a private key is among them"
    assert leaf.key_pem.splitlines()[1] not in str(result)


def test_a_hostile_subject_is_data(host: ModuleHost) -> None:
    hostile = Authority.root("a\nb\x1b[31m {{ 1 + 1 }} $(Get-Date) \u202e", organization="Lab")
    refused = host.fail({"certificates": [hostile.pem]})
    done = host.one({"certificates": [hostile.pem], "pins": [sha256(hostile.certificate)]}, diff=True)
    assert "{{ 1 + 1 }} $(Get-Date)" in refused["msg"]
    for text in (refused["msg"], done["diff"]["after"].rstrip("\n")):
        assert not [character for character in text if not character.isprintable()]
    assert "a\nb\x1b[31m {{ 1 + 1 }} $(Get-Date) \u202e" in done["after"][0]["subject"]
    assert undo_records(host.folder)[0]["after"][0]["subject"] == done["after"][0]["subject"]
