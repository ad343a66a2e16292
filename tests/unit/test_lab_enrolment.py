"""Enrolment played for a host: what each answer of a server makes of the log, the registry and the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import pki, registry, store
from tests.lab.enrolment import PROFILES, Enrolment, UnknownProfileError, enrol_profile, main
from tests.lab.enrolment_log import LEVEL_KEY
from tests.lab.host import LogConfig, write_host, write_log
from tests.lab.ndes import Ndes, closed_port
from tests.lab.proxy import Proxy
from tests.lab.scep import CONNECTIONS, WINHTTP_SETTINGS, host_proxy, proxy_settings
from tests.lab.scep import Proxy as ProxySettings

NAME = "localhost"  # the one name that every machine resolves to loopback
PATH = "/certsrv/mscep/mscep.dll/pkiclient.exe"
TLS = "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"


@pytest.fixture(scope="module")
def server() -> Iterator[Ndes]:
    with Ndes(NAME) as ndes:
        yield ndes


@pytest.fixture
def ndes(server: Ndes) -> Iterator[Ndes]:
    """The server as it is by itself, whatever the test makes of it."""
    yield server
    server.chain, server.site.mode, server.refusal, server.https_only = "good", "ok", None, False
    server.single_certificate = False
    server.site.modes.clear()


@pytest.fixture
def host(tmp_path: Path, ndes: Ndes) -> Path:
    """A host that trusts the server's PKI and has a profile for it over HTTPS."""
    folder = write_host(tmp_path / "PC1", "PC1")
    write_log(folder)
    store.put(folder, "root", ndes.pki.root.certificate)
    profile(folder, ndes, ndes.url("https"))
    return folder


def profile(folder: Path, ndes: Ndes, url: str, **values: str) -> None:
    pin = pki.thumbprint(ndes.pki.issuing.certificate)
    registry.write(folder, f"{PROFILES}\\p1\\Install", {"ServerURL": url, "CAThumbprint": pin, **values})


def events(folder: Path) -> list[tuple[int, dict[str, str]]]:
    """Id and fields of the events in the host's log."""
    text = (folder / "eventlogs" / "Application.jsonl").read_text("ascii")
    return [(event["id"], dict(event["data"])) for event in map(json.loads, text.splitlines())]


def state(folder: Path) -> dict[str, Any]:
    """What the profile's key says of the enrolment."""
    names = ("Status", "ErrorCode", "CertThumbprint")
    return {name: registry.read(folder, f"{PROFILES}\\p1", name) for name in names}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_success(scheme: str, host: Path, ndes: Ndes) -> None:
    """A certificate for the key is in the store; the event is left out, as the log level is not raised."""
    profile(host, ndes, ndes.url(scheme), SubjectName="CN=pc1.example,O=Example")
    (done,) = enrol_profile(host, "p1")
    (issued,) = store.certificates(host, "my")
    assert issued.subject.rfc4514_string() == "CN=pc1.example,O=Example"
    assert issued.issuer == ndes.pki.issuing.certificate.subject
    assert done == Enrolment(88, ndes.url(scheme), "ProcessResponseMessage", 0, pki.thumbprint(issued))
    assert state(host) == {"Status": 1, "ErrorCode": 0, "CertThumbprint": pki.thumbprint(issued)}
    assert events(host) == []


@pytest.mark.parametrize(("level", "written"), [(None, []), (3, []), (4, [88]), (5, [88])])
def test_log_level_of_a_success(level: int | None, written: list[int], host: Path) -> None:
    if level is not None:
        registry.write(host, LEVEL_KEY.lower(), {"loglevel": level})
    assert [done.event_id for done in enrol_profile(host, "p1")] == [88]
    assert [number for number, _unused in events(host)] == written


@pytest.mark.parametrize(("level", "written"), [(0, []), (1, []), (2, [86]), (3, [86])])
def test_log_level_of_a_failure(level: int, written: list[int], host: Path, ndes: Ndes) -> None:
    ndes.chain = "expired"
    registry.write(host, LEVEL_KEY, {"LogLevel": level})
    enrol_profile(host, "p1")
    assert [number for number, _unused in events(host)] == written


def test_success_in_the_log(host: Path, ndes: Ndes) -> None:
    registry.write(host, LEVEL_KEY, {"LogLevel": 4})
    enrol_profile(host, "p1")
    ((number, fields),) = events(host)
    method = fields.pop("Method")
    assert (number, fields) == (
        88,
        {
            "Context": "WORKGROUP\\PC1$",
            "Url": ndes.url("https"),
            "MessageText": "PkiStatus(0): success\r\n",
            "Stage": "ProcessResponseMessage",
        },
    )
    assert method.startswith("POST(") and method.endswith("ms)")


@pytest.mark.parametrize(
    ("chain", "error"),
    [
        ("unknown_root", TLS),
        ("unknown_root_sent", TLS),
        ("missing_intermediate", TLS),
        ("wrong_name", TLS),
        ("expired", TLS),
        ("not_yet_valid", TLS),
        ("revoked", TLS),
        ("crl_unreachable", TLS),
        ("wrong_usage", TLS),
        ("intercepted", TLS),
        (
            "no_common_protocol",
            "An error occurred in the secure channel support 0x80072f7d "
            "(WinHttp: 12157 ERROR_WINHTTP_SECURE_CHANNEL_ERROR)",
        ),
        (
            "client_certificate",
            "A certificate is required to complete client authentication 0x80072f0c "
            "(WinHttp: 12044 ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED)",
        ),
    ],
)
def test_tls_failure(chain: str, error: str, host: Path, ndes: Ndes) -> None:
    """Whatever is wrong with the certificate, the event says the same; the registry has the number."""
    ndes.chain = chain
    (done,) = enrol_profile(host, "p1")
    ((number, fields),) = events(host)
    assert (number, fields["MessageText"], fields["Stage"], fields["ErrorCode"]) == (
        86,
        "GetCACaps",
        "GetCACaps",
        error,
    )
    assert state(host) == {"Status": 16, "ErrorCode": done.hresult, "CertThumbprint": None}
    assert f"{done.hresult:#010x}" in error
    assert list(store.certificates(host, "my")) == []


def test_trust_mends_an_untrusted_root(host: Path, ndes: Ndes) -> None:
    """What a trusted inspection root, or an intermediate in the store CA, makes of the same server."""
    ndes.chain = "intercepted"
    assert [done.event_id for done in enrol_profile(host, "p1")] == [86]
    store.put(host, "ca", ndes.pki.inspection.certificate)  # a root in CA ends no chain
    assert [done.event_id for done in enrol_profile(host, "p1")] == [86]
    store.put(host, "root", ndes.pki.inspection.certificate)
    assert [done.event_id for done in enrol_profile(host, "p1")] == [88]


def test_intermediate_in_the_store(host: Path, ndes: Ndes) -> None:
    ndes.chain = "missing_intermediate"
    store.put(host, "ca", ndes.pki.issuing.certificate)
    assert [done.event_id for done in enrol_profile(host, "p1")] == [88]


def test_an_intermediate_in_root_is_no_trust(tmp_path: Path, ndes: Ndes) -> None:
    host = write_host(tmp_path / "PC2", "PC2")
    profile(host, ndes, ndes.url("https"))
    store.put(host, "root", ndes.pki.issuing.certificate)
    assert [done.hresult for done in enrol_profile(host, "p1")] == [0x80072F8F]


@pytest.mark.parametrize(
    ("mode", "message", "error"),
    [
        (
            "404",
            "GetCACaps\r\nGetCACaps: Not Found\r\n<html><title>404 - Not Found</title></html>\r\n"
            "HTTP/1.1 404 Not Found\r\n",
            "Not found (404). 0x80190194 (-2145844844 HTTP_E_STATUS_NOT_FOUND)",
        ),
        (
            "503",
            "GetCACaps\r\nGetCACaps: Service Unavailable\r\n",
            "Service unavailable (503). 0x801901f7 (-2145844745 HTTP_E_STATUS_SERVICE_UNAVAIL)",
        ),
        ("429", "GetCACaps\r\nGetCACaps: Too Many Requests\r\n", "Too Many Requests (429). 0x801901ad (-2145844819)"),
        (
            "401",
            "GetCACaps\r\nGetCACaps: Unauthorized\r\n",
            "Unauthorized (401). 0x80190191 (-2145844847 HTTP_E_STATUS_DENIED)",
        ),
        ("hang", "GetCACaps", "The operation timed out 0x80072ee2 (WinHttp: 12002 ERROR_WINHTTP_TIMEOUT)"),
        (
            "reset",
            "GetCACaps",
            "The connection with the server was terminated abnormally 0x80072efe "
            "(WinHttp: 12030 ERROR_WINHTTP_CONNECTION_ERROR)",
        ),
        (
            "garbage",
            "GetCACaps",
            "The server returned an invalid or unrecognized response 0x80072f78 "
            "(WinHttp: 12152 ERROR_WINHTTP_INVALID_SERVER_RESPONSE)",
        ),
    ],
)
def test_answer_that_is_no_success(mode: str, message: str, error: str, host: Path, ndes: Ndes) -> None:
    ndes.site.mode = mode
    profile(host, ndes, ndes.url("http"))
    enrol_profile(host, "p1", timeout=1)
    ((number, fields),) = events(host)
    assert (number, fields["Stage"], fields["ErrorCode"]) == (86, "GetCACaps", error)
    assert fields["MessageText"].startswith(message)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        (
            "http://ndes.invalid/certsrv/mscep/mscep.dll",
            "The server name or address could not be resolved 0x80072ee7 "
            "(WinHttp: 12007 ERROR_WINHTTP_NAME_NOT_RESOLVED)",
        ),
        (
            "http://127.0.0.1:{closed}/certsrv/mscep/mscep.dll",
            "A connection with the server could not be established 0x80072efd "
            "(WinHttp: 12029 ERROR_WINHTTP_CANNOT_CONNECT)",
        ),
        ("ftp://127.0.0.1/", "The URL is invalid 0x80072ee5 (WinHttp: 12005 ERROR_WINHTTP_INVALID_URL)"),
        ("http://127.0.0.1:x/", "The URL is invalid 0x80072ee5 (WinHttp: 12005 ERROR_WINHTTP_INVALID_URL)"),
    ],
)
def test_server_that_is_not_reached(url: str, error: str, host: Path, ndes: Ndes) -> None:
    profile(host, ndes, url.format(closed=closed_port()))
    enrol_profile(host, "p1")
    assert [(number, fields["ErrorCode"]) for number, fields in events(host)] == [(86, error)]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"CAThumbprint": "0" * 40}, "The hash value is not correct. 0x80091007 (-2146889721 CRYPT_E_HASH_VALUE)"),
        ({}, "ASN1 bad tag value met. 0x8009310b (-2146881269 CRYPT_E_ASN1_BADTAG)"),
    ],
)
def test_authority_that_is_not_the_profiles(settings: dict[str, str], error: str, host: Path, ndes: Ndes) -> None:
    """Another CA than the one pinned, and a page instead of certificates, both end at GetCACert."""
    if not settings:
        ndes.site.modes["GetCACert"] = "html"
    profile(host, ndes, ndes.url("http"), **settings)
    enrol_profile(host, "p1")
    ((number, fields),) = events(host)
    assert (number, fields["Stage"], fields["MessageText"], fields["ErrorCode"]) == (
        86,
        "GetCACert",
        "GetCACert",
        error,
    )


def test_thumbprint_in_another_spelling_and_a_single_certificate(host: Path, ndes: Ndes) -> None:
    ndes.single_certificate = True
    pin = pki.thumbprint(ndes.pki.issuing.certificate).lower()
    profile(host, ndes, ndes.url("http"), CAThumbprint=" ".join([pin[:20], pin[20:]]))
    assert [done.event_id for done in enrol_profile(host, "p1")] == [88]


def test_refused_request(host: Path, ndes: Ndes) -> None:
    ndes.refusal = 3
    enrol_profile(host, "p1")
    ((number, fields),) = events(host)
    assert (number, fields["MessageText"], fields["Stage"]) == (
        87,
        "PkiStatus(2): failure\r\nFailInfo(3): bad time\r\n",
        "ProcessResponseMessage",
    )
    assert fields["ErrorCode"] == (
        "A certificate is not within its validity period. 0x800b0101 (-2146762495 CERT_E_EXPIRED)"
    )


def test_server_that_fails_at_the_request(host: Path, ndes: Ndes) -> None:
    ndes.site.modes["PKIOperation"] = "500"
    enrol_profile(host, "p1")
    ((number, fields),) = events(host)
    assert (number, fields["Stage"], fields["ErrorCode"]) == (
        87,
        "Submit",
        "Internal server error (500). 0x801901f4 (-2145844748 HTTP_E_STATUS_SERVER_ERROR)",
    )


def test_server_that_wants_tls_for_scep(host: Path, ndes: Ndes) -> None:
    ndes.https_only = True
    assert [done.event_id for done in enrol_profile(host, "p1")] == [88]
    profile(host, ndes, ndes.url("http"))
    assert [done.hresult for done in enrol_profile(host, "p1")] == [0x80190193]


def test_urls_are_tried_in_order(host: Path, ndes: Ndes) -> None:
    profile(host, ndes, f"http://ndes.invalid{PATH}; {ndes.url('http')};http://127.0.0.1:1/")
    assert [(done.event_id, done.url) for done in enrol_profile(host, "p1")] == [
        (86, f"http://ndes.invalid{PATH}"),
        (88, ndes.url("http")),
    ]
    assert state(host)["Status"] == 1


def test_failure_after_a_success_keeps_the_certificate(host: Path, ndes: Ndes) -> None:
    (done,) = enrol_profile(host, "p1")
    ndes.chain = "expired"
    enrol_profile(host, "p1")
    assert state(host) == {"Status": 16, "ErrorCode": 0x80072F8F, "CertThumbprint": done.thumbprint}
    assert [pki.thumbprint(each) for each in store.certificates(host, "my")] == [done.thumbprint]


def test_events_go_on_where_the_log_ends(host: Path, ndes: Ndes) -> None:
    ndes.chain = "expired"
    enrol_profile(host, "p1")
    enrol_profile(host, "p1")
    text = (host / "eventlogs" / "Application.jsonl").read_text("ascii")
    assert [json.loads(line)["record"] for line in text.splitlines()] == [1, 2]


@pytest.mark.parametrize("config", [LogConfig(enabled=False), LogConfig(missing=True)])
def test_log_that_takes_no_events(config: LogConfig, host: Path, ndes: Ndes) -> None:
    write_log(host, config=config)
    ndes.chain = "expired"
    assert [done.event_id for done in enrol_profile(host, "p1")] == [86]
    assert events(host) == []


def test_profile_that_is_not_there(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownProfileError, match="the host has no SCEP profile p2 with a ServerURL"):
        enrol_profile(host, "p2")
    assert main([str(host), "profile", "p2"]) == 1
    assert capsys.readouterr().err == "the host has no SCEP profile p2 with a ServerURL\n"


def test_command_line(host: Path, ndes: Ndes, capsys: pytest.CaptureFixture[str]) -> None:
    ndes.chain = "expired"
    assert main([str(host), "all"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "event_id": 86, "url": ndes.url("https"), "stage": "GetCACaps", "hresult": 0x80072F8F, "thumbprint": None,
    }  # fmt: skip


@pytest.mark.parametrize(("bypass", "asked"), [((), 3), (("local*",), 0)])
def test_proxy(bypass: tuple[str, ...], asked: int, host: Path, ndes: Ndes) -> None:
    """Over the proxy that WinHTTP's settings name, unless the server is on its list."""
    profile(host, ndes, ndes.url("http"))
    with Proxy({NAME: "127.0.0.1"}) as proxy:
        settings = ProxySettings(proxy.authority, bypass)
        registry.write(host, CONNECTIONS, {WINHTTP_SETTINGS: proxy_settings(settings)})
        assert host_proxy(host) == settings
        assert [done.event_id for done in enrol_profile(host, "p1")] == [88]
        assert len(proxy.asked) == asked


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_that_wants_a_login(scheme: str, host: Path, ndes: Ndes) -> None:
    profile(host, ndes, ndes.url(scheme))
    with Proxy({NAME: "127.0.0.1"}) as proxy:
        proxy.refusal = 407
        registry.write(host, CONNECTIONS, {WINHTTP_SETTINGS: proxy_settings(ProxySettings(proxy.authority))})
        assert [done.hresult for done in enrol_profile(host, "p1")] == [0x80190197]
    assert events(host)[0][1]["ErrorCode"] == (
        "Proxy authentication required (407). 0x80190197 (-2145844841 HTTP_E_STATUS_PROXY_AUTH_REQ)"
    )
