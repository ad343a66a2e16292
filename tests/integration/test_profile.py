"""profile on the lab: settings switched to HTTP and back, looked at in the host's files, not by what is tested."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.host_state import undo_records
from tests.integration.module_process import ModuleHost
from tests.integration.profile_host import (
    CHALLENGE,
    ID,
    PROFILES,
    SID,
    clear,
    install_key,
    read_key,
    shows_challenge,
    write_key,
    write_profile,
)
from tests.lab import pki
from tests.lab.engine import Engine
from tests.lab.fleet import Lab
from tests.lab.ndes import PATH, Ndes
from tests.lab.playbook import run_playbook

MODULE = "winpki.scep.profile"
OTHER = "https://ndes02.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"
SYNC = "MDM can write this profile again at its next sync, with the URL that its server has: change it there too."
EXAMPLE = "SOFTWARE\\Example\\Scep"


@pytest.fixture(scope="module")
def ndes() -> Iterator[Ndes]:
    with Ndes("ndes01.lab.example") as service:
        yield service


@pytest.fixture(scope="module")
def started(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleHost]:
    with ModuleHost(engine, tmp_path_factory.mktemp("host") / "client1", "profile") as running:
        (running.folder / "hosts").write_text("127.0.0.1 ndes01.lab.example\n", "ascii")
        yield running


@pytest.fixture
def host(started: ModuleHost, ndes: Ndes) -> ModuleHost:
    """The host, with a registry that has nothing of its own, and an NDES that is well."""
    clear(started.folder)
    ndes.site.mode = "ok"
    ndes.capabilities = ("POSTPKIOperation", "SHA-256")
    return started


@pytest.fixture
def switch(ndes: Ndes) -> dict[str, Any]:
    # The lab's machine may have other work; only one test is about time.
    patience = {"timeout": 120, "connect_timeout": 60}
    return {"from_url": ndes.url("https"), "url": ndes.url("http"), "allow_port": ndes.site.port("http"), **patience}


@pytest.fixture(scope="module")
def thumbprint(ndes: Ndes) -> str:
    return pki.thumbprint(ndes.pki.issuing.certificate)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def text_sha256(text: str) -> str:
    return sha256(text.encode("utf-16-le"))


def outcome(result: dict[str, Any]) -> tuple[Any, ...]:
    return result["changed"], result["before"]["url"], result["after"]["url"]


def files_of(folder: Path) -> dict[str, bytes]:
    """The host's keys with values but for the undo records, and what lies in the folder of settings."""
    found: dict[str, bytes] = {}
    for path in sorted((folder / "registry").glob("HK*.json")):
        keys = json.loads(path.read_text("utf-8"))["keys"]
        kept = {
            name: key["values"] for name, key in keys.items() if key.get("values") and "winpki.scep\\Undo" not in name
        }
        if kept:
            found[path.name] = json.dumps(kept).encode("ascii")
    settings = folder / "settings"
    if settings.is_dir():
        found |= {path.name: path.read_bytes() for path in settings.iterdir() if path.is_file()}
    return found


def setting_file(host: ModuleHost, content: bytes, name: str = "scep client.ini") -> Path:
    folder = host.folder / "settings"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    path = folder / name
    path.write_bytes(content)
    return path


# The four steps


@pytest.mark.parametrize("kind", ["String", "ExpandString"])
@pytest.mark.parametrize("sid", [None, SID])
def test_a_profile_of_mdm(
    host: ModuleHost, ndes: Ndes, switch: dict[str, Any], thumbprint: str, sid: str | None, kind: str
) -> None:
    pinned = " ".join(re.findall("..", thumbprint.lower()))
    text = f'{OTHER}; {switch["from_url"]} ;ldap://x/ü"{{{{ 7 * 7 }}}}'
    new = text.replace(switch["from_url"], switch["url"])
    write_profile(host.folder, text, pinned, sid=sid, kind=kind, RetryCount=("DWord", 3))
    first = files_of(host.folder)
    hive = "HKU" if sid else "HKLM"
    key = install_key(sid=sid)
    index = text.index(switch["from_url"])
    options = {"profile_id": ID, "role": "use_http", **switch}
    if sid:
        options |= {"scope": "user", "sid": sid}
    common = {"source": "mdm", "path": f"{hive}\\{key}", "name": "ServerURL", "kind": kind, "encoding": None}
    before, after = (
        {**common, "url": url, "urls": [{"index": index, "url": url}], "sha256": text_sha256(whole)}
        for url, whole in ((switch["from_url"], text), (switch["url"], new))
    )

    checked = host.one(options, check=True, diff=True)
    assert (checked["changed"], checked["before"], checked["after"]) == (True, before, after)
    assert (checked["change_id"], checked["undo"], checked["enrollment"]) == (None, None, None)
    assert checked["notes"] == [SYNC]
    assert checked["diff"] == {
        "before": f"{hive}\\{key}\\ServerURL: {switch['from_url']}\n",
        "after": f"{hive}\\{key}\\ServerURL: {switch['url']}\n",
    }
    proof = checked["proof"]
    assert (proof["url"], proof["status"], proof["ca_thumbprint"]) == (switch["url"], 200, thumbprint)
    assert proof["ca_caps"] == ["POSTPKIOperation", "SHA-256"]
    assert thumbprint in proof["ca_thumbprints"]
    assert files_of(host.folder) == first

    changed = host.one(options, diff=True)
    assert (changed["changed"], changed["before"], changed["after"]) == (True, before, after)
    assert changed["diff"] == checked["diff"]
    assert re.fullmatch(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}", changed["change_id"])
    assert read_key(host.folder, key, hive) == {
        "ServerURL": (kind, new),
        "Challenge": ("String", CHALLENGE),
        "CAThumbprint": ("String", pinned),
        "RetryCount": ("DWord", 3),
    }
    [record] = undo_records(host.folder)
    assert record == changed["undo"]
    assert {name: value for name, value in record.items() if name != "created"} == {
        "change_id": changed["change_id"],
        "role": "use_http",
        "module": "profile",
        "host": "CLIENT1",
        "state": "done",
        "before": before,
        "after": after,
    }
    second = files_of(host.folder)

    asked = len(ndes.site.requests)
    again = host.one(options, diff=True)
    assert (again["changed"], again["before"], again["after"]) == (False, after, after)
    assert (again["change_id"], again["undo"], again["proof"]) == (None, None, None)
    assert again["diff"]["before"] == again["diff"]["after"] == checked["diff"]["after"]
    assert len(ndes.site.requests) == asked  # what needs no change needs no proof
    assert files_of(host.folder) == second

    undo = {"undo": changed["change_id"]}
    undo_checked = host.one(undo, check=True, diff=True)
    assert (undo_checked["changed"], undo_checked["before"], undo_checked["after"]) == (True, after, before)
    assert undo_checked["diff"] == {"before": checked["diff"]["after"], "after": checked["diff"]["before"]}
    assert files_of(host.folder) == second

    undone = host.one(undo)
    assert (undone["changed"], undone["before"], undone["after"]) == (True, after, before)
    assert undone["change_id"] == changed["change_id"]
    assert files_of(host.folder) == first
    assert undo_records(host.folder) == [{**record, "state": "undone"}] == [undone["undo"]]

    undone_again = host.one(undo)
    assert (undone_again["changed"], undone_again["change_id"]) == (False, None)
    assert files_of(host.folder) == first
    assert not shows_challenge(checked, changed, again, undo_checked, undone, undone_again, record)


@pytest.mark.parametrize("kind", ["String", "ExpandString"])
def test_a_registry_value(host: ModuleHost, switch: dict[str, Any], thumbprint: str, kind: str) -> None:
    text = f'"C:\\Program Files\\x.exe" -u {switch["from_url"]} -c {CHALLENGE} "%TEMP%" {switch["from_url"]}/more'
    write_key(host.folder, EXAMPLE, {"A": ("DWord", 1), "Command": (kind, text), "Z": ("None", "00")})
    first = files_of(host.folder)
    value = {"path": f"HKEY_LOCAL_MACHINE\\{EXAMPLE}", "name": "Command"}
    options = {"registry_value": value, "ca_thumbprint": f"\u200e{thumbprint.lower()} ", **switch}

    checked = host.one(options, check=True, diff=True)
    assert outcome(checked) == (True, switch["from_url"], switch["url"])
    assert checked["diff"]["after"] == f"HKLM\\{EXAMPLE}\\Command: {switch['url']}\n"
    assert checked["notes"] == []
    assert files_of(host.folder) == first

    changed = host.one(options)
    assert outcome(changed) == (True, switch["from_url"], switch["url"])
    new = text.replace(f"{switch['from_url']} ", f"{switch['url']} ")
    assert read_key(host.folder, EXAMPLE) == {"A": ("DWord", 1), "Command": (kind, new), "Z": ("None", "00")}
    assert changed["after"]["sha256"] == text_sha256(new)

    assert outcome(host.one(options)) == (False, switch["url"], switch["url"])
    undone = host.one({"undo": changed["change_id"]})
    assert outcome(undone) == (True, switch["url"], switch["from_url"])
    assert files_of(host.folder) == first
    assert not shows_challenge(checked, changed, undone, undo_records(host.folder))


@pytest.mark.parametrize(
    ("codec", "mark", "encoding"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8", b"\xef\xbb\xbf", "utf-8"),
        ("utf-16-le", b"\xff\xfe", "utf-16-le"),
        ("utf-16-be", b"\xfe\xff", "utf-16-be"),
        ("utf-16-le", b"", "utf-16-le"),
        ("utf-16-be", b"", "utf-16-be"),
        ("cp1252", b"", "ansi"),
        ("cp932", b"", "ansi"),
        ("ascii", b"", "ascii"),
    ],
)
def test_a_file(
    host: ModuleHost, switch: dict[str, Any], thumbprint: str, codec: str, mark: bytes, encoding: str
) -> None:
    odd = {"cp932": "表示", "ascii": ""}.get(codec, "ü€")
    url = switch["from_url"]
    text = f'# {odd}\r\nurl="{url}",\nother={OTHER};\rpassword={CHALLENGE}\r\n\r\nurl2 = {url.upper()[:5]}{url[5:]}'
    new = text.replace(f'"{url}"', f'"{switch["url"]}"').replace(f"HTTPS{url[5:]}", switch["url"])
    file = setting_file(host, mark + text.encode(codec))
    file.chmod(0o640)
    options = {"file": str(file), "ca_thumbprint": thumbprint, **switch}

    checked = host.one(options, check=True, diff=True)
    assert outcome(checked) == (True, url, switch["url"])
    assert checked["before"]["encoding"] == checked["after"]["encoding"] == encoding
    assert [one["url"] for one in checked["before"]["urls"]] == [url, f"HTTPS{url[5:]}"]
    assert checked["diff"] == {
        "before": f"{file}: {url}\n{file}: HTTPS{url[5:]}\n",
        "after": f"{file}: {switch['url']}\n" * 2,
    }
    assert file.read_bytes() == mark + text.encode(codec)

    changed = host.one(options)
    assert outcome(changed) == (True, url, switch["url"])
    assert file.read_bytes() == mark + new.encode(codec)
    assert changed["after"]["sha256"] == sha256(file.read_bytes())
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in file.parent.iterdir()] == [file.name]

    again = host.one(options)
    assert outcome(again) == (False, switch["url"], switch["url"])
    assert again["change_id"] is None
    undone = host.one({"undo": changed["change_id"]})
    assert outcome(undone) == (True, switch["url"], url)
    assert file.read_bytes() == mark + text.encode(codec)
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert not shows_challenge(checked, changed, again, undone, undo_records(host.folder))


def test_a_file_with_broken_utf_16(host: ModuleHost, switch: dict[str, Any], thumbprint: str) -> None:
    # A lone surrogate before it, and two more and half a character behind it.
    parts = (b"\xff\xfe\x00\xd8", b'"\x00\x00\xdc\x00\xdc\x0d')
    first = parts[0] + switch["from_url"].encode("utf-16-le") + parts[1]
    file = setting_file(host, first)
    changed = host.one({"file": str(file), "ca_thumbprint": thumbprint, **switch})
    assert file.read_bytes() == parts[0] + switch["url"].encode("utf-16-le") + parts[1]
    host.one({"undo": changed["change_id"]})
    assert file.read_bytes() == first


def test_back_to_https_needs_no_proof(host: ModuleHost, ndes: Ndes) -> None:
    write_profile(host.folder, f"http://NDES01:80{PATH}", None)
    options = {"profile_id": ID, "from_url": f"http://ndes01{PATH}", "url": f"https://ndes01{PATH}"}
    asked = len(ndes.site.requests)
    changed = host.one(options)
    assert outcome(changed) == (True, f"http://NDES01:80{PATH}", f"https://NDES01{PATH}")
    assert changed["proof"] is None
    assert len(ndes.site.requests) == asked
    assert read_key(host.folder, install_key())["ServerURL"] == ("String", f"https://NDES01{PATH}")
    host.one({"undo": changed["change_id"]})
    assert read_key(host.folder, install_key())["ServerURL"] == ("String", f"http://NDES01:80{PATH}")


def test_the_schemes_own_ports_are_dropped(host: ModuleHost) -> None:
    try:
        service = Ndes("ndes09.lab.example", address="127.0.0.9", http_port=80)
    except OSError as error:
        pytest.skip(f"port 80 can't be had on this machine: {error}")
    with service:
        (host.folder / "hosts").write_text("127.0.0.1 ndes01.lab.example\n127.0.0.9 ndes09.lab.example\n", "ascii")
        text = f"https://Ndes09.lab.example:443{PATH}?x=1"
        write_profile(host.folder, text, pki.thumbprint(service.pki.issuing.certificate))
        url = {"from_url": f"https://ndes09.lab.example{PATH}?x=1", "url": f"http://ndes09.lab.example{PATH}?x=1"}
        changed = host.one({"profile_id": ID, **url})
    assert outcome(changed) == (True, text, f"http://Ndes09.lab.example{PATH}?x=1")
    assert [request.operation for request in service.site.requests] == ["GetCACaps", "GetCACert"]
    assert [request.parameter("x") for request in service.site.requests] == ["1", "1"]


# Refusals


def refused(host: ModuleHost, options: dict[str, Any], reason: str, message: str) -> dict[str, Any]:
    """In check mode and without, the same refusal, and nothing is written."""
    first = files_of(host.folder)
    for check in (True, False):
        result = host.fail(options, check=check, diff=True)
        assert (result["refused"], result["reason"]) == (True, reason), result["msg"]
        assert result["msg"].startswith(f"Refused, nothing was changed. {message}"), result["msg"]
        assert (result["change_id"], result["after"]) == (None, None)
        assert not shows_challenge(result)
    assert files_of(host.folder) == first
    assert undo_records(host.folder) == []
    return result


AIK = "IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net"


@pytest.mark.parametrize(
    ("rest", "reason", "message"),
    [
        (f"{AIK}/templates/Aik/scep", "aik_service", "from_url is a URL of Microsoft's AIK service"),
        (f"{AIK}{PATH}", "aik_service", "from_url is a URL of Microsoft's AIK service"),
        (f"{AIK}.:443{PATH}", "aik_service", "from_url is a URL of Microsoft's AIK service"),
        (f"x.MicrosoftAIK.azure.net{PATH}", "aik_service", "from_url is a URL of Microsoft's AIK service"),
        (
            "ndes01/certsrv/mscep_admin",
            "admin_page",
            "from_url leads to mscep_admin, the page that hands out passwords",
        ),
        ("ndes01/CertSrv/MSCEP_Admin/x", "admin_page", "from_url leads to mscep_admin, the page that hands out"),
        ("ndes01/certsrv/mscep/../mscep%5Fadmin", "admin_page", "from_url leads to mscep_admin, the page that hands"),
        ("ndes01/certsrv/mscep/%252e%252e/%256dscep_admin", "admin_page", "from_url leads to mscep_admin, the page"),
        ("ndes01/certsrv//mscep_admin", "admin_page", "from_url leads to mscep_admin, the page that hands out"),
        ("ndes01/certsrv/mscep/./mscep.dll", "not_ndes", "from_url is not a URL of NDES (a path with /certsrv/mscep/)"),
        ("ndes01/scep", "not_ndes", "from_url is not a URL of NDES (a path with /certsrv/mscep/)"),
        ("ndes01", "not_ndes", "from_url is not a URL of NDES (a path with /certsrv/mscep/)"),
        ("ndes01/certsrv/mscep/a%2fb", "bad_url", "from_url has escapes or empty parts in its path"),
        ("ndes01/certsrv/mscep//x", "bad_url", "from_url has escapes or empty parts in its path"),
        ("ndes01/certsrv/mscep/'x", "bad_url", "from_url has escapes or empty parts in its path"),
        ("ndes01/certsrv/mscep/x;http://b/", "bad_url", "from_url has escapes or empty parts in its path"),
        ("ndes01/certsrv/mscep/x\x00", "bad_url", "from_url is not a plain URL: it has to be http:// or https://"),
        ("ndes01/certsrv/mscep/x#y", "bad_url", "from_url is not a plain URL: it has to be http:// or https://"),
        ("nd\u212a/certsrv/mscep/x", "bad_url", "from_url is not a plain URL: it has to be http:// or https://"),
        ("ndes01:0/certsrv/mscep/x", "bad_url", "from_url is not a plain URL: it has to be http:// or https://"),
        ("", "bad_url", "from_url is not a plain URL: it has to be http:// or https://"),
        (f"u:{CHALLENGE}@ndes01{PATH}", "secret_in_url", "from_url has a user name, a password or a challenge in it"),
        (f"ndes01{PATH}?pwd={CHALLENGE}", "secret_in_url", "from_url has a user name, a password or a challenge in it"),
    ],
)
def test_urls_that_are_not_switched(host: ModuleHost, rest: str, reason: str, message: str) -> None:
    write_profile(host.folder, f"https://{rest}", "aa" * 20)
    first = files_of(host.folder)
    options = {"profile_id": ID, "from_url": f"https://{rest}", "url": f"http://{rest}"}
    result = host.fail(options)
    assert (result["refused"], result["reason"]) == (True, reason), result["msg"]
    assert result["msg"].startswith(f"Refused, nothing was changed. {message}"), result["msg"]
    assert files_of(host.folder) == first
    assert undo_records(host.folder) == []


@pytest.mark.parametrize(
    ("from_url", "url", "port", "reason", "message"),
    [
        (f"https://a{PATH}", f"https://a{PATH}", None, "not_a_switch", "url and from_url both begin with https://"),
        (
            f"https://a{PATH}",
            f"http://b{PATH}",
            None,
            "not_a_switch",
            "url and from_url differ in more than the scheme",
        ),
        (
            f"https://a{PATH}",
            f"http://a{PATH}x",
            None,
            "not_a_switch",
            "url and from_url differ in more than the scheme",
        ),
        (f"https://a{PATH}?x=1", f"http://a{PATH}", None, "not_a_switch", "url and from_url differ in more than the"),
        (f"https://a{PATH}", f"http://a{PATH.upper()}", None, "not_a_switch", "url and from_url differ in more than"),
        (f"https://a{PATH}", "http://a/certsrv/mscep_admin", None, "admin_page", "url leads to mscep_admin, the page"),
        (f"https://a{PATH}", f"ftp://a{PATH}", None, "bad_url", "url is not a plain URL: it has to be http:// or"),
        (
            f"https://a:8443{PATH}",
            f"http://a{PATH}",
            None,
            "port_not_allowed",
            "from_url has port 8443 and url port 80: where one is not the scheme's own, set allow_port to 80 if NDES",
        ),
        (
            f"https://a{PATH}",
            f"http://a:8080{PATH}",
            None,
            "port_not_allowed",
            "from_url has port 443 and url port 8080",
        ),
        (
            f"https://a{PATH}",
            f"http://a:8080{PATH}",
            8081,
            "port_not_allowed",
            "from_url has port 443 and url port 8080",
        ),
        (f"https://a{PATH}", f"http://a:443{PATH}", None, "port_not_allowed", "from_url has port 443 and url port 443"),
        (f"https://a{PATH}", f"http://a{PATH}", None, "url_not_found", f"HKLM\\{install_key()} holds neither from_url"),
    ],
)
def test_switches_that_are_refused(
    host: ModuleHost, from_url: str, url: str, port: int | None, reason: str, message: str
) -> None:
    write_profile(host.folder, f"https://a{PATH}/longer;https://b{PATH}", "aa" * 20)
    refused(host, {"profile_id": ID, "from_url": from_url, "url": url, "allow_port": port}, reason, message)


@pytest.mark.parametrize(
    ("pinned", "given", "reason", "message"),
    [
        (None, None, "ca_thumbprint_missing", f"HKLM\\{install_key()} has no usable CAThumbprint, so over HTTP the"),
        (None, "own", "ca_thumbprint_missing", f"HKLM\\{install_key()} has no usable CAThumbprint, so over HTTP the"),
        ("", None, "ca_thumbprint_missing", f"HKLM\\{install_key()} has no usable CAThumbprint, so over HTTP the"),
        ("own", "ab" * 20, "ca_thumbprint_conflict", f"ca_thumbprint is {'AB' * 20}, but the profile's own is "),
        ("own", "ab", "ca_thumbprint_invalid", "ca_thumbprint is not a SHA-1 thumbprint: it has 40 hexadecimal"),
        ("ab" * 20, None, "ca_thumbprint_mismatch", "{url} answers GetCACert with "),
        ("leaf", None, "ca_thumbprint_mismatch", "{url} answers GetCACert with "),
    ],
)
def test_thumbprints_that_are_refused(
    host: ModuleHost,
    ndes: Ndes,
    switch: dict[str, Any],
    thumbprint: str,
    pinned: str | None,
    given: str | None,
    reason: str,
    message: str,
) -> None:
    # The root is above the CA that issues, but GetCACert does not hold it.
    names = {"own": thumbprint, "leaf": pki.thumbprint(ndes.pki.root.certificate)}
    write_profile(host.folder, switch["from_url"], names.get(pinned or "", pinned))
    options = {"profile_id": ID, "ca_thumbprint": names.get(given or "", given), **switch}
    refused(host, options, reason, message.format(url=switch["url"]))


@pytest.mark.parametrize("source", ["registry", "file"])
@pytest.mark.parametrize(
    ("given", "reason"),
    [(None, "ca_thumbprint_missing"), ("x", "ca_thumbprint_invalid"), ("ab" * 20, "ca_thumbprint_mismatch")],
)
def test_other_settings_need_a_thumbprint(
    host: ModuleHost, switch: dict[str, Any], source: str, given: str | None, reason: str
) -> None:
    file = setting_file(host, switch["from_url"].encode())
    write_key(host.folder, EXAMPLE, {"Url": ("String", switch["from_url"])})
    place: dict[str, dict[str, Any]] = {
        "registry": {"registry_value": {"path": f"HKLM\\{EXAMPLE}", "name": "Url"}},
        "file": {"file": str(file)},
    }
    refused(host, {**place[source], "ca_thumbprint": given, **switch}, reason, "")


@pytest.mark.parametrize("mode", ["404", "403", "500", "html", "redirect", "reset", "garbage", "hostile", "hang"])
def test_http_that_is_not_proven(
    host: ModuleHost, ndes: Ndes, switch: dict[str, Any], thumbprint: str, mode: str
) -> None:
    write_profile(host.folder, switch["from_url"], thumbprint)
    ndes.site.mode = mode
    options = {"profile_id": ID, **switch, "timeout": 3 if mode == "hang" else 120}
    result = refused(host, options, "http_not_proven", f"{switch['url']} does not answer this host as an NDES: ")
    assert result["proof"]["url"] == switch["url"]


def test_http_without_capabilities(host: ModuleHost, ndes: Ndes, switch: dict[str, Any], thumbprint: str) -> None:
    write_profile(host.folder, switch["from_url"], thumbprint)
    ndes.capabilities = ()
    message = f"{switch['url']} answers GetCACaps with no capabilities, so it is no NDES that works."
    refused(host, {"profile_id": ID, **switch}, "http_not_proven", message)


def test_a_name_that_is_not_resolved(host: ModuleHost) -> None:
    url = f"https://nowhere.lab.example{PATH}"
    write_profile(host.folder, url, "aa" * 20)
    options = {"profile_id": ID, "from_url": url, "url": url.replace("https", "http")}
    result = refused(host, options, "http_not_proven", f"http://nowhere.lab.example{PATH} does not answer this host")
    assert "can't resolve nowhere.lab.example" in result["msg"]


@pytest.mark.parametrize(
    ("options", "reason", "message"),
    [
        ({"profile_id": "none"}, "no_key", f"There is no key HKLM\\{install_key('none')} in the 64-bit view of the"),
        ({"profile_id": ID, "scope": "user", "sid": SID}, "no_key", f"There is no key HKU\\{install_key(sid=SID)} in"),
        ({"registry_value": {"path": f"HKLM\\{EXAMPLE}", "name": "x"}}, "no_value", f"HKLM\\{EXAMPLE} has no value"),
        (
            {"registry_value": {"path": f"HKLM\\{EXAMPLE}", "name": "List"}},
            "not_text",
            f"HKLM\\{EXAMPLE}, value 'List'",
        ),
        ({"registry_value": {"path": f"HKLM\\{EXAMPLE}", "name": "Challenge"}}, "secret", f"HKLM\\{EXAMPLE}, value"),
        (
            {"registry_value": {"path": f"HKLM\\{install_key()}", "name": "ServerURL"}},
            "mdm_profile",
            f"HKLM\\{PROFILES}",
        ),
        (
            {"registry_value": {"path": f"HKLM\\{EXAMPLE}", "name": "Env"}},
            "environment_variable",
            f"HKLM\\{EXAMPLE} has",
        ),
        (
            {"registry_value": {"path": "HKLM\\SOFTWARE\\Shut", "name": "x"}},
            "denied",
            "This account may not read HKLM\\",
        ),
    ],
)
def test_values_that_are_not_changed(
    host: ModuleHost, switch: dict[str, Any], options: dict[str, Any], reason: str, message: str
) -> None:
    url = dict(switch)
    if reason == "environment_variable":
        url |= {name: f"{switch[name]}?x=%TEMP%" for name in ("from_url", "url")}
    write_profile(host.folder, url["from_url"], "aa" * 20)
    values: dict[str, tuple[str | int, Any]] = {
        "List": ("MultiString", [url["from_url"]]),
        "Challenge": ("String", f"{url['from_url']} {CHALLENGE}"),
        "Env": ("ExpandString", url["from_url"]),
    }
    write_key(host.folder, EXAMPLE, values)
    write_key(host.folder, "SOFTWARE\\Shut", {"x": ("String", url["from_url"])})
    (host.folder / "registry" / "access.json").write_text(json.dumps({"HKLM\\SOFTWARE\\Shut": "denied"}))
    refused(host, {**options, **url}, reason, message)


# Over WinRM, with what Ansible does around a module


def test_over_winrm(lab: Lab, ndes: Ndes, switch: dict[str, Any], thumbprint: str) -> None:
    ndes.site.mode = "ok"
    ndes.capabilities = ("POSTPKIOperation", "SHA-256")
    started = lab.host("CLIENT1")
    (started.folder / "hosts").write_text("127.0.0.1 *\n", "ascii")
    write_profile(started.folder, f"{switch['from_url']};{{{{ 7 * 7 }}}}ü", thumbprint)
    first = files_of(started.folder)
    wrong = {"from_url": f"https://x{PATH}", "url": f"http://x{PATH}"}
    tasks: list[dict[str, Any]] = [
        {"name": "check", MODULE: {"profile_id": ID, **switch}, "check_mode": True, "diff": True},
        {"name": "change", MODULE: {"profile_id": ID, **switch}, "register": "done"},
        {"name": "again", MODULE: {"profile_id": ID, **switch}},
        {"name": "undo", MODULE: {"undo": "{{ done.change_id }}"}},
        {"name": "refused", MODULE: {"profile_id": ID, **wrong}, "ignore_errors": True},
    ]
    fleet = lab.start(started)
    played = run_playbook([{"hosts": "all", "gather_facts": False, "tasks": tasks}], fleet.inventory_path)
    results = {str(task["name"]): played.of("CLIENT1", str(task["name"])).result for task in tasks}
    assert [result["changed"] for result in results.values()] == [True, True, False, True, False]
    assert results["change"]["after"]["url"] == switch["url"]
    assert (results["refused"]["refused"], results["refused"]["reason"]) == (True, "url_not_found")
    assert files_of(started.folder) == first
    assert [record["state"] for record in undo_records(started.folder)] == ["undone"]
    assert not shows_challenge(*results.values())
