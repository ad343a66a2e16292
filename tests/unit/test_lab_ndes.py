"""The lab's NDES and AIK service, asked by Python's own HTTP and TLS clients."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from tests.lab import pki
from tests.lab.aik import AikService
from tests.lab.ndes import CHAINS, PATH, Ndes, UnknownChainError

NAME = "ndes01.lab.example"
CAPS = f"{PATH}?operation=GetCACaps&message=default"


@pytest.fixture(scope="module")
def server() -> Iterator[Ndes]:
    with Ndes(NAME) as ndes:
        yield ndes


@pytest.fixture
def ndes(server: Ndes) -> Ndes:
    """The same server for all tests, as if new."""
    server.chain = "good"
    server.site.mode = "ok"
    server.site.modes.clear()
    server.site.clock_skew = 0
    server.site.requests.clear()
    server.single_certificate = False
    return server


def get(ndes: Ndes, path: str, *, scheme: str = "http", timeout: float = 5) -> http.client.HTTPResponse:
    if scheme == "http":
        connection = http.client.HTTPConnection(ndes.site.address, ndes.site.port("http"), timeout=timeout)
    else:
        connection = http.client.HTTPSConnection(
            NAME, ndes.site.port("https"), timeout=timeout, context=trusting(ndes.trusted_root)
        )
        connection.sock = handshake(ndes, connection.host)
    connection.request("GET", path)
    return connection.getresponse()


def trusting(*roots: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata="\n".join(roots))
    return context


def handshake(ndes: Ndes, name: str = NAME, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    plain = socket.create_connection((ndes.site.address, ndes.site.port("https")), timeout=5)
    return (context or trusting(ndes.trusted_root)).wrap_socket(plain, server_hostname=name)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_get_ca_caps(ndes: Ndes, scheme: str) -> None:
    response = get(ndes, CAPS, scheme=scheme)
    assert (response.status, response.headers["Content-Type"]) == (200, "text/plain")
    assert response.headers["Server"] == "Microsoft-IIS/10.0"
    assert response.read() == b"POSTPKIOperation\nRenewal\nSHA-512\nSHA-256\nSHA-1\nDES3\n"
    assert [(asked.scheme, asked.operation, asked.parameter("message")) for asked in ndes.site.requests] == [
        (scheme, "GetCACaps", "default")
    ]


def test_get_ca_cert_with_registration_authority(ndes: Ndes) -> None:
    response = get(ndes, f"{PATH}?operation=GetCACert&message=default")
    assert response.headers["Content-Type"] == "application/x-x509-ca-ra-cert"
    found = pkcs7.load_der_pkcs7_certificates(response.read())
    assert sorted(certificate.subject.rfc4514_string() for certificate in found) == [
        "CN=Lab Issuing CA 1,O=Lab",
        "CN=NDES01-MSCEP-RA",
        "CN=NDES01-MSCEP-RA",
    ]


def test_get_ca_cert_alone(ndes: Ndes) -> None:
    ndes.single_certificate = True
    response = get(ndes, f"{PATH}?operation=GetCACert&message=default")
    assert response.headers["Content-Type"] == "application/x-x509-ca-cert"
    assert x509.load_der_x509_certificate(response.read()) == ndes.pki.issuing.certificate


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("/certsrv/mscep/mscep.dll", 403),
        (f"{PATH}?operation=GetNextCACert", 400),
        ("/CertSrv/mscep/mscep.dll?operation=GetCACaps", 200),
        ("/certsrv/mscep_admin/", 401),
    ],
)
def test_paths(ndes: Ndes, path: str, status: int) -> None:
    assert get(ndes, path).status == status


@pytest.mark.parametrize(
    ("mode", "status", "header", "value"),
    [
        ("401", 401, "WWW-Authenticate", "Negotiate"),
        ("403", 403, "Content-Type", "text/html"),
        ("404", 404, "Content-Type", "text/html"),
        ("429", 429, "Retry-After", "120"),
        ("500", 500, "Content-Type", "text/html"),
        ("503", 503, "Retry-After", "120"),
        ("html", 200, "Content-Type", "text/html"),
        ("redirect", 302, "Location", "https://portal.lab.example/login?next=\x1b[31m"),
        ("chunked", 200, "Transfer-Encoding", "chunked"),
        ("close", 200, "Connection", "close"),
    ],
)
def test_modes(ndes: Ndes, mode: str, status: int, header: str, value: str) -> None:
    ndes.site.mode = mode
    response = get(ndes, CAPS)
    assert (response.status, response.headers[header]) == (status, value)
    if mode in ("chunked", "close"):
        assert response.read() == b"POSTPKIOperation\nRenewal\nSHA-512\nSHA-256\nSHA-1\nDES3\n"


def test_mode_of_one_operation(ndes: Ndes) -> None:
    ndes.site.modes["GetCACert"] = "500"
    assert get(ndes, CAPS).status == 200
    assert get(ndes, f"{PATH}?operation=GetCACert&message=default").status == 500


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_reset(ndes: Ndes, scheme: str) -> None:
    ndes.site.mode = "reset"
    with pytest.raises(ConnectionResetError):
        get(ndes, CAPS, scheme=scheme)


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_no_answer_in_time(ndes: Ndes, mode: str) -> None:
    ndes.site.mode = mode
    with socket.create_connection((ndes.site.address, ndes.site.port("http")), timeout=2) as connection:
        connection.sendall(f"GET {CAPS} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        time.sleep(1)
        connection.setblocking(False)
        received = b""
        with contextlib.suppress(BlockingIOError):
            received = connection.recv(1000)
    assert re.fullmatch({"hang": rb"", "drip": rb"HTTP/1.1 200 OK\r\nX-Slow: x{2,}"}[mode], received)


@pytest.mark.parametrize(
    ("mode", "error"),
    [("cut", http.client.IncompleteRead), ("garbage", http.client.BadStatusLine), ("huge", None), ("hostile", None)],
)
def test_bad_answers(ndes: Ndes, mode: str, error: type[Exception] | None) -> None:
    ndes.site.mode = mode
    if error:
        with pytest.raises(error):
            get(ndes, CAPS).read()
        return
    response = get(ndes, CAPS)
    body = response.read()
    if mode == "huge":
        assert len(body) == 4_000_000
    else:
        assert "\x07" in response.reason
        assert b"\x1b[31m" in body


def test_endless_answer(ndes: Ndes) -> None:
    ndes.site.mode = "endless"
    response = get(ndes, CAPS)
    assert len(response.read(3_000_000)) == 3_000_000
    response.close()


def test_clock(ndes: Ndes) -> None:
    ndes.site.clock_skew = -7200
    date = parsedate_to_datetime(get(ndes, CAPS).headers["Date"])
    assert date.timestamp() - time.time() == pytest.approx(-7200, abs=5)


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        ("good", None),
        ("revoked", None),  # Python's client does not ask for the list
        ("crl_unreachable", None),
        ("unknown_root", "unable to get (local )?issuer certificate"),
        ("unknown_root_sent", "self-signed certificate in certificate chain"),
        ("missing_intermediate", "unable to get local issuer certificate"),
        ("wrong_name", "Hostname mismatch"),
        ("expired", "certificate has expired"),
        ("not_yet_valid", "certificate is not yet valid"),
        ("wrong_usage", "unsuitable certificate purpose|unsupported certificate purpose"),
        ("intercepted", "unable to get local issuer certificate"),
        ("no_common_protocol", "alert protocol version|unsupported protocol"),
        ("client_certificate_tls12", "handshake failure"),
    ],
)
def test_chains(ndes: Ndes, chain: str, said: str | None) -> None:
    ndes.chain = chain
    if said is None:
        with handshake(ndes) as connection:
            assert connection.version() in ("TLSv1.2", "TLSv1.3")
        return
    with pytest.raises(ssl.SSLError) as caught:
        handshake(ndes)
    assert re.search(said, str(caught.value))


def test_client_certificate_wanted_after_the_handshake(ndes: Ndes) -> None:
    ndes.chain = "client_certificate"
    with handshake(ndes) as connection:
        assert connection.version() == "TLSv1.3"
        # Nothing is sent: the server may have closed already, and a reset would take its alert away.
        with pytest.raises(ssl.SSLError, match="certificate required"):
            connection.recv(100)


def test_interception_is_trusted_where_its_root_is(ndes: Ndes) -> None:
    ndes.chain = "intercepted"
    with handshake(ndes, context=trusting(ndes.pki.inspection.pem)) as connection:
        issued = connection.getpeercert() or {}
    assert issued["issuer"] == ((("organizationName", "Lab"),), (("commonName", "Lab Web Inspection"),))


def test_revoked_certificate_is_on_the_list(ndes: Ndes) -> None:
    ndes.chain = "revoked"
    with handshake(ndes) as connection:
        leaf = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    urls = [name.value for point in points for name in point.full_name or ()]
    assert urls == [f"http://127.0.0.1:{ndes.site.port('http')}/CertEnroll/issuing-1.crl"]
    crl = x509.load_der_x509_crl(get(ndes, "/CertEnroll/issuing-1.crl").read())
    assert crl.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None
    root_list = x509.load_der_x509_crl(get(ndes, "/CertEnroll/root.crl").read())
    assert root_list.issuer == ndes.pki.root.certificate.subject


def test_unknown_chain_is_refused(ndes: Ndes) -> None:
    with pytest.raises(UnknownChainError, match=r"^verygood is not one of the chains good, unknown_root,"):
        ndes.chain = "verygood"
    assert ndes.chain == "good"
    assert len(CHAINS) == 14


def test_url() -> None:
    with Ndes(NAME, https_port=None) as ndes:
        assert ndes.url("http") == f"http://{NAME}:{ndes.site.port('http')}{PATH}"
        with pytest.raises(KeyError):
            ndes.url("https")


def test_stop_frees_those_who_wait() -> None:
    ndes = Ndes(NAME)
    ndes.start()
    ndes.site.mode = "hang"
    outcome: list[BaseException | None] = []

    def ask() -> None:
        try:
            get(ndes, CAPS, timeout=20)
        except http.client.RemoteDisconnected as error:
            outcome.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while not ndes.site.requests:
        time.sleep(0.01)
    started = time.monotonic()
    ndes.stop()
    asking.join(10)
    ndes.stop()
    assert time.monotonic() - started < 5
    assert [type(error) for error in outcome] == [http.client.RemoteDisconnected]


AIK_HOST = "IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net"


def ask_aik(service: AikService, operation: str = "GetCACaps") -> http.client.HTTPResponse:
    plain = socket.create_connection((service.site.address, service.site.port("https")), timeout=5)
    connection = http.client.HTTPConnection(AIK_HOST, timeout=5)
    connection.sock = trusting(service.root.pem).wrap_socket(plain, server_hostname=AIK_HOST.lower())
    connection.request("GET", f"/templates/Aik/scep?operation={operation}&message=default")
    return connection.getresponse()


def test_aik_service() -> None:
    with AikService() as service:
        response = ask_aik(service)
        assert response.status == 404
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        assert response.read() == (
            b'{"Message": "The authority \\"ifx-keyid-18b1af70b93f991972f362556a9a3fbf4bb24e0d'
            b'.microsoftaik.azure.net\\" does not exist."}'
        )
        service.authorities.add(AIK_HOST.partition(".")[0].lower())
        assert ask_aik(service).read().startswith(b"POSTPKIOperation\n")
        issuing = x509.load_der_x509_certificate(ask_aik(service, "GetCACert").read())
        assert issuing.subject.rfc4514_string() == "CN=Lab Azure RSA TLS Issuing CA 04,O=Microsoft Corporation"
        service.site.mode = "429"
        assert ask_aik(service).headers["Retry-After"] == "120"
        service.intercepted = True
        with pytest.raises(ssl.SSLError, match="unable to get local issuer certificate"):
            ask_aik(service)


def test_pki_can_be_shared() -> None:
    with Ndes(NAME) as first, Ndes("ndes02.lab.example", authorities=first.pki) as second:
        assert pki.sha256(second.pki.root.certificate) == pki.sha256(first.pki.root.certificate)
        with handshake(second, "ndes02.lab.example", trusting(first.trusted_root)) as connection:
            assert connection.version() == "TLSv1.3"
