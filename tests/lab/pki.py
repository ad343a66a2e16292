"""A certificate factory for the lab: roots, intermediates, leaves, and the ways in which one of them can be wrong.

    root = Authority.root("Lab Root CA")
    issuing = root.intermediate("Lab Issuing CA 1")
    server = issuing.leaf("ndes01.lab.example")                     # good for TLS from an hour ago, for 90 days
    server.chain_pem(root=False)                                    # what a server presents
    issuing.leaf("ndes01.lab.example", validity=EXPIRED)            # or NOT_YET_VALID, or a pair of days of your own
    issuing.leaf("ndes01.lab.example", dns_names=["other.example"], usages=[CLIENT_AUTH], crl_url="http://127.0.0.9:8080/a.crl")
    issuing.revoke(server); issuing.crl_der()

Keys are on the curve P-256, which costs no time; `key_type="rsa"` is for where the protocol needs RSA (SCEP's RA
certificates). Nothing is kept on disk but what the caller writes.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
KeyType = Literal["ec", "rsa"]
Days = tuple[float, float]  # from and to, in days from now

VALID: Days = (-1 / 24, 90)
EXPIRED: Days = (-90, -1)
NOT_YET_VALID: Days = (1, 90)
CA_VALID: Days = (-365, 3650)

DER = serialization.Encoding.DER
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
# An NDES server's two RA certificates come from templates with this usage.
CERTIFICATE_REQUEST_AGENT = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.1")


def new_key(key_type: KeyType = "ec") -> Key:
    """Make a private key: P-256, or RSA of 2048 bits."""
    if key_type == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Leaf:
    """An end entity's certificate with its key, and the authorities above it, nearest first."""

    certificate: x509.Certificate
    key: Key
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> str:
        """The certificate alone."""
        return to_pem(self.certificate)

    @property
    def key_pem(self) -> str:
        """The private key, PKCS#8, not encrypted: it is worth nothing outside the lab."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def chain_pem(self, *, root: bool = True) -> str:
        """The certificate and those above it, with the self-signed one only if `root`."""
        above = [issuer for issuer in self.issuers if root or issuer.subject != issuer.issuer]
        return "".join(to_pem(certificate) for certificate in (self.certificate, *above))

    def write(self, path: Path, *, chain: bool = True) -> Path:
        """Write key, certificate and, if `chain`, the intermediates to one PEM file as `ssl` loads it."""
        path.touch(mode=0o600)
        path.write_text(self.key_pem + (self.chain_pem(root=False) if chain else self.pem), encoding="ascii")
        return path


@dataclass
class Authority:
    """A certification authority: its certificate and key, and what it has revoked."""

    certificate: x509.Certificate
    key: Key
    parent: Authority | None = None
    revoked: dict[int, datetime] = field(default_factory=dict)

    @classmethod
    def root(
        cls, name: str, *, organization: str = "Lab", validity: Days = CA_VALID, key_type: KeyType = "ec"
    ) -> Authority:
        """Make a self-signed root."""
        key = new_key(key_type)
        subject = _name(name, organization)
        builder = _ca_builder(subject, key, validity, path_length=None).issuer_name(subject)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
        return cls(builder.sign(key, hashes.SHA256()), key)

    def intermediate(
        self,
        name: str,
        *,
        organization: str = "Lab",
        validity: Days = (-300, 1825),
        key_type: KeyType = "ec",
        crl_url: str | None = None,
    ) -> Authority:
        """Make a subordinate authority; `crl_url` is where this authority's own revocation is looked up."""
        key = new_key(key_type)
        builder = _ca_builder(_name(name, organization), key, validity, path_length=0)
        return Authority(self._sign(builder, crl_url), key, parent=self)

    def leaf(
        self,
        common_name: str,
        *,
        dns_names: Sequence[str] | None = None,
        ip_addresses: Sequence[str] = (),
        usages: Sequence[x509.ObjectIdentifier] = (SERVER_AUTH,),
        validity: Days = VALID,
        crl_url: str | None = None,
        issuer_url: str | None = None,
        key_type: KeyType = "ec",
        organization: str | None = None,
    ) -> Leaf:
        """Issue a certificate.

        Args:
            common_name: the subject's CN; also the only DNS name unless `dns_names` says otherwise (empty: no SAN).
            dns_names: the subject alternative name's DNS names.
            ip_addresses: the subject alternative name's IP addresses.
            usages: extended key usages; empty leaves the extension out, which means any.
            validity: days from now, two numbers.
            crl_url: the CRL distribution point; without one nobody can look up whether it is revoked.
            issuer_url: where the issuer's certificate can be fetched, for those that lack it.
            key_type: `ec` or `rsa`.
            organization: the subject's O, none by default.
        """
        key = new_key(key_type)
        builder = _builder(_name(common_name, organization), key.public_key(), validity)
        names: list[x509.GeneralName] = [
            x509.DNSName(name) for name in ([common_name] if dns_names is None else dns_names)
        ]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ip_addresses]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(_key_usage(digital_signature=True, key_encipherment=key_type == "rsa"), True)
        if issuer_url:
            place = x509.UniformResourceIdentifier(issuer_url)
            access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), False)
        return Leaf(self._sign(builder, crl_url), key, issuers=self.chain)

    def sign_request(self, request: x509.CertificateSigningRequest, *, validity: Days = VALID) -> x509.Certificate:
        """Issue a client's certificate for what a PKCS#10 request asks."""
        public_key = request.public_key()
        if not isinstance(public_key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
            raise TypeError(f"a key on a curve or an RSA key is needed, not {public_key}")
        builder = _builder(request.subject, public_key, validity)
        builder = builder.add_extension(x509.ExtendedKeyUsage([CLIENT_AUTH]), False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        return self._sign(builder.add_extension(_key_usage(digital_signature=True), True), None)

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """This authority's certificate and those above it."""
        return (self.certificate, *(self.parent.chain if self.parent else ()))

    @property
    def pem(self) -> str:
        """This authority's certificate alone."""
        return to_pem(self.certificate)

    def revoke(self, issued: Leaf | Authority) -> None:
        """Put a certificate on this authority's list, as of an hour ago."""
        self.revoked[issued.certificate.serial_number] = _now() - timedelta(hours=1)

    def crl_der(self, *, validity: Days = (-1 / 24, 7)) -> bytes:
        """Sign the list of what is revoked; `validity` gives this and the next update in days from now."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(_now() + timedelta(days=validity[0]))
            .next_update(_now() + timedelta(days=validity[1]))
            .add_extension(x509.CRLNumber(1), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
        )
        for serial, date in self.revoked.items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(date).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(DER)

    def _sign(self, builder: x509.CertificateBuilder, crl_url: str | None) -> x509.Certificate:
        builder = builder.issuer_name(self.certificate.subject).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False
        )
        if crl_url:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), False)
        return builder.sign(self.key, hashes.SHA256())


def to_pem(certificate: x509.Certificate) -> str:
    """Encode as PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def sha256(certificate: x509.Certificate) -> str:
    """Fingerprint in the form that the collection pins: 64 lower hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def thumbprint(certificate: x509.Certificate) -> str:
    """Fingerprint in the form that Windows shows: 40 upper hex digits of SHA-1."""
    der = certificate.public_bytes(DER)
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def _name(common_name: str, organization: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, key: PublicKey, validity: Days) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() + timedelta(days=validity[0]))
        .not_valid_after(_now() + timedelta(days=validity[1]))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
    )


def _ca_builder(subject: x509.Name, key: Key, validity: Days, *, path_length: int | None) -> x509.CertificateBuilder:
    builder = _builder(subject, key.public_key(), validity)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), True)
    return builder.add_extension(_key_usage(digital_signature=True, key_cert_sign=True, crl_sign=True), True)


def _key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
