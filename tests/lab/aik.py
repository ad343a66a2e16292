"""Microsoft's AIK service played for the lab: the SCEP service that issues attestation identity key certificates.

    with AikService(address="127.0.0.31", https_port=443) as service:
        service.authorities.add("ifx-keyid-18b1…")   # else 404, as for most TPMs in the field
        service.site.mode = "429"

A host's `hosts` file leads `<MAKER>-KeyId-<40 hex digits>.microsoftaik.azure.net` here. The certificate is for all
names below microsoftaik.azure.net and comes from an authority whose subject is Microsoft's, under a root of the lab's.
"""

from __future__ import annotations

import json
import ssl
import tempfile
from pathlib import Path

from tests.lab import pki
from tests.lab.ndes import CAPABILITIES, issue
from tests.lab.site import Answer, Request, Site, error_page

DOMAIN = "microsoftaik.azure.net"
PATH = "/templates/aik/scep"


class AikService:
    """The service, from start() to stop(), or as a context manager.

    Attributes:
        authorities: the first labels of the host names that it has an authority for, in lower case.
        intercepted: the certificate comes from `inspection`, as behind TLS inspection.
        root: what healthy hosts trust.
        site: modes, clock and what was asked.
    """

    def __init__(self, *, address: str = "127.0.0.1", https_port: int = 0) -> None:
        """Bind the port, 0 for any that is free; real clients always use 443.

        Raises:
            OSError: the address or the port cannot be had.
        """
        self.authorities: set[str] = set()
        self.intercepted = False
        self.root = pki.Authority.root("Lab Global Root G2", organization="Lab Trust Services")
        self.issuing = self.root.intermediate("Lab Azure RSA TLS Issuing CA 04", organization="Microsoft Corporation")
        self.inspection = pki.Authority.root("Lab Web Inspection")
        self._folder = tempfile.TemporaryDirectory(prefix="aik-")
        self._contexts = {
            False: self._build(self.issuing, "own.pem"),
            True: self._build(self.inspection, "intercepted.pem"),
        }
        self.site = Site(
            self._answer,
            address,
            http_port=None,
            https_port=https_port,
            tls=lambda: self._contexts[self.intercepted],
        )

    def start(self) -> AikService:
        """Begin to answer."""
        self.site.start()
        return self

    def stop(self) -> None:
        """Let go of everything; can be called twice."""
        self.site.stop()
        self._folder.cleanup()

    def __enter__(self) -> AikService:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _build(self, issuer: pki.Authority, file: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf = issuer.leaf(f"*.{DOMAIN}", organization="Microsoft Corporation")
        context.load_cert_chain(leaf.write(Path(self._folder.name) / file))
        return context

    def _answer(self, request: Request) -> Answer:
        if request.path.lower() != PATH:
            return error_page(404)
        host = (request.headers.get("Host") or "").partition(":")[0].lower()
        if host.removesuffix(f".{DOMAIN}") not in self.authorities:
            message = f'The authority "{host}" does not exist.'
            return Answer(404, json.dumps({"Message": message}).encode(), "application/json; charset=utf-8")
        if request.operation == "GetCACaps":
            return Answer(200, "\n".join(CAPABILITIES).encode(), "text/plain")
        if request.operation == "GetCACert":
            return Answer(200, self.issuing.certificate.public_bytes(pki.DER), "application/x-x509-ca-cert")
        if request.operation == "PKIOperation" and request.method == "POST":
            return issue(self.issuing, request)
        return error_page(400)
