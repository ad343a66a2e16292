"""_Certificate.psm1: what it reads of certificates and of PEM, beside what another library reads."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from tests.integration.utility_script import UtilityHost
from tests.lab import pki
from tests.lab.engine import Engine


@pytest.fixture
def host(engine: Engine, tmp_path: Path) -> UtilityHost:
    return UtilityHost(engine, tmp_path / "client1", "_Certificate")


FACTS = ", @(ConvertFrom-ScepPem -Text $given | ForEach-Object { Get-ScepCertificateFact $_.Certificate })"
PROBLEMS = ", @(ConvertFrom-ScepPem -Text $given | ForEach-Object { , @($_.Name, $_.Reason, $_.Message) })"


def odd_certificate(*extensions: tuple[str, bytes]) -> x509.Certificate:
    """A self-signed certificate with extensions of any content."""
    key = pki.new_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odd")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2026, 1, 1), datetime(2036, 1, 1))
    for oid, content in extensions:
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), content), False)
    return builder.sign(key, hashes.SHA256())


def test_facts_are_those_that_another_library_reads(host: UtilityHost) -> None:
    root = pki.Authority.root("Lab Root CA")
    issuing = root.intermediate("Lab Issuing CA 1")
    names = ["ndes01.lab.example", "xn--bcher-kva.example"]
    leaf = issuing.leaf("ndes01.lab.example", dns_names=names).certificate

    found = host.run(FACTS, [pki.to_pem(leaf) + issuing.pem, "Bag Attributes\r\n" + root.pem.replace("\n", "\r\n")])

    assert [
        {key: fact[key] for key in ("subject", "issuer", "is_ca", "self_signed", "dns_names")} for fact in found
    ] == [
        {
            "subject": "CN=ndes01.lab.example",
            "issuer": "CN=Lab Issuing CA 1, O=Lab",
            "is_ca": False,
            "self_signed": False,
            "dns_names": ["ndes01.lab.example", "xn--bcher-kva.example"],
        },
        {
            "subject": "CN=Lab Issuing CA 1, O=Lab",
            "issuer": "CN=Lab Root CA, O=Lab",
            "is_ca": True,
            "self_signed": False,
            "dns_names": [],
        },
        {
            "subject": "CN=Lab Root CA, O=Lab",
            "issuer": "CN=Lab Root CA, O=Lab",
            "is_ca": True,
            "self_signed": True,
            "dns_names": [],
        },
    ]
    for fact, certificate in zip(found, (leaf, issuing.certificate, root.certificate), strict=True):
        above = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        assert above is not None
        assert fact["authority_key_identifier"] == above.hex()
        assert fact["subject_key_identifier"] == own.hex()
        assert int(fact["serial_number"], 16) == certificate.serial_number
        assert fact["thumbprint"] == pki.thumbprint(certificate)
        assert fact["sha256"] == pki.sha256(certificate)
        assert fact["not_before"] == certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert fact["not_after"] == certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert fact["pem"] == pki.to_pem(certificate)


def test_a_new_ca_key_certified_with_the_old_one_is_not_self_signed(host: UtilityHost) -> None:
    [fact] = host.run(FACTS, [pki.Authority.root("Lab Root CA").intermediate("Lab Root CA").pem])
    assert (fact["subject"], fact["issuer"]) == ("CN=Lab Root CA, O=Lab", "CN=Lab Root CA, O=Lab")
    assert fact["self_signed"] is False


def test_a_validity_is_utc_whatever_the_hosts_time_zone(host: UtilityHost) -> None:
    (host.folder / "environment").write_text("TZ=Asia/Tokyo\n", encoding="ascii")
    [fact] = host.run(FACTS, [pki.to_pem(odd_certificate())])
    assert (fact["not_before"], fact["not_after"]) == ("2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z")


def test_an_extension_that_is_not_der_says_nothing_and_breaks_nothing(host: UtilityHost) -> None:
    contents = [b"", b"\x30", b"\x30\x82", b"\x30\x84\xff\xff\xff\xff", b"\x30\x03\x82\x7fa", b"\x30\x80\x00\x00"]
    odd = [
        pki.to_pem(odd_certificate(*((oid, content) for oid in ("2.5.29.14", "2.5.29.17", "2.5.29.19", "2.5.29.35"))))
        for content in contents
    ]
    found = host.run(FACTS, odd)
    keys = ("subject_key_identifier", "authority_key_identifier", "dns_names", "is_ca")
    assert [tuple(fact[key] for key in keys) for fact in found] == [(None, None, [], False)] * 6


def test_a_long_list_of_names_is_read_whole(host: UtilityHost) -> None:
    names = [f"ndes{number:03}.lab.example" for number in range(300)]  # lengths of three octets in its DER
    [fact] = host.run(FACTS, [pki.Authority.root("Lab Root CA").leaf("a.example", dns_names=names).pem])
    assert fact["dns_names"] == names


def test_what_is_no_certificate_is_named(host: UtilityHost) -> None:
    root = pki.Authority.root("Lab Root CA")
    leaf = root.leaf("ndes01.lab.example")
    key_store = pkcs12.serialize_key_and_certificates(
        None, leaf.key, leaf.certificate, None, serialization.NoEncryption()
    )
    bundle = pkcs7.serialize_certificates([root.certificate], serialization.Encoding.DER)
    der = root.certificate.public_bytes(serialization.Encoding.DER)

    def block(content: bytes | str, label: str = "CERTIFICATE") -> str:
        text = content if isinstance(content, str) else base64.b64encode(content).decode("ascii")
        return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"

    not_pem = "is not PEM: each certificate has to stand between a BEGIN CERTIFICATE and an END CERTIFICATE line."
    not_one = "is not one X.509 certificate: give each certificate in a block of its own."
    given = {
        "": ("", not_pem),
        "no block": ("ndes.cer", not_pem),
        "no end": (root.pem.split("-----END")[0], not_pem),
        "one without an end": (root.pem + root.pem.split("-----END")[0], not_pem),
        "not base64": (block("a?b"), ", block 1 is damaged: what is between its BEGIN and END lines is not base64."),
        "empty": (block(""), ", block 1 " + not_one),
        "cut": (block(der[:-1]), ", block 1 is damaged: it does not decode as an X.509 certificate."),
        "more": (block(der + b"\x00"), ", block 1 " + not_one),
        "a key store": (block(key_store), ", block 1 " + not_one),
        "a bundle": (block(bundle), ", block 1 " + not_one),
        "a request": (block(der, "CERTIFICATE REQUEST"), ", block 1 is a CERTIFICATE REQUEST, not a certificate."),
    }
    found = host.run(PROBLEMS, [text for text, _unused in given.values()])
    problems = [(reason, message) for _unused, reason, message in found if reason]
    assert problems == [
        ("invalid_certificate", f"certificates entry {number}{text if text.startswith(',') else f' {text}'}")
        for number, (_unused, text) in enumerate(given.values(), 1)
    ]


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "rsa private key"])
def test_a_private_key_is_refused_and_never_quoted(host: UtilityHost, label: str) -> None:
    root = pki.Authority.root("Lab Root CA")
    key = f"-----BEGIN {label}-----\nc2VjcmV0\n"  # even without its end
    assert host.run(PROBLEMS, [root.pem, root.pem + key]) == [
        ["certificates entry 1, block 1", "", ""],
        [
            "certificates entry 2",
            "private_key",
            "certificates entry 2 holds a private key: give the certificates alone, and treat that key as disclosed.",
        ],
    ]
