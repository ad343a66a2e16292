r"""A Windows client's HTTP conversation with a SCEP service, as the host that this process plays.

Names and clock are the process's own: it is started as the host, so that both come from the host's files as they do
for the host's PowerShell. Trust comes from the host's certificate stores, the proxy from WinHTTP's settings in its
registry. Nothing here knows of scenarios or sites.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import select
import ssl
import struct
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from cryptography import x509

from tests.lab import pki, registry, store
from tests.lab.scep_error import EnrolmentError, http_error, network_error, winhttp_error

CONNECTIONS = "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Connections"
WINHTTP_SETTINGS = "WinHttpSettings"
TIMEOUT = 5.0
"""Seconds; Windows waits for up to a minute."""

_BODY_LIMIT = 1 << 20
_ALERT_SECONDS = 0.2
_FLAG_DIRECT, _FLAG_PROXY = 1, 2
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3}) ?(.*)")


class Answer(NamedTuple):
    """An answer with a status of success."""

    content_type: str
    body: bytes


class Proxy(NamedTuple):
    """WinHTTP's proxy: `address:port`, and the host names that it is not for."""

    address: str
    bypass: tuple[str, ...] = ()


def proxy_settings(proxy: Proxy) -> bytes:
    """The value that `netsh winhttp set proxy` writes."""
    parts = [proxy.address.encode("ascii"), ";".join(proxy.bypass).encode("ascii")]
    fields = b"".join(struct.pack("<I", len(part)) + part for part in parts)
    return struct.pack("<III", 0x28, 0, _FLAG_DIRECT | _FLAG_PROXY) + fields


def host_proxy(folder: Path) -> Proxy | None:
    """The proxy that the host has."""
    value = registry.read(folder, CONNECTIONS, WINHTTP_SETTINGS)
    if not isinstance(value, bytes) or not struct.unpack_from("<I", value, 8)[0] & _FLAG_PROXY:
        return None
    (length,) = struct.unpack_from("<I", value, 12)
    address = value[16 : 16 + length].decode("ascii")
    (more,) = struct.unpack_from("<I", value, 16 + length)
    bypass = value[20 + length : 20 + length + more].decode("ascii")
    return Proxy(address, tuple(part for part in bypass.split(";") if part))


class Client:
    """The HTTP client of the host with this folder."""

    def __init__(self, folder: Path, *, timeout: float = TIMEOUT) -> None:
        self._folder = folder
        self._timeout = timeout

    def get(self, url: str, operation: str) -> Answer:
        """Asks for an operation, with the message that Windows always sends.

        Raises:
            EnrolmentError: there is no answer, or one with a status that is no success.
        """
        return self._ask("GET", url, operation, {"operation": operation, "message": "default"})

    def post(self, url: str, operation: str, body: bytes) -> Answer:
        """Sends a message.

        Raises:
            EnrolmentError: as get().
        """
        return self._ask("POST", url, operation, {"operation": operation}, body)

    def _ask(
        self, method: str, url: str, step: str, query: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise winhttp_error(12005) from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise winhttp_error(12005)
        target = f"{parts.path or '/'}{'?' + urlencode(query) if query else ''}"
        try:
            connection, prefix = self._connection(parts.scheme, parts.hostname, port)
            try:
                connection.connect()
                if isinstance(connection.sock, ssl.SSLSocket):
                    _await_refusal(connection.sock)
                    self._check_revocation(connection.sock)
                host = parts.netloc.rpartition("@")[2]
                headers = {"Host": host, "User-Agent": "Mozilla/4.0 (compatible; Win32; NDES client)"}
                connection.request(method, prefix + target, body, headers)
                response = connection.getresponse()
                content = response.read(_BODY_LIMIT)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            refused = _TUNNEL_REFUSED.search(str(error))
            if refused is not None:
                raise http_error(int(refused[1]), refused[2].strip(), step=step) from error
            raise network_error(error) from error
        if not 200 <= response.status < 300:
            raise http_error(response.status, response.reason, content, response.getheaders(), step)
        return Answer(response.headers.get_content_type(), content)

    def _connection(self, scheme: str, host: str, port: int | None) -> tuple[http.client.HTTPConnection, str]:
        """A connection that is not open yet, and what goes before a request's path on it."""
        own_port = port or (443 if scheme == "https" else 80)
        proxy = host_proxy(self._folder)
        direct = proxy is None or any(fnmatchcase(host.lower(), each.lower()) for each in proxy.bypass)
        address, peer_port = host, own_port
        if proxy is not None and not direct:
            address, _unused, text = proxy.address.partition(":")
            peer_port = int(text or 80)
        if scheme == "http":
            plain = http.client.HTTPConnection(address, peer_port, timeout=self._timeout)
            return plain, "" if direct else f"http://{host}:{own_port}"
        secured = http.client.HTTPSConnection(address, peer_port, timeout=self._timeout, context=self._trust())
        if not direct:
            secured.set_tunnel(host, own_port)
        return secured, ""

    def _trust(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # As on Windows, only a self-signed certificate in Root ends a chain, and CA helps to build one.
        roots = [each for each in store.certificates(self._folder, "root") if each.subject == each.issuer]
        others = [each for each in store.certificates(self._folder, "ca") if each.subject != each.issuer]
        known = b"".join(each.public_bytes(pki.DER) for each in (*roots, *others))
        if known:
            context.load_verify_locations(cadata=known)
        return context

    def _check_revocation(self, connection: ssl.SSLSocket) -> None:
        """Refuses a server's certificate that is revoked, or whose list cannot be had."""
        certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
        try:
            points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        except x509.ExtensionNotFound:
            return
        for point in points:
            for name in point.full_name or ():
                try:
                    revoked = x509.load_der_x509_crl(self._ask("GET", str(name.value), "CRL").body)
                except (EnrolmentError, ValueError) as error:
                    raise ssl.SSLCertVerificationError(f"the revocation list {name.value} cannot be had") from error
                if revoked.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                    raise ssl.SSLCertVerificationError("the certificate is revoked")


def _await_refusal(connection: ssl.SSLSocket) -> None:
    """Raises the alert with which a TLS 1.3 server refuses a client without a certificate.

    It comes after the handshake, and a request that is on its way then would hide it behind a broken pipe. Servers that
    refuse nobody send tickets at once.
    """
    timeout = connection.gettimeout()
    if connection.version() != "TLSv1.3" or not select.select([connection], [], [], _ALERT_SECONDS)[0]:
        return
    connection.setblocking(False)
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.recv(1)
    connection.settimeout(timeout)
