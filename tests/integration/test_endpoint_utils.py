"""The PowerShell under endpoint_info that reads bytes from strangers, run on the lab engine without Ansible in between.

One process does all cases of a kind: starting it is what takes time.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs12

from tests.lab import pki
from tests.lab.engine import REPOSITORY, Engine

UTILS = REPOSITORY / "plugins" / "module_utils"
MODULES = ("_Certificate", "_EndpointText", "_Http", "_Proxy", "_ScepUrl", "_Tls", "_Probe", "_ProbeTls", "_Endpoint")

Run = Callable[[str, object], Any]


@pytest.fixture(scope="module")
def run(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A function that runs a script with the modules and `$given`, and returns what it emits, as JSON has it."""
    host = tmp_path_factory.mktemp("host")

    def call(script: str, given: object) -> Any:
        (host / "given.json").write_text(json.dumps(given), encoding="utf-8")
        lines = ["Set-StrictMode -Version 2.0; $ErrorActionPreference = 'Stop'"]
        lines += [f"Import-Module '{UTILS / module}.psm1'" for module in MODULES]
        lines += [
            f"$given = ConvertFrom-Json ([System.IO.File]::ReadAllText('{host / 'given.json'}'))",
            f"$found = @(& {{ {script} }})",
            f"[System.IO.File]::WriteAllText('{host / 'found.json'}', (ConvertTo-Json -InputObject $found -Depth 9))",
        ]
        path = host / "script.ps1"
        path.write_text("\n".join(lines), encoding="utf-8")
        command = [str(engine.as_host), str(host), str(engine.pwsh), "-NoProfile", "-File", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads((host / "found.json").read_text("utf-8"))

    return call


def encoded(*parts: bytes) -> list[str]:
    return [base64.b64encode(part).decode("ascii") for part in parts]


# HTTP

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = OK + b"content-length: 5\r\nDate: Tue, 24 Nov 2026 14:42:06 GMT\r\nDate: second\r\n\r\nhello"
READ = """
foreach ($case in $given) {
    $bytes = [byte[]]@([Convert]::FromBase64String($case.bytes))
    $answer = Read-HttpResponse -Buffer $bytes -Length $bytes.Length -Ended $case.ended
    if ($null -eq $answer) { @{ more = $true } }
    else {
        @{
            more = $false; status = $answer.Status; reason = $answer.Reason; problem = $answer.Problem
            keep = $answer.KeepAlive; date = [string]$answer.Headers['date']
            body = $(if ($null -ne $answer.Body) { [Convert]::ToBase64String($answer.Body) })
        }
    }
}
"""


def read(run: Run, *cases: tuple[bytes, bool]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run(READ, [{"bytes": encoded(data)[0], "ended": ended} for data, ended in cases])
    assert len(found) == len(cases)
    return found


def test_an_answer_is_read_however_it_is_cut(run: Run) -> None:
    """Every prefix asks for more, as long as more can come; the end of a connection says that it was cut."""
    answers = [LENGTH, CHUNKED + b"3;name=v\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"]
    whole = read(run, *((answer, False) for answer in answers))
    assert [(one["status"], base64.b64decode(one["body"]), one["keep"]) for one in whole] == [
        (200, b"hello", True),
        (200, b"hello", False),
    ]
    assert whole[0]["date"] == "Tue, 24 Nov 2026 14:42:06 GMT"
    # What follows the last chunk's size line is not waited for.
    prefixes = [answer[:end] for answer in answers for end in range(len(answer) - (2 if answer != LENGTH else 0))]
    assert {one["more"] for one in read(run, *((prefix, False) for prefix in prefixes))} == {True}
    problems = {one["problem"] for one in read(run, *((prefix, True) for prefix in prefixes if prefix))}
    assert problems == {"cut"}


@pytest.fixture(scope="module")
def answers(run: Run) -> dict[str, dict[str, Any]]:
    """What is read of odd answers."""
    cases = {
        "nothing": (b"", True),
        "until the end": (OK + b"\r\nhello", True),
        "until the end, not there": (OK + b"\r\nhello", False),
        "asked to close": (LENGTH.replace(b"\r\n\r\n", b"\r\nConnection: Close\r\n\r\n"), False),
        "longer than said": (LENGTH + b"HTTP/1.1 200 OK\r\n", False),
        "no reason": (b"HTTP/1.0 200\r\nContent-Length: 0\r\n\r\n", False),
        "error": (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 999999999\r\n\r\n", False),
        "other protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        "begins well": (b"HTTP/2 200\r\n\r\n", False),
        "bad status": (b"HTTP/1.1 abc\r\n\r\n", False),
        "status too large": (b"HTTP/1.1 999 x\r\n\r\n", False),
        "negative length": (OK + b"Content-Length: -1\r\n\r\n", False),
        "absurd length": (OK + b"Content-Length: 99999999999999999999999\r\n\r\n", False),
        "too long": (OK + b"Content-Length: 1048577\r\n\r\n", False),
        "bad chunk": (CHUNKED + b"zz\r\n\r\n", False),
        "negative chunk": (CHUNKED + b"-5\r\n\r\n", False),
        "huge chunk": (CHUNKED + b"FFFFFFF\r\n\r\n", False),
        "endless chunk line": (CHUNKED + b"5;" + b"x" * 2000, False),
        "endless head": (OK + b"X: " + b"x" * 70000, False),
        "control characters": (b"HTTP/1.1 404 \x1b[2J\x07no\r\n\r\n", False),
    }
    return dict(zip(cases, read(run, *cases.values()), strict=True))


@pytest.mark.parametrize(
    ("case", "status", "problem"),
    [
        ("nothing", None, "closed"),
        ("other protocol", None, "not_http"),
        ("begins well", None, "not_http"),
        ("bad status", None, "not_http"),
        ("status too large", None, "not_http"),
        ("endless head", None, "too_large"),
        ("error", 503, None),
        ("negative length", 200, "not_http"),
        ("absurd length", 200, "not_http"),
        ("too long", 200, "too_large"),
        ("bad chunk", 200, "not_http"),
        ("negative chunk", 200, "not_http"),
        ("huge chunk", 200, "too_large"),
        ("endless chunk line", 200, "not_http"),
        ("control characters", 404, None),
    ],
)
def test_odd_answer(answers: dict[str, dict[str, Any]], case: str, status: int | None, problem: str | None) -> None:
    answer = answers[case]
    assert (answer["more"], answer["status"], answer["problem"]) == (False, status, problem)
    assert answer["body"] is None


def test_odd_answers_that_are_good(answers: dict[str, dict[str, Any]]) -> None:
    assert answers["until the end, not there"] == {"more": True}
    cases = ("until the end", "asked to close", "longer than said", "no reason")
    assert [(base64.b64decode(answers[case]["body"]), answers[case]["keep"]) for case in cases] == [
        (b"hello", False),
        (b"hello", False),
        (b"hello", True),
        (b"", True),
    ]
    assert answers["control characters"]["reason"] == "\ufffd[2J\ufffdno"


@pytest.mark.parametrize("kind", ["capabilities", "certificates"])
def test_bodies(run: Run, kind: str) -> None:
    """What is not a SCEP answer is none, whatever it holds: a PKCS#12 file could bring a key."""
    if kind == "capabilities":
        bodies = [
            b"AES\r\nPOSTPKIOperation\r\nSHA-256",
            b"",
            b" \n",
            b"<html>\n<b>AES</b>",
            b"GetNextCACert\n\x1b[1m\nRenewal\n",
        ]
        script = "$w = Read-CaCapability -Body $b; if ($null -eq $w) { 'none' } else { $w -join ' ' }"
        wanted = ["AES POSTPKIOperation SHA-256", "", "", "none", "GetNextCACert Renewal"]
    else:
        leaf = pki.Authority.root("Lab Root CA").leaf("a.lab.example")
        file = pkcs12.serialize_key_and_certificates(None, leaf.key, leaf.certificate, None, NoEncryption())
        bodies = [b"", b"<html></html>", b"\x30\x03\x02\x01\x00", file]
        script = "$c = Read-CaCertificate -Body $b; if ($null -eq $c) { 'none' } else { $c.Count }"
        wanted = ["none"] * 4
    loop = f"foreach ($text in $given) {{ $b = [byte[]]@([Convert]::FromBase64String($text)); {script} }}"
    assert run(loop, encoded(*bodies)) == wanted


# The machine's proxy


def setting(flags: int, *fields: str) -> str:
    """A WinHttpSettings value, base64."""
    value = b"".join(number.to_bytes(4, "little") for number in (0x28, 7, flags))
    for text in fields:
        value += len(text).to_bytes(4, "little") + text.encode("ascii")
    return base64.b64encode(value).decode("ascii")


PROXY = """
foreach ($case in $given) {
    $key = 'HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Connections'
    [Microsoft.Win32.Registry]::SetValue($key, 'WinHttpSettings', [byte[]]@([Convert]::FromBase64String($case[0])))
    $found = Get-WinHttpProxy -Uri $case[1]
    $address = if ($found.Address) { $found.Address.AbsoluteUri }
    @{ address = $address; script = $found.Script; problem = $found.Problem }
}
"""
PROXIES = [
    # What Microsoft documents for "no proxy".
    (base64.b64encode(bytes.fromhex("1800000000000000010000000000000000000000")).decode(), "http://a.example/", None),
    (setting(1, "old:8080"), "http://a.example/", None),
    (setting(3, "proxy:8080"), "http://a.example/", "http://proxy:8080/"),
    (setting(3, "proxy"), "https://a.example/", "http://proxy/"),
    (setting(3, "http=one:1;https=two:2"), "https://a.example/", "http://two:2/"),
    (setting(3, "http=one:1 ftp=two:2"), "https://a.example/", None),
    (setting(3, "ftp=two:2;rest:3;HTTP=one:1"), "http://a.example/", "http://one:1/"),
    (setting(3, "ftp=two:2;rest:3"), "http://a.example/", "http://rest:3/"),
    (setting(3, "proxy:8080", "*.example;<local>"), "http://a.example/", None),
    (setting(3, "proxy:8080", "*.EXAMPLE"), "http://a.example/", None),
    (setting(3, "proxy:8080", "<local>"), "http://intranet/", None),
    (setting(3, "proxy:8080", "<local>"), "http://a.example/", "http://proxy:8080/"),
    (setting(3, "proxy:8080", "a.example.com;10.*;(.*)"), "http://a.example/", "http://proxy:8080/"),
    (setting(3, "proxy:8080", "10.*"), "http://10.1.2.3/", None),
    (setting(5, "", "", "http://wpad.example/a.pac"), "http://a.example/", None),
]
MALFORMED = [
    (
        base64.b64encode(bytes(4)).decode(),
        "the value WinHttpSettings is malformed: it has 4 bytes, at least 12 are needed",
    ),
    (
        base64.b64encode(base64.b64decode(setting(3, "proxy:8080"))[:-4]).decode(),
        "the value WinHttpSettings is malformed: the field at byte 12 is longer than the value",
    ),
    (
        base64.b64encode(base64.b64decode(setting(3)) + b"\xff\xff\xff\xff").decode(),
        "the value WinHttpSettings is malformed: the field at byte 12 is longer than the value",
    ),
    (setting(3, "http=ftp://x"), "the proxy 'ftp://x' is not the address of an HTTP proxy"),
    (setting(3, "http=http://:0"), "the proxy 'http://:0' is not the address of an HTTP proxy"),
    (
        setting(3, "http=http://scep:Passw0rd@proxy:8080"),
        "the address of the proxy has a user name in it, which enrolment could not use",
    ),
    (setting(9), "WinHTTP is set to look for a proxy in the network (WPAD), which the probe does not do"),
]


def test_winhttp_settings(run: Run) -> None:
    found = run(PROXY, [[value, url] for value, url, _unused in PROXIES])
    assert [one["address"] for one in found] == [address for _unused, _unused, address in PROXIES]
    assert [one["script"] for one in found] == [None] * (len(PROXIES) - 1) + ["http://wpad.example/a.pac"]
    assert {one["problem"] for one in found} == {None}


def test_malformed_winhttp_settings(run: Run) -> None:
    found = run(PROXY, [[value, "http://a.example/"] for value, _unused in MALFORMED])
    assert [one["problem"] for one in found] == [problem for _unused, problem in MALFORMED]
    assert {one["address"] for one in found} == {None}


def test_a_proxy_of_the_account_is_shown_without_its_password(run: Run) -> None:
    script = """
    $probe = New-Probe -Url 'http://a.lab.example/' -Setting @{ Lookups = @{}; ConnectTimeout = 1.0 }
    $probe.Deadline = 1000
    & (Get-Module _Endpoint) { param ($Probe) Step-ProbeProxy -Probe $Probe -Address $given } $probe
    $probe.Result.proxy.address
    """
    assert run(script, "http://scep:Passw0rd@127.0.0.1:8080/") == ["http://127.0.0.1:8080"]


# TLS


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_hello_is_one_that_a_server_takes(run: Run, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Another implementation reads it, finds the name in it, and answers; that answer is read."""
    names = ["a", "ndes01.lab.example", ".".join(["x" * 60] * 4), "127.0.0.1", "::1"]
    hellos = run("foreach ($name in $given) { [Convert]::ToBase64String((Get-ClientHello -HostName $name)) }", names)
    certificate = pki.Authority.root("Lab Root CA").leaf("a.lab.example").write(tmp_path / "server.pem")
    seen: list[str | None] = []
    replies = []

    def named(_socket: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: object) -> None:
        seen.append(name)

    for hello in hellos:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = version
        context.load_cert_chain(certificate)
        context.set_servername_callback(named)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(base64.b64decode(hello))
        with pytest.raises(ssl.SSLError):  # it wants more, or nothing of this
            context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
        replies.append(outgoing.read())
    read_back = run(
        "foreach ($t in $given) { Read-ServerHello -Bytes ([Convert]::FromBase64String($t)) }", encoded(*replies)
    )
    if version == ssl.TLSVersion.TLSv1_3:
        assert read_back == [{"tls": True, "protocol": None, "cipher_suite": None, "alert": 70}] * 5
    else:
        assert seen == ["a", "ndes01.lab.example", names[2], None, None]
        assert {(one["tls"], one["protocol"], one["alert"]) for one in read_back} == {(True, "TLS 1.2", None)}
        assert {one["cipher_suite"] for one in read_back} <= {"0xc02b", "0xc02c", "0xcca9"}


def test_what_is_no_server_hello(run: Run) -> None:
    replies = [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x01",
        b"\x16\x03\x03\x00\x05\x02",
        b"\x16\x03\x03" + b"\x0b" * 60,
    ]
    script = "foreach ($t in $given) { Read-ServerHello -Bytes ([byte[]]@([Convert]::FromBase64String($t))) }"
    assert {one["tls"] for one in run(script, encoded(*replies))} == {False}


def test_a_chain_whose_issuer_is_looked_for_in_vain(run: Run, tmp_path: Path) -> None:
    """The network drops what asks for it, beyond the time-out: all chains are judged, and in one such time."""
    with ExitStack() as stack:
        nowhere = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        issuer_url = f"http://127.0.0.1:{nowhere.getsockname()[1]}/ca.crt"
        leaf = pki.Authority.root("Unknown").leaf("ndes", ip_addresses=["127.0.0.1"], issuer_url=issuer_url)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf.write(tmp_path / "leaf.pem"))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(60)
        pool = stack.enter_context(ThreadPoolExecutor(6))

        def serve() -> None:
            with listener.accept()[0] as connection, suppress(OSError):
                context.wrap_socket(connection, server_side=True).recv(1)

        # For each URL the handshake, and the hello that shows that the server answers.
        served = [pool.submit(serve) for _unused in range(6)]
        server = f"https://127.0.0.1:{listener.getsockname()[1]}"
        urls = [f"{server}/certsrv/mscep/mscep.dll/pkiclient.exe{number}" for number in range(3)]
        found = run("Get-ScepEndpoint -Url $given -Timeout 4 -ConnectTimeout 2 -ChainTimeout 90 -Proxy none", urls)
        for one in served:
            one.result()
    for one in found:
        assert (one["failed_step"], one["failure"]) == ("tls", "missing_intermediate")
        assert one["tls"]["status"] == ["PartialChain"]
        assert (len(one["tls"]["built"]), one["tls"]["negotiation"]["tls"]) == (1, True)
        # .NET gives up after 15 seconds; three times that would be 45.
        assert 4000 < one["duration_ms"] < 40000


def test_a_handshake_that_this_host_does_not_complete(run: Run) -> None:
    """The server answers, a second hello shows, so it is waited for longer, and in vain."""
    body = b"\x03\x03" + bytes(32) + b"\x00\xc0\x2f\x00"
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    hello = b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0], listener.accept()[0] as second:
            second.recv(4096)
            second.sendall(hello)
            ended.wait(60)

    ended = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        listener.settimeout(30)
        served = pool.submit(serve, listener)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/certsrv/mscep/mscep.dll/pkiclient.exe"
        script = "Get-ScepEndpoint -Url $given -Timeout 4 -ConnectTimeout 2 -ChainTimeout 1 -Proxy none"
        [found] = run(script, [url])
        ended.set()
        served.result()
    assert (found["failed_step"], found["failure"]) == ("tls", "timeout")
    assert found["tls"]["negotiation"] == {"tls": True, "protocol": "TLS 1.2", "cipher_suite": "0xc02f", "alert": None}
    assert " answers the first message of a TLS handshake, but this host does not complete " in found["detail"]
    assert 3000 <= found["duration_ms"] < 30000


def test_errors_are_told_by_number(run: Run) -> None:
    """Schannel's own code, and Windows' socket errors: what the lab's OpenSSL and Linux do not give."""
    script = """
    foreach ($code in 0x80090331, 0x80090326, 0x80090308) {
        Test-NoCommonProtocol -Exception ([System.ComponentModel.Win32Exception]::new($code)) -Hello $null
    }
    foreach ($code in $given) { Get-NetworkFailure -Exception ([System.Net.Sockets.SocketException]::new($code)) }
    Get-NetworkFailure -Exception ([System.IO.IOException]::new('closed'))
    """
    assert run(script, [10061, 10060, 10054, 10053, 10065, 10051, 10013, 10049]) == [
        True, False, False,
        "refused", "timeout", "reset", "reset", "unreachable", "unreachable", "unreachable", "unreachable",
        "reset",
    ]  # fmt: skip


JUDGE = """
$x509 = 'System.Security.Cryptography.X509Certificates'
function New-Status {
    param ($Names)
    , @(foreach ($name in $Names) { New-Object -TypeName "$x509.X509ChainStatus" -Property @{ Status = $name } })
}
foreach ($case in $given) {
    $elements = @(
        foreach ($element in $case.elements) {
            [PSCustomObject]@{
                Certificate = New-Object "$x509.X509Certificate2" @(, [Convert]::FromBase64String($element[0]))
                ChainElementStatus = New-Status -Names $element[1]
            }
        }
    )
    $setting = @{ ExpectedIssuer = @($case.expected); Facts = @{} }
    $probe = New-Probe -Url 'https://a.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe' -Setting $setting
    $probe.Chain = [PSCustomObject]@{ ChainElements = $elements; ChainStatus = (New-Status -Names $case.chain) }
    $probe.Record = @{ PolicyErrors = @('RemoteCertificateChainErrors') }
    $probe.Step = 'tls'
    $probe.StepBegun = 0
    $probe.Result.tls = [ordered]@{ built = @(); status = @(); failures = @(); missing_issuer = $null }
    $null = Step-ProbeChain -Probe $probe
    $tls = $probe.Result.tls
    $missing = if ($tls.missing_issuer) { $tls.missing_issuer.subject }
    @{ failures = $tls.failures; status = $tls.status; missing = $missing }
}
"""


def test_what_windows_says_of_the_chain_alone_is_heard(run: Run) -> None:
    """Windows tells at an element what is wrong with it; that the chain ends too early, at the chain only."""
    root = pki.Authority.root("Lab Root CA")
    issuing = root.intermediate("Lab Issuing CA")
    issuer = encoded(issuing.certificate.public_bytes(Encoding.DER))[0]
    server = issuing.leaf("a.lab.example", crl_url="http://crl.lab.example/ca.crl")
    leaf = encoded(server.certificate.public_bytes(Encoding.DER))[0]
    offline = ["RevocationStatusUnknown", "OfflineRevocation"]
    cases: list[dict[str, Any]] = [
        # The root is neither here nor sent; then also with revocation asked, and with a fingerprint expected.
        {"elements": [[leaf, []], [issuer, []]], "chain": ["PartialChain"], "expected": []},
        {"elements": [[leaf, offline], [issuer, offline]], "chain": ["PartialChain", *offline], "expected": []},
        {"elements": [[leaf, []], [issuer, []]], "chain": ["PartialChain"], "expected": ["0" * 64]},
        # The intermediate is missing.
        {"elements": [[leaf, []]], "chain": ["PartialChain"], "expected": []},
        # Only Windows' list of trusted certificates is at fault, which no element can tell.
        {"elements": [[leaf, []], [issuer, []]], "chain": ["CtlNotTimeValid"], "expected": []},
        # What the chain only sums up is no second finding.
        {"elements": [[leaf, ["NotTimeValid"]], [issuer, []]], "chain": ["NotTimeValid"], "expected": []},
        {"elements": [[leaf, []], [issuer, []]], "chain": [], "expected": []},
    ]
    root_name, issuing_name = "CN=Lab Root CA, O=Lab", "CN=Lab Issuing CA, O=Lab"
    assert run(JUDGE, cases) == [
        {"failures": ["untrusted_root"], "status": ["PartialChain"], "missing": root_name},
        {
            "failures": ["untrusted_root", "revocation_unreachable"],
            "status": [*offline, "PartialChain"],
            "missing": root_name,
        },
        {"failures": ["untrusted_root"], "status": ["PartialChain"], "missing": root_name},
        {"failures": ["missing_intermediate"], "status": ["PartialChain"], "missing": issuing_name},
        {"failures": ["tls_failed"], "status": ["CtlNotTimeValid"], "missing": None},
        {"failures": ["expired"], "status": ["NotTimeValid"], "missing": None},
        {"failures": [], "status": [], "missing": None},
    ]
