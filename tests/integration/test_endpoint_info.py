"""endpoint_info on the lab: real Ansible over WinRM, and services that are wrong in every way that has a word.

As the module asks any number of URLs at once, one run of it asks them all, and each test looks at one of the answers.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.integration.host_state import put_certificate, set_key
from tests.lab import pki
from tests.lab.aik import AikService
from tests.lab.fleet import FleetHost, Lab
from tests.lab.ndes import CHAINS, PATH, Ndes, closed_port
from tests.lab.playbook import run_playbook
from tests.lab.proxy import Proxy

MODULE = "winpki.scep.endpoint_info"
CONNECTIONS = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Connections"
ADDRESS = "127.0.0.1"
MODES = (
    "ok", "401", "403", "404", "407", "429", "500", "502", "503", "html", "redirect", "chunked", "close", "reset",
    "huge", "endless", "garbage", "hostile", "cut",
)  # fmt: skip
AIK = "{}-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net"
CAPABILITIES = ["POSTPKIOperation", "Renewal", "SHA-512", "SHA-256", "SHA-1", "DES3"]
GENEROUS = {"timeout": 120, "connect_timeout": 60}
"""The lab's machine may have other work; only the tests of time-outs are about time."""

Answer = dict[str, Any]


def run(lab: Lab, host: FleetHost, *tasks: dict[str, Any], check: bool = False) -> list[list[Answer]]:
    """The module's endpoints for each of these arguments, all on one host."""
    fleet = lab.start(host)
    play = {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [{"name": f"Task {number}", MODULE: arguments} for number, arguments in enumerate(tasks)],
    }
    done = run_playbook([play], fleet.inventory_path, check=check)
    results = [done.of(host.name, f"Task {number}") for number in range(len(tasks))]
    for result in results:
        assert (result.status, result.result["changed"]) == ("ok", False), result.result.get("msg")
    return [result.result["endpoints"] for result in results]


def write_names(host: FleetHost, *lines: str) -> None:
    """The host's names; all of the lab's servers are at one address."""
    text = "".join(f"{line}\n" for line in (*lines, f"{ADDRESS} *"))
    (host.folder / "hosts").write_text(text, "ascii")


def steps(answer: Answer) -> dict[str, bool]:
    """The steps that were done, and whether they succeeded."""
    return {step["step"]: step["ok"] for step in answer["steps"] if step["ok"] is not None}


def error_of(answer: Answer, step: str) -> dict[str, str | None]:
    """The error of a step."""
    [found] = [one["error"] for one in answer["steps"] if one["step"] == step]
    return dict(found)


def winhttp_setting(flags: int, *fields: str) -> str:
    """The binary value that netsh winhttp writes, in hex."""
    parts = [number.to_bytes(4, "little") for number in (0x28, 0, flags)]
    for field in fields:
        parts += [len(field).to_bytes(4, "little"), field.encode("ascii")]
    return b"".join(parts).hex()


@contextmanager
def silent_listener(*, accepting: bool) -> Iterator[int]:
    """A port that takes connections and never says a word, or lets connection attempts go unanswered."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.create_server((ADDRESS, 0), backlog=64 if accepting else 0))
        port = int(listener.getsockname()[1])
        if not accepting:
            # Once the queue is full, the kernel drops what else knocks.
            for _unused in range(4):
                filler = opened.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex((ADDRESS, port))
            time.sleep(0.1)
        yield port


# The chains


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Ndes]]:
    """One NDES for each chain, of one PKI, named after the chain."""
    with ExitStack() as stack:
        good = stack.enter_context(Ndes("good.lab.example"))
        found = {"good": good}
        for chain in CHAINS[1:]:
            name = f"{chain.replace('_', '-')}.lab.example"
            found[chain] = stack.enter_context(Ndes(name, authorities=good.pki))
            found[chain].chain = chain
        yield found


@pytest.fixture(scope="module")
def chains(lab: Lab, servers: dict[str, Ndes]) -> dict[str, Answer]:
    """What a host that trusts the lab's root finds at each of them."""
    host = lab.host("CHAINS1")
    write_names(host)
    put_certificate(host.folder, "Root", servers["good"].pki.root.certificate)
    [answers] = run(lab, host, {"urls": [server.url() for server in servers.values()], **GENEROUS})
    assert [answer["url"] for answer in answers] == [server.url() for server in servers.values()]
    return dict(zip(servers, answers, strict=True))


def test_good(chains: dict[str, Answer], servers: dict[str, Ndes]) -> None:
    answer = chains["good"]
    lab_pki = servers["good"].pki
    assert {
        key: answer[key] for key in ("kind", "scheme", "host", "port", "ok", "failed_step", "failure", "detail")
    } == {
        "kind": "ndes",
        "scheme": "https",
        "host": "good.lab.example",
        "port": servers["good"].site.port("https"),
        "ok": True,
        "failed_step": None,
        "failure": None,
        "detail": None,
    }
    assert [step["step"] for step in answer["steps"]] == [
        "dns", "proxy", "connect", "tls", "get_ca_caps", "get_ca_cert", "clock",
    ]  # fmt: skip
    assert [step["ok"] for step in answer["steps"]] == [True, None, True, True, True, True, True]
    assert [step["duration_ms"] is None for step in answer["steps"]] == [step["ok"] is None for step in answer["steps"]]
    assert all(step["error"] is None for step in answer["steps"])
    assert answer["dns"] == {"addresses": [ADDRESS]}
    assert answer["proxy"] == {"address": None, "source": "none"}
    assert answer["http"] == {"status": 200, "reason": "OK"}
    assert answer["ca_caps"] == CAPABILITIES
    assert abs(answer["clock_skew_seconds"]) < 30

    tls = answer["tls"]
    assert tls["protocol"] in ("Tls12", "Tls13")
    root, issuing = pki.sha256(lab_pki.root.certificate), pki.sha256(lab_pki.issuing.certificate)
    assert [fact["dns_names"] for fact in tls["presented"]] == [["good.lab.example"], []]
    assert [fact["sha256"] for fact in tls["presented"][1:]] == [issuing]
    assert [fact["sha256"] for fact in tls["built"]] == [tls["presented"][0]["sha256"], issuing, root]
    assert (tls["status"], tls["policy_errors"], tls["failures"]) == ([], [], [])
    assert (tls["missing_issuer"], tls["client_certificate_requested"], tls["negotiation"]) == (None, False, None)

    certificates = {fact["thumbprint"]: fact["pem"] for fact in answer["ca_certificates"]}
    expected = [leaf.certificate for leaf in lab_pki.registration_authority] + [lab_pki.issuing.certificate]
    assert certificates == {pki.thumbprint(certificate): pki.to_pem(certificate) for certificate in expected}


def test_what_a_client_asks(chains: dict[str, Answer], servers: dict[str, Ndes]) -> None:
    assert chains["good"]["ok"]
    asked = [request for request in servers["good"].site.requests if request.scheme == "https"]
    assert [(request.method, request.target) for request in asked] == [
        ("GET", f"{PATH}?operation=GetCACaps&message=default"),
        ("GET", f"{PATH}?operation=GetCACert&message=default"),
    ]
    assert asked[0].headers["Host"] == f"good.lab.example:{servers['good'].site.port('https')}"


CHAIN_ERRORS = ["RemoteCertificateChainErrors"]


@pytest.mark.parametrize(
    ("chain", "failure", "status", "policy_errors", "said"),
    [
        ("unknown_root", "untrusted_root", ["PartialChain"], CHAIN_ERRORS, "most likely that is the root"),
        (
            "unknown_root_sent",
            "untrusted_root",
            None,  # its lists can't be looked up either, which is not the point
            CHAIN_ERRORS,
            "leads to the root 'CN=Unknown Root CA, O=Strangers', which this host does not trust",
        ),
        (
            "missing_intermediate",
            "missing_intermediate",
            ["PartialChain"],
            CHAIN_ERRORS,
            "its issuer 'CN=Lab Issuing CA 1, O=Lab' is not known to this host",
        ),
        (
            "wrong_name",
            "name_mismatch",
            [],
            ["RemoteCertificateNameMismatch"],
            "is for old-wrong-name.lab.example, not for wrong-name.lab.example",
        ),
        (
            "expired",
            "expired",
            ["NotTimeValid"],
            CHAIN_ERRORS,
            "The certificate 'CN=expired.lab.example' that expired.lab.example:",
        ),
        ("not_yet_valid", "not_yet_valid", ["NotTimeValid"], CHAIN_ERRORS, "most likely this host's clock is slow"),
        ("revoked", "revoked", ["Revoked"], [], "is revoked"),
        (
            "crl_unreachable",
            "revocation_unreachable",
            ["OfflineRevocation", "RevocationStatusUnknown"],
            [],
            "is not reachable from this host",
        ),
        ("wrong_usage", "wrong_usage", ["NotValidForUsage"], CHAIN_ERRORS, "may not be used for server authentication"),
        ("no_common_protocol", "no_common_protocol", [], [], "(the newest that it takes is TLS 1.1)"),
        ("client_certificate", "client_certificate_wanted", [], [], "wants a certificate of the client"),
        ("client_certificate_tls12", "client_certificate_wanted", [], [], "wants a certificate of the client"),
        # Nothing tells an inspection device from a server that lacks its intermediate, unless the issuer is known.
        (
            "intercepted",
            "missing_intermediate",
            ["PartialChain"],
            CHAIN_ERRORS,
            "its issuer 'CN=Lab Web Inspection, O=Lab' is not known",
        ),
    ],
)
def test_chain(
    chains: dict[str, Answer],
    servers: dict[str, Ndes],
    chain: str,
    failure: str,
    status: list[str] | None,
    policy_errors: list[str],
    said: str,
) -> None:
    answer = chains[chain]
    assert (answer["ok"], answer["failed_step"], answer["failure"]) == (False, "tls", failure)
    assert said in answer["detail"]
    tls = answer["tls"]
    assert status is None or sorted(tls["status"]) == status
    assert tls["policy_errors"] == policy_errors
    assert steps(answer) == {"dns": True, "connect": True, "tls": False}
    # Not a word over a connection that did not pass.
    assert (answer["http"], answer["ca_caps"], answer["ca_certificates"]) == (None, None, None)
    assert [request for request in servers[chain].site.requests if request.scheme == "https"] == []


def test_missing_issuer_is_named(chains: dict[str, Answer], servers: dict[str, Ndes]) -> None:
    """By name and key, so that the right certificate can be found."""
    lab_pki = servers["good"].pki
    found = {chain: chains[chain]["tls"]["missing_issuer"] for chain in ("missing_intermediate", "unknown_root")}
    [issuing] = [fact for fact in chains["good"]["tls"]["built"] if fact["subject"] == "CN=Lab Issuing CA 1, O=Lab"]
    assert found["missing_intermediate"] == {
        "subject": "CN=Lab Issuing CA 1, O=Lab",
        "key_identifier": issuing["subject_key_identifier"],
    }
    assert found["unknown_root"]["subject"] == "CN=Unknown Root CA, O=Strangers"
    assert len(found["unknown_root"]["key_identifier"]) == 40
    assert chains["unknown_root_sent"]["tls"]["missing_issuer"] is None
    assert chains["unknown_root_sent"]["tls"]["built"][-1]["sha256"] == pki.sha256(lab_pki.stranger.chain[-1])


def test_second_hello(chains: dict[str, Answer]) -> None:
    tls = chains["no_common_protocol"]["tls"]
    assert (tls["protocol"], tls["presented"], tls["built"]) == (None, [], [])
    assert (tls["negotiation"]["tls"], tls["negotiation"]["protocol"]) == (True, "TLS 1.1")
    assert tls["negotiation"]["cipher_suite"].startswith("0xc0")
    assert error_of(chains["no_common_protocol"], "tls")["type"] is not None


def test_client_certificate_request_is_reported(chains: dict[str, Answer]) -> None:
    assert {chain: answer["tls"]["client_certificate_requested"] for chain, answer in chains.items()} == {
        chain: chain.startswith("client_certificate") for chain in CHAINS
    }
    # TLS 1.2 does not get as far as a protocol; the certificate was seen all the same.
    assert chains["client_certificate_tls12"]["tls"]["presented"][0]["dns_names"] == [
        "client-certificate-tls12.lab.example"
    ]


def test_trust_makes_the_difference(lab: Lab, servers: dict[str, Ndes]) -> None:
    """The same servers, once the host has what it lacked; and what only the options tell."""
    host = lab.host("CHAINS2")
    write_names(host)
    lab_pki = servers["good"].pki
    put_certificate(
        host.folder, "Root", lab_pki.root.certificate, lab_pki.stranger.chain[-1], lab_pki.inspection.certificate
    )
    put_certificate(host.folder, "CA", lab_pki.issuing.certificate)
    urls = [
        servers[chain].url() for chain in ("unknown_root", "missing_intermediate", "intercepted", "crl_unreachable")
    ]
    by_name, by_print, other_print, unchecked = run(
        lab,
        host,
        {
            "urls": urls,
            "expected_issuers": ["CN=Lab Issuing CA 1, O=Lab", "cn=unknown root ca, o=strangers"],
            **GENEROUS,
        },
        {"urls": urls[:3], "expected_issuers": [pki.sha256(lab_pki.root.certificate).upper()], **GENEROUS},
        {"urls": urls[:1], "expected_issuers": [":".join(["ab"] * 32)], **GENEROUS},
        {"urls": urls, "check_revocation": False, **GENEROUS},
    )
    assert [answer["failure"] for answer in by_name] == [None, None, "intercepted", "revocation_unreachable"]
    assert [answer["failure"] for answer in by_print] == ["intercepted", None, "intercepted"]
    assert [answer["failure"] for answer in other_print] == ["intercepted"]
    # Without an option there is nothing to see: the host trusts the device.
    assert [answer["failure"] for answer in unchecked] == [None, None, None, None]
    assert "is issued by 'CN=Lab Web Inspection, O=Lab', not by whom it should be" in by_name[2]["detail"]
    assert by_name[2]["ca_caps"] is None


def test_expected_issuers_and_an_incomplete_chain(lab: Lab, servers: dict[str, Ndes]) -> None:
    """A fingerprint can't be missed in a chain that is not all there; a name can."""
    host = lab.host("CHAINS3")
    write_names(host)
    url = servers["intercepted"].url()
    name, print_of = "CN=Lab Issuing CA 1, O=Lab", pki.sha256(servers["good"].pki.root.certificate)
    found = run(
        lab,
        host,
        *({"urls": [url], "expected_issuers": one, **GENEROUS} for one in ([name], [print_of], [name, print_of])),
    )
    assert [[answer["failure"] for answer in answers] for answers in found] == [
        ["intercepted"],
        ["missing_intermediate"],
        ["missing_intermediate"],
    ]
    assert found[0][0]["tls"]["failures"] == ["intercepted", "missing_intermediate"]


# HTTP


@pytest.fixture(scope="module")
def modes(lab: Lab) -> Iterator[dict[str, Answer]]:
    """What a host finds at servers that answer in their own ways, over HTTP."""
    with ExitStack() as stack:
        shared = stack.enter_context(Ndes("ok.lab.example", https_port=None))
        found = {"ok": shared}
        for mode in MODES[1:]:
            found[mode] = stack.enter_context(Ndes(f"mode-{mode}.lab.example", https_port=None, authorities=shared.pki))
            found[mode].site.mode = mode
        late = stack.enter_context(Ndes("late.lab.example", https_port=None, authorities=shared.pki))
        late.site.modes["GetCACert"] = "html"
        alone = stack.enter_context(Ndes("alone.lab.example", https_port=None, authorities=shared.pki))
        alone.single_certificate = True
        bare = stack.enter_context(Ndes("bare.lab.example", https_port=None, authorities=shared.pki, capabilities=[]))
        ahead = stack.enter_context(Ndes("ahead.lab.example", https_port=None, authorities=shared.pki))
        ahead.site.clock_skew = 3600
        found |= {"late": late, "alone": alone, "bare": bare, "ahead": ahead}
        host = lab.host("MODES1")
        write_names(host)
        [answers] = run(lab, host, {"urls": [server.url("http") for server in found.values()], **GENEROUS})
        yield dict(zip(found, answers, strict=True))


@pytest.mark.parametrize(
    ("mode", "step", "failure", "status", "said"),
    [
        ("401", "http", "unauthorized", 401, "must allow anonymous access"),
        ("403", "http", "forbidden", 403, "forbids GetCACaps (403)"),
        ("404", "http", "not_found", 404, "has nothing at this path (404)"),
        ("407", "http", "other_status", 407, "answers GetCACaps with 407 Proxy Authentication Required"),
        ("429", "http", "busy", 429, "(429 Too Many Requests): try again later"),
        ("500", "http", "server_error", 500, "fails with GetCACaps (500 Internal Server Error)"),
        ("502", "http", "server_error", 502, "fails with GetCACaps (502 Bad Gateway)"),
        ("503", "http", "busy", 503, "(503 Service Unavailable): try again later"),
        ("html", "scep", "not_scep", 200, "answers GetCACaps with something that is no SCEP answer"),
        (
            "redirect",
            "http",
            "other_status",
            302,
            "redirects GetCACaps to https://portal.lab.example/login?next=\ufffd[31m",
        ),
        ("reset", "http", "reset", None, "ended the connection before it had answered GetCACaps"),
        ("cut", "http", "reset", 200, "ended the connection before it had answered GetCACaps"),
        ("huge", "scep", "not_scep", 200, "is too large for SCEP"),
        ("endless", "scep", "not_scep", 200, "is too large for SCEP"),
        ("garbage", "http", "not_scep", None, "is no web server"),
        ("late", "scep", "not_scep", 200, "answers GetCACert with something that holds no certificates"),
    ],
)
def test_bad_answer(
    modes: dict[str, Answer], mode: str, step: str, failure: str, status: int | None, said: str
) -> None:
    answer = modes[mode]
    assert (answer["ok"], answer["failed_step"], answer["failure"]) == (False, step, failure)
    assert said in answer["detail"]
    assert (answer["http"] or {}).get("status") == status
    asked = {"get_ca_caps": True, "get_ca_cert": False} if mode == "late" else {"get_ca_caps": False}
    assert steps(answer) == {"dns": True, "connect": True, **asked}
    assert answer["ca_certificates"] is None
    assert answer["tls"] is None


@pytest.mark.parametrize("mode", ["ok", "chunked", "close", "alone", "bare"])
def test_good_answer(modes: dict[str, Answer], mode: str) -> None:
    answer = modes[mode]
    assert answer["ok"], answer["detail"]
    assert answer["ca_caps"] == ([] if mode == "bare" else CAPABILITIES)
    assert len(answer["ca_certificates"]) == (1 if mode == "alone" else 3)
    assert steps(answer) == dict.fromkeys(("dns", "connect", "get_ca_caps", "get_ca_cert", "clock"), True)


def test_clock_skew(modes: dict[str, Answer]) -> None:
    answer = modes["ahead"]
    assert (answer["failed_step"], answer["failure"]) == ("clock", "clock_skew")
    assert answer["clock_skew_seconds"] == pytest.approx(-3600, abs=30)
    assert len(answer["ca_certificates"]) == 3
    assert steps(answer)["clock"] is False
    assert abs(modes["404"]["clock_skew_seconds"]) < 30


def test_redirect_is_reported_and_not_followed(modes: dict[str, Answer]) -> None:
    assert modes["redirect"]["http"] == {
        "status": 302,
        "reason": "Found",
        "location": "https://portal.lab.example/login?next=\ufffd[31m",
    }


def test_hostile_answer_is_data(modes: dict[str, Answer]) -> None:
    """Control characters are replaced, the rest is text, and what is no capability is not one. Its Date is none."""
    answer = modes["hostile"]
    assert answer["http"] == {"status": 200, "reason": "\ufffd[2JOK\ufffd {{ 7*7 }}"}
    assert answer["ca_caps"] == ["POSTPKIOperation", "SHA-256"]
    assert answer["clock_skew_seconds"] is None
    # The server goes away after each answer without having said so; the second request finds it the same.
    assert (answer["failed_step"], answer["failure"]) == ("scep", "not_scep")


# Names, connections and proxies


@pytest.fixture(scope="module")
def network(lab: Lab) -> Iterator[dict[str, Answer]]:
    """What becomes of URLs that lead nowhere, of an odd form, or to something else than they say."""
    with ExitStack() as stack:
        ndes = stack.enter_context(Ndes("ndes01.lab.example"))
        service = stack.enter_context(AikService(address=ADDRESS))
        service.authorities.add(AIK.format("stm").partition(".")[0].lower())
        looked_into = stack.enter_context(AikService(address=ADDRESS))
        looked_into.intercepted = True
        host = lab.host("NETWORK1")
        write_names(host, "fail gone.lab.example", "again again.lab.example", "255.255.255.255 far.lab.example")
        put_certificate(host.folder, "Root", service.root.certificate, looked_into.inspection.certificate)
        http, https = ndes.site.port("http"), ndes.site.port("https")
        aik, device = service.site.port("https"), looked_into.site.port("https")
        urls = {
            "gone": f"http://gone.lab.example{PATH}",
            "again": f"http://again.lab.example{PATH}",
            "refused": f"http://closed.lab.example:{closed_port(ADDRESS)}{PATH}",
            "far": f"http://far.lab.example{PATH}",
            "https_to_http": f"https://ndes01.lab.example:{http}{PATH}",
            "http_to_https": f"http://ndes01.lab.example:{https}{PATH}",
            "ftp": "ftp://ndes01.lab.example/",
            "nothing": "",
            "no_host": "http://",
            "user": f"http://user:secret@ndes01.lab.example:{http}{PATH}",
            "query": f"HTTP://NDES01.lab.example:{http}{PATH}?x=a b#part",
            "admin": f"http://ndes01.lab.example:{http}/certsrv/mscep_admin/",
            "unicode": f"http://b\u00fccher.lab.example:{http}{PATH}",
            "injected": f"http://ndes01.lab.example:{http}{PATH}\r\nX-Injected: 1",
            "aik_unknown": f"https://{AIK.format('IFX')}:{aik}/templates/Aik/scep",
            "aik": f"https://{AIK.format('STM')}:{aik}/templates/Aik/scep",
            "aik_intercepted": f"https://{AIK.format('AMD')}:{device}/templates/Aik/scep",
        }
        [answers] = run(
            lab, host, {"urls": [*urls.values(), urls["gone"]], "expected_issuers": ["CN=Other"], **GENEROUS}
        )
        found = dict(zip(urls, answers, strict=True))
        found["asked"] = {"targets": [request.target for request in ndes.site.requests]}
        yield found


@pytest.mark.parametrize(
    ("case", "kind", "step", "failure", "said"),
    [
        ("gone", "ndes", "dns", "name_not_resolved", "This host can't resolve gone.lab.example"),
        ("again", "ndes", "dns", "dns_timeout", "gave no answer for again.lab.example in time"),
        ("refused", "ndes", "connect", "refused", "refuses connections"),
        ("far", "ndes", "connect", "unreachable", "no way from this host to far.lab.example:80"),
        ("https_to_http", "ndes", "tls", "tls_failed", "what answers there is no TLS server"),
        ("http_to_https", "ndes", "http", "reset", "ended the connection before it had answered GetCACaps"),
        ("ftp", "other", "url", "bad_url", "has to begin with http:// or https://"),
        ("nothing", "other", "url", "bad_url", "has to begin with http:// or https://"),
        ("no_host", "other", "url", "bad_url", "have a host name"),
        ("user", "other", "url", "bad_url", "no user name"),
        ("admin", "other", "http", "unauthorized", "wants authentication"),
        ("aik_unknown", "aik", "http", "not_found", "Microsoft's AIK service does not know this authority (404)"),
        ("aik_intercepted", "aik", "tls", "intercepted", "is issued by 'CN=Lab Web Inspection, O=Lab'"),
    ],
)
def test_network(network: dict[str, Answer], case: str, kind: str, step: str, failure: str, said: str) -> None:
    answer = network[case]
    assert (answer["kind"], answer["failed_step"], answer["failure"]) == (kind, step, failure)
    assert said in answer["detail"]
    assert answer["ok"] is False


@pytest.mark.parametrize("case", ["query", "unicode", "aik"])
def test_network_good(network: dict[str, Answer], case: str) -> None:
    assert network[case]["ok"], network[case]["detail"]


def test_url_is_kept_and_used_as_a_url(network: dict[str, Answer]) -> None:
    assert (network["query"]["scheme"], network["query"]["host"]) == ("http", "ndes01.lab.example")
    assert network["unicode"]["host"] == "xn--bcher-kva.lab.example"
    targets = network["asked"]["targets"]
    assert f"{PATH}?x=a%20b&operation=GetCACaps&message=default" in targets
    # A line end in a URL does not become one in the request.
    assert not [target for target in targets if "X-Injected" in target and "%" not in target]
    assert network["user"]["dns"] is None


def test_errors_are_data(network: dict[str, Answer]) -> None:
    assert error_of(network["refused"], "connect")["type"] == "System.Net.Sockets.SocketException"
    assert {
        case: error_of(network[case], step)["code"]
        for case, step in (("gone", "dns"), ("again", "dns"), ("refused", "connect"))
    } == {
        "gone": "HostNotFound",
        "again": "TryAgain",
        "refused": "ConnectionRefused",
    }
    assert str(error_of(network["gone"], "dns")["hresult"]).startswith("0x")
    assert network["refused"]["dns"] == {"addresses": [ADDRESS]}


@pytest.fixture(scope="module")
def proxied(lab: Lab) -> Iterator[dict[str, Answer]]:
    """What becomes of requests by way of a proxy, as the machine, the account, or the option says."""
    with ExitStack() as stack:
        ndes = stack.enter_context(Ndes("ndes01.lab.example"))
        proxy = stack.enter_context(Proxy({"ndes01.lab.example": ADDRESS, ADDRESS: ADDRESS}))
        strict, closed = stack.enter_context(Proxy({})), stack.enter_context(Proxy({}))
        strict.refusal, closed.refusal = 407, 403
        machine = lab.host(
            "PROXY1",
            environment={"http_proxy": f"http://{proxy.authority}", "https_proxy": f"http://{proxy.authority}"},
        )
        # Only the proxies know the server's name.
        write_names(machine, "fail ndes01.lab.example")
        put_certificate(machine.folder, "Root", ndes.pki.root.certificate)
        setting = winhttp_setting(3, f"http={proxy.authority};https={strict.authority}", "<local>;*.direct.example")
        set_key(machine.folder, CONNECTIONS, WinHttpSettings=("Binary", setting))
        http, https = ndes.url("http"), ndes.url()
        arguments: dict[str, dict[str, Any]] = {
            "winhttp": {"urls": [http, https, "http://a.direct.example:1/", "http://intranet:1/"]},
            "account": {"proxy": "account", "urls": [http, https]},
            "strict": {"proxy": f"http://{strict.authority}", "urls": [http, https]},
            "closed": {"proxy": closed.authority, "urls": [http, https]},
            "dead": {"proxy": f"{ADDRESS}:{closed_port(ADDRESS)}", "urls": [http, https]},
        }
        answers = run(lab, machine, *({**one, **GENEROUS} for one in arguments.values()))
        found: dict[str, Any] = dict(zip(arguments, answers, strict=True))
        found["asked"] = proxy.asked
        found["names"] = {"proxy": proxy.authority, "strict": strict.authority}
        found["port"] = str(ndes.site.port("https"))
        yield found


@pytest.mark.parametrize(
    ("case", "index", "step", "failure"),
    [
        ("winhttp", 0, None, None),
        ("winhttp", 1, "proxy", "proxy_authentication"),
        ("account", 0, None, None),
        ("account", 1, None, None),
        ("strict", 0, "proxy", "proxy_authentication"),
        ("strict", 1, "proxy", "proxy_authentication"),
        ("closed", 0, "http", "forbidden"),
        ("closed", 1, "proxy", "proxy_refused"),
        ("dead", 0, "proxy", "proxy_unreachable"),
        ("dead", 1, "proxy", "proxy_unreachable"),
    ],
)
def test_proxy(proxied: dict[str, Any], case: str, index: int, step: str | None, failure: str | None) -> None:
    answer = proxied[case][index]
    assert (answer["failed_step"], answer["failure"]) == (step, failure), answer["detail"]
    # The server's name is the proxy's business.
    assert answer["dns"] is None
    assert steps(answer)["proxy"] is (step != "proxy")


def test_proxy_is_named(proxied: dict[str, Any]) -> None:
    names = proxied["names"]
    assert [answer["proxy"] for answer in proxied["winhttp"]] == [
        {"address": f"http://{names['proxy']}", "source": "winhttp"},
        {"address": f"http://{names['strict']}", "source": "winhttp"},
        {"address": None, "source": "none"},
        {"address": None, "source": "none"},
    ]
    assert proxied["account"][0]["proxy"] == {"address": f"http://{names['proxy']}", "source": "account"}
    assert proxied["strict"][0]["proxy"] == {"address": f"http://{names['strict']}", "source": "option"}
    assert f"CONNECT ndes01.lab.example:{proxied['port']} HTTP/1.1" in proxied["asked"]


def test_malformed_winhttp_settings(lab: Lab) -> None:
    """What can't be read is told, and the connection is direct."""
    host = lab.host("PROXY2")
    set_key(host.folder, CONNECTIONS, WinHttpSettings=("Binary", winhttp_setting(3, "proxy:8080")[:-4]))
    write_names(host)
    [[answer]] = run(lab, host, {"urls": [f"http://closed.lab.example:{closed_port(ADDRESS)}/"]})
    assert answer["failure"] == "refused"
    assert answer["proxy"] == {
        "address": None,
        "source": "none",
        "problem": "the value WinHttpSettings is malformed: the field at byte 12 is longer than the value",
    }


# Time


def test_ten_dead_services_take_one_time_out(lab: Lab) -> None:
    """Dead in every way: a name without an answer, a connection without one, no handshake, no answer, or a slow one."""
    host = lab.host("TIME1")
    write_names(host, *(f"delay=60 slow{number}.lab.example" for number in range(3)))
    with ExitStack() as stack:
        deaf = stack.enter_context(silent_listener(accepting=False))
        mute = stack.enter_context(silent_listener(accepting=True))
        ndes = stack.enter_context(Ndes("ndes01.lab.example", https_port=None))
        slow = stack.enter_context(Ndes("drip.lab.example", https_port=None, authorities=ndes.pki))
        ndes.site.mode, slow.site.mode = "hang", "drip"
        urls = {
            **{f"http://slow{number}.lab.example{PATH}": ("dns", "dns_timeout") for number in range(3)},
            **{f"http://deaf{number}.lab.example:{deaf}{PATH}": ("connect", "timeout") for number in range(3)},
            **{f"https://mute{number}.lab.example:{mute}{PATH}": ("tls", "timeout") for number in range(2)},
            ndes.url("http"): ("http", "timeout"),
            slow.url("http"): ("http", "timeout"),
        }
        [answers] = run(lab, host, {"urls": list(urls), "timeout": 6, "connect_timeout": 6})
    assert [(answer["failed_step"], answer["failure"]) for answer in answers] == list(urls.values())
    assert len(urls) == 10
    # Ten times 6 seconds would be 60; the machine may be slow.
    assert 6000 <= max(answer["duration_ms"] for answer in answers) < 20000
    assert "most likely a firewall drops them" in answers[3]["detail"]
    assert "does not complete the TLS handshake in time" in answers[6]["detail"]
    assert "did not answer GetCACaps in time" in answers[9]["detail"]


def test_connect_time_out_is_a_part_of_the_whole(lab: Lab) -> None:
    host = lab.host("TIME2")
    write_names(host)
    with silent_listener(accepting=False) as deaf:
        [[answer]] = run(
            lab, host, {"urls": [f"http://deaf.lab.example:{deaf}/"], "timeout": 60, "connect_timeout": 0.5}
        )
    assert (answer["failed_step"], answer["failure"]) == ("connect", "timeout")
    assert 500 <= answer["duration_ms"] < 10000


def test_host_with_a_slow_clock(lab: Lab) -> None:
    """Over HTTP the clock itself is told; over HTTPS a good certificate seems not to be valid yet."""
    host = lab.host("CLOCK1", clock_seconds=-7200)
    write_names(host)
    with Ndes("ndes01.lab.example") as ndes:
        put_certificate(host.folder, "Root", ndes.pki.root.certificate)
        [[http, https]] = run(lab, host, {"urls": [ndes.url("http"), ndes.url()], **GENEROUS}, check=True)
    assert (http["failure"], https["failure"]) == ("clock_skew", "not_yet_valid")
    assert http["clock_skew_seconds"] == pytest.approx(-7200, abs=30)


# Options

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"timeout": 0}, "timeout: 0 is not possible; it has to be more than 0 and at most 300 seconds"),
    (
        {"connect_timeout": 301},
        "connect_timeout: 301 is not possible; it has to be more than 0 and at most 300 seconds",
    ),
    ({"max_clock_skew": -1}, "max_clock_skew: -1 is not possible; it has to be more than 0 seconds"),
    ({"proxy": "http://scep:Passw0rd@p:80"}, "proxy: a user name and password in the address of a proxy are of no use"),
    ({"proxy": "socks://p:1080"}, "proxy: 'socks://p:1080' is neither winhttp, account or none, nor the address"),
    ({"expected_issuers": ["My CA"]}, "expected_issuers: 'My CA' is neither a SHA-256 fingerprint (64 hex digits) nor"),
    ({"urls": [f"http://h{number}/" for number in range(101)]}, "urls: 101 different URLs are too many; give at most"),
]


def test_options_are_checked(lab: Lab) -> None:
    fleet = lab.start(lab.host("OPTIONS1"))
    tasks = [
        {"name": f"Task {number}", MODULE: {"urls": ["http://h/"], **arguments}, "ignore_errors": True}
        for number, (arguments, _unused) in enumerate(REFUSED)
    ]
    tasks.append({"name": "None", MODULE: {"urls": []}})
    done = run_playbook([{"hosts": "all", "gather_facts": False, "tasks": tasks}], fleet.inventory_path)
    none = done.of("OPTIONS1", "None")
    assert (none.status, none.result["endpoints"]) == ("ok", [])
    results = [done.of("OPTIONS1", f"Task {number}") for number in range(len(REFUSED))]
    assert [result.status for result in results] == ["failed"] * len(REFUSED)
    for result, (_unused, said) in zip(results, REFUSED, strict=True):
        assert result.result["msg"].startswith(said)
        assert result.result["endpoints"] == []
