"""What the lab's certificate factory makes, judged by a verifier that had no part in it."""

from __future__ import annotations

import ssl
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

from tests.lab import pki


@pytest.fixture(scope="module")
def root() -> pki.Authority:
    return pki.Authority.root("Lab Root CA")


@pytest.fixture(scope="module")
def issuing(root: pki.Authority) -> pki.Authority:
    return root.intermediate("Lab Issuing CA 1")


def verify(leaf: pki.Leaf, root: pki.Authority, name: str = "ndes01.lab.example", *, chain: bool = True) -> list[str]:
    """Return the subjects of the chain that was built, or raise VerificationError."""
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([root.certificate]))
        .build_server_verifier(x509.DNSName(name))
    )
    built = verifier.verify(leaf.certificate, list(leaf.issuers[:-1]) if chain else [])
    return [certificate.subject.rfc4514_string() for certificate in built]


def test_good_leaf(root: pki.Authority, issuing: pki.Authority) -> None:
    assert verify(issuing.leaf("ndes01.lab.example"), root) == [
        "CN=ndes01.lab.example",
        "CN=Lab Issuing CA 1,O=Lab",
        "CN=Lab Root CA,O=Lab",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"validity": pki.EXPIRED}, "cert is not valid at validation time"),
        ({"validity": pki.NOT_YET_VALID}, "cert is not valid at validation time"),
        ({"dns_names": ["other.lab.example"]}, "leaf certificate has no matching subjectAltName"),
        ({"usages": [pki.CLIENT_AUTH]}, "required EKU not found"),
    ],
)
def test_wrong_leaf(root: pki.Authority, issuing: pki.Authority, options: dict[str, Any], said: str) -> None:
    with pytest.raises(verification.VerificationError, match=said):
        verify(issuing.leaf("ndes01.lab.example", **options), root)


def test_missing_intermediate_and_unknown_root(root: pki.Authority, issuing: pki.Authority) -> None:
    leaf = issuing.leaf("ndes01.lab.example")
    with pytest.raises(verification.VerificationError, match="candidates exhausted"):
        verify(leaf, root, chain=False)
    with pytest.raises(verification.VerificationError, match="candidates exhausted"):
        verify(leaf, pki.Authority.root("Lab Root CA"))


def test_revoked(issuing: pki.Authority) -> None:
    url = "http://127.0.0.9:8080/issuing.crl"
    leaf, other = issuing.leaf("a.lab.example", crl_url=url), issuing.leaf("b.lab.example", crl_url=url)
    issuing.revoke(leaf)
    crl = x509.load_der_x509_crl(issuing.crl_der())
    signer = issuing.certificate.public_key()
    assert isinstance(signer, ec.EllipticCurvePublicKey)
    assert crl.is_signature_valid(signer)
    assert crl.get_revoked_certificate_by_serial_number(leaf.certificate.serial_number) is not None
    assert crl.get_revoked_certificate_by_serial_number(other.certificate.serial_number) is None
    assert crl.next_update_utc is not None
    assert crl.next_update_utc > datetime.now(timezone.utc)
    points = leaf.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [name.value for point in points for name in point.full_name or ()] == [url]


def test_fingerprints_and_chain(root: pki.Authority, issuing: pki.Authority) -> None:
    assert pki.sha256(root.certificate) != pki.sha256(issuing.certificate)
    assert len(pki.sha256(root.certificate)) == 64
    assert len(pki.thumbprint(root.certificate)) == 40
    assert pki.thumbprint(root.certificate).isupper()
    assert issuing.leaf("a.lab.example").chain_pem().count("BEGIN CERTIFICATE") == 3
    assert issuing.leaf("a.lab.example").chain_pem(root=False).count("BEGIN CERTIFICATE") == 2


def test_file_is_what_a_tls_server_loads(issuing: pki.Authority, tmp_path: Path) -> None:
    path = issuing.leaf("ndes01.lab.example", key_type="rsa").write(tmp_path / "server.pem")
    assert path.stat().st_mode & 0o777 == 0o600
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(path)
