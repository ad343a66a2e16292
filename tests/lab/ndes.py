r"""An NDES played for the lab: the SCEP service of a Windows CA over HTTP and HTTPS, with a TLS chain to choose.

    with Ndes("ndes01.lab.example", address="127.0.0.21") as ndes:
        ndes.trusted_root                 # what a healthy host has in LocalMachine\Root
        ndes.chain = "expired"            # from the next connection on
        ndes.site.mode = "503"
        ndes.url("https")

It answers GetCACaps and GetCACert as Windows Server does: three certificates in a certs-only PKCS#7, the two of the
registration authority among them. PKIOperation is short: a bare PKCS#10 request is answered with the bare certificate,
or with why there is none, instead of signed and enveloped messages. What Windows answers to GetCACaps, and that a bare
GET of mscep.dll gives 403: Microsoft's Intune documentation and bug reports of SCEP clients.
"""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from tests.lab import pki
from tests.lab.site import Answer, Request, Site, error_page

CAPABILITIES = ("POSTPKIOperation", "Renewal", "SHA-512", "SHA-256", "SHA-1", "DES3")
PATH = "/certsrv/mscep/mscep.dll/pkiclient.exe"
ADMIN_PATH = "/certsrv/mscep_admin"
CRL_FOLDER = "/CertEnroll"
PKI_MESSAGE = "application/x-pki-message"
BAD_REQUEST = 2

CHAINS = (
    "good",
    "unknown_root",
    "unknown_root_sent",
    "missing_intermediate",
    "wrong_name",
    "expired",
    "not_yet_valid",
    "revoked",
    "crl_unreachable",
    "wrong_usage",
    "no_common_protocol",
    "intercepted",
    "client_certificate",
    "client_certificate_tls12",
)
"""`unknown_root` presents leaf and intermediate as servers do, `unknown_root_sent` the root as well. `intercepted`
has a leaf for the right name from an inspection authority (`Pki.inspection`), which hosts may trust or not."""


class UnknownChainError(ValueError):
    """There is no such chain."""

    def __init__(self, chain: str) -> None:
        """Name those that there are."""
        super().__init__(f"{chain} is not one of the chains {', '.join(CHAINS)}")


class Pki:
    """The authorities of the lab's Windows PKI and those that are not part of it. A fleet can share one.

    Attributes:
        crl_urls: where the revocation lists of `root` and `issuing` are, by these names. `issuing-1` is the same list
            at another place: revoked certificates name that one, as hosts keep what they fetched until its next update.
    """

    def __init__(self, crl_base: str, organization: str = "Lab") -> None:
        """Make the root and what hangs below it; the revocation lists are to be below `crl_base`."""
        self.crl_urls = {name: f"{crl_base}{CRL_FOLDER}/{name}.crl" for name in ("root", "issuing", "issuing-1")}
        self.root = pki.Authority.root("Lab Root CA", organization=organization)
        self.issuing = self.root.intermediate(
            "Lab Issuing CA 1", organization=organization, key_type="rsa", crl_url=self.crl_urls["root"]
        )
        self.inspection = pki.Authority.root("Lab Web Inspection", organization=organization)

    @cached_property
    def stranger(self) -> pki.Authority:
        """An issuing authority below a root that no host knows."""
        return pki.Authority.root("Unknown Root CA", organization="Strangers").intermediate(
            "Unknown Issuing CA", organization="Strangers"
        )

    @cached_property
    def registration_authority(self) -> tuple[pki.Leaf, pki.Leaf]:
        """The two certificates that NDES signs and decrypts with."""
        return (
            self.issuing.leaf("NDES01-MSCEP-RA", dns_names=[], usages=[pki.CERTIFICATE_REQUEST_AGENT], key_type="rsa"),
            self.issuing.leaf("NDES01-MSCEP-RA", dns_names=[], usages=[pki.CERTIFICATE_REQUEST_AGENT], key_type="rsa"),
        )


class Ndes:
    """The service, from start() to stop(), or as a context manager.

    Attributes:
        capabilities: the lines that GetCACaps answers.
        single_certificate: GetCACert answers with the CA's certificate alone, as servers without an RA do.
        https_only: SCEP over HTTP is answered with 403, as by a site that wants TLS.
        refusal: the FailInfo that every request is refused with; None to issue what is asked for.
        site: modes, clock and what was asked.
    """

    def __init__(
        self,
        name: str,
        *,
        address: str = "127.0.0.1",
        http_port: int = 0,
        https_port: int | None = 0,
        authorities: Pki | None = None,
        capabilities: Sequence[str] = CAPABILITIES,
        organization: str = "Lab",
    ) -> None:
        """Bind the ports, 0 for any that is free; HTTP is always served, as the revocation lists come over it.

        Raises:
            OSError: the address or a port cannot be had.
        """
        self.name = name
        self._chain = "good"
        self.capabilities = capabilities
        self.single_certificate = False
        self.https_only = False
        self.refusal: int | None = None
        self._leaves: dict[str, pki.Leaf] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="ndes-")
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.site = Site(self._answer, address, http_port=http_port, https_port=https_port, tls=self._context)
        self.pki = authorities or Pki(f"http://{address}:{self.site.port('http')}", organization)

    @property
    def chain(self) -> str:
        """One of `CHAINS`; a new one takes effect with the next connection.

        Raises:
            UnknownChainError: there is no such chain.
        """
        return self._chain

    @chain.setter
    def chain(self, chain: str) -> None:
        if chain not in CHAINS:
            raise UnknownChainError(chain)
        self._chain = chain

    @property
    def trusted_root(self) -> str:
        """The root that healthy hosts trust, as PEM."""
        return self.pki.root.pem

    @property
    def intermediate(self) -> str:
        """The authority below that root, as PEM."""
        return self.pki.issuing.pem

    def url(self, scheme: str = "https") -> str:
        """The service's URL, as it stands in a SCEP profile; the port only where it is not the scheme's own."""
        port = self.site.port(scheme)
        suffix = "" if port == {"http": 80, "https": 443}[scheme] else f":{port}"
        return f"{scheme}://{self.name}{suffix}{PATH}"

    def start(self) -> Ndes:
        """Begin to answer."""
        self.site.start()
        return self

    def stop(self) -> None:
        """Let go of everything; can be called twice."""
        self.site.stop()
        self._folder.cleanup()

    def __enter__(self) -> Ndes:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def leaf(self, chain: str) -> pki.Leaf:
        """Issue the server's certificate for a chain."""
        issuing, listed = self.pki.issuing, self.pki.crl_urls["issuing"]
        if chain in ("unknown_root", "unknown_root_sent"):
            return self.pki.stranger.leaf(self.name)
        if chain == "intercepted":
            return self.pki.inspection.leaf(self.name)
        if chain == "wrong_name":
            return issuing.leaf(f"old-{self.name}", crl_url=listed)
        if chain == "expired":
            return issuing.leaf(self.name, validity=pki.EXPIRED, crl_url=listed)
        if chain == "not_yet_valid":
            return issuing.leaf(self.name, validity=pki.NOT_YET_VALID, crl_url=listed)
        if chain == "wrong_usage":
            return issuing.leaf(self.name, usages=[pki.CLIENT_AUTH], crl_url=listed)
        if chain == "crl_unreachable":
            return issuing.leaf(self.name, crl_url=f"http://{self.site.address}:{closed_port(self.site.address)}/a.crl")
        if chain == "revoked":
            leaf = issuing.leaf(self.name, crl_url=self.pki.crl_urls["issuing-1"])
            issuing.revoke(leaf)
            return leaf
        return issuing.leaf(self.name, crl_url=listed)

    def _context(self) -> ssl.SSLContext:
        chain = self._chain
        if chain not in self._contexts:
            self._contexts[chain] = self._build(chain)
        return self._contexts[chain]

    @property
    def served(self) -> pki.Leaf:
        """The certificate that the server presents with the present chain."""
        if self._chain not in self._leaves:
            self._leaves[self._chain] = self.leaf(self._chain)
        return self._leaves[self._chain]

    def _build(self, chain: str) -> ssl.SSLContext:
        leaf = self.served
        path = Path(self._folder.name) / f"{chain}.pem"
        leaf.write(path, chain=chain != "missing_intermediate")
        if chain == "unknown_root_sent":
            path.write_text(leaf.key_pem + leaf.chain_pem(), encoding="ascii")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if chain == "no_common_protocol":
            with warnings.catch_warnings():  # that it is out of date is the point
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
                context.set_ciphers("DEFAULT:@SECLEVEL=0")
        if chain.startswith("client_certificate"):
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.trusted_root)
            if chain.endswith("tls12"):
                context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _answer(self, request: Request) -> Answer:
        path = request.path.lower()
        if path.startswith(CRL_FOLDER.lower()):
            authority = self.pki.root if path.endswith("/root.crl") else self.pki.issuing
            return Answer(200, authority.crl_der(), "application/pkix-crl")
        if path.startswith(ADMIN_PATH):
            return error_page(401)
        if not path.startswith("/certsrv/mscep/mscep.dll"):
            return error_page(404)
        if self.https_only and request.scheme == "http":
            return error_page(403)
        if request.operation == "GetCACaps":
            return Answer(200, "".join(f"{line}\n" for line in self.capabilities).encode("ascii"), "text/plain")
        if request.operation == "GetCACert":
            return self._ca_certificates()
        if request.operation == "PKIOperation" and request.method == "POST":
            return issue(self.pki.issuing, request, self.refusal)
        return error_page(403 if not request.operation else 400)

    def _ca_certificates(self) -> Answer:
        if self.single_certificate:
            der = self.pki.issuing.certificate.public_bytes(pki.DER)
            return Answer(200, der, "application/x-x509-ca-cert")
        certificates = [leaf.certificate for leaf in self.pki.registration_authority]
        certificates.append(self.pki.issuing.certificate)
        body = pkcs7.serialize_certificates(certificates, pki.DER)
        return Answer(200, body, "application/x-x509-ca-ra-cert")


def issue(authority: pki.Authority, request: Request, refusal: int | None = None) -> Answer:
    """Answer a PKIOperation: with a certificate, or as failed with this FailInfo (2: bad request)."""
    if refusal is None:
        try:
            signed = authority.sign_request(x509.load_der_x509_csr(request.body))
        except (ValueError, TypeError):
            refusal = BAD_REQUEST
        else:
            return Answer(200, signed.public_bytes(pki.DER), PKI_MESSAGE)
    return Answer(200, json.dumps({"pkiStatus": 2, "failInfo": refusal}).encode(), PKI_MESSAGE)


def closed_port(address: str = "127.0.0.1") -> int:
    """A port that nobody listens on: connections to it are refused."""
    with socket.create_server((address, 0)) as listener:
        return int(listener.getsockname()[1])
