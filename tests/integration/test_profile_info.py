"""profile_info on the lab; what it reads is written into the host's files by Python."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.host_state import deny
from tests.integration.module_process import ModuleHost
from tests.integration.profile_host import (
    CHALLENGE,
    ID,
    PROFILES,
    SID,
    clear,
    install_key,
    shows_challenge,
    write_key,
    write_profile,
)
from tests.lab.engine import Engine
from tests.lab.fleet import Lab
from tests.lab.playbook import run_playbook

MODULE = "winpki.scep.profile_info"
NDES = "https://ndes01.intra.example/certsrv/mscep/mscep.dll/pkiclient.exe"
AIK = "https://IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net/templates/Aik/scep"
THUMBPRINT = "0B7C1E5D2A94F8360E1D7A55C08B3F6692D4EE17"
NOTHING: dict[str, Any] = {
    "scope": None, "sid": None, "id": None, "name": None, "kind": None, "url": None, "urls": [], "endpoints": [],
    "ca_thumbprint": None, "ca_thumbprint_text": None, "subject_name": None, "subject_alternative_names": None,
    "template_name": None, "key_usage": None, "key_length": None, "key_protection": None, "hash_algorithm": None,
    "eku_mapping": None, "retry_count": None, "retry_delay": None, "current_retry_count": None, "valid_period": None,
    "valid_period_units": None, "status": None, "error_code": None, "certificate_thumbprint": None, "encoding": None,
    "bom": None, "lines": [], "notes": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def started(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleHost]:
    with ModuleHost(engine, tmp_path_factory.mktemp("host") / "client1", "profile_info") as running:
        yield running


@pytest.fixture
def host(started: ModuleHost) -> ModuleHost:
    """The host, with a registry that has nothing of its own."""
    clear(started.folder)
    return started


def endpoint(url: str, kind: str, scheme: str | None, name: str | None, port: int | None) -> dict[str, Any]:
    return {"url": url, "kind": kind, "scheme": scheme, "host": name, "port": port}


def only(result: dict[str, Any]) -> dict[str, Any]:
    [found] = result["profiles"]
    return dict(found)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "registry").glob("*.json")}


def test_a_host_without_profiles(host: ModuleHost) -> None:
    result = host.one({})
    assert (result["changed"], result["profiles"], result["notes"]) == (False, [], [])


def test_a_profile_of_the_device(host: ModuleHost) -> None:
    write_profile(
        host.folder,
        NDES,
        "0b 7c 1e 5d 2a 94 f8 36 0e 1d  7a 55 c0 8b 3f 66 92 d4 ee 17",
        SubjectName=("String", "CN=CLIENT1"),
        SubjectAlternativeNames=("String", "2+client1.intra.example"),
        TemplateName=("String", "ScepDevice"),
        KeyUsage=("DWord", 160),
        KeyLength=("DWord", 2048),
        KeyProtection=("DWord", 3),
        HashAlgorithm=("String", "SHA-2"),
        EKUMapping=("String", "1.3.6.1.5.5.7.3.2"),
        RetryCount=("DWord", 3),
        RetryDelay=("DWord", 1),
        CurrentRetryCount=("DWord", 2),
        ValidPeriod=("String", "Years"),
        ValidPeriodUnits=("DWord", 1),
    )
    state = {
        "Status": ("DWord", 16),
        "ErrorCode": ("DWord", 0x80072F8F),
        "CertThumbprint": ("String", "aa" * 20),
    }
    write_key(host.folder, f"{PROFILES}\\{ID}", state)
    before = files_of(host.folder)

    for check in (False, True):
        result = host.one({}, check=check, diff=True)
        assert result["changed"] is False
        assert only(result) == {
            **NOTHING,
            "source": "mdm",
            "scope": "device",
            "id": ID,
            "path": f"HKLM\\{install_key()}",
            "name": "ServerURL",
            "kind": "String",
            "url": NDES,
            "urls": [NDES],
            "endpoints": [endpoint(NDES, "ndes", "https", "ndes01.intra.example", 443)],
            "ca_thumbprint": THUMBPRINT,
            "ca_thumbprint_text": "0b 7c 1e 5d 2a 94 f8 36 0e 1d  7a 55 c0 8b 3f 66 92 d4 ee 17",
            "subject_name": "CN=CLIENT1",
            "subject_alternative_names": "2+client1.intra.example",
            "template_name": "ScepDevice",
            "key_usage": 160,
            "key_length": 2048,
            "key_protection": 3,
            "hash_algorithm": "SHA-2",
            "eku_mapping": "1.3.6.1.5.5.7.3.2",
            "retry_count": 3,
            "retry_delay": 1,
            "current_retry_count": 2,
            "valid_period": "Years",
            "valid_period_units": 1,
            "status": 16,
            "error_code": "0x80072f8f",
            "certificate_thumbprint": "AA" * 20,
        }
        assert not shows_challenge(result)
    assert files_of(host.folder) == before


def test_profiles_of_users_whose_hive_is_loaded(host: ModuleHost) -> None:
    write_profile(host.folder, NDES, THUMBPRINT)
    write_profile(host.folder, f"{AIK};{NDES}", THUMBPRINT, profile_id="A1", sid=SID)
    write_profile(host.folder, NDES, THUMBPRINT, profile_id="A2", sid="S-1-12-1-1-2-3-4")
    # The classes of a user are a hive of their own, and no user.
    write_profile(host.folder, NDES, THUMBPRINT, profile_id="A3", sid=f"{SID}_Classes")
    result = host.one({})
    found = {(one["scope"], one["sid"], one["id"]): one for one in result["profiles"]}
    assert set(found) == {("device", None, ID), ("user", SID, "A1"), ("user", "S-1-12-1-1-2-3-4", "A2")}
    user = found["user", SID, "A1"]
    assert user["path"] == f"HKU\\{SID}\\{PROFILES}\\A1\\Install"
    assert (user["url"], user["urls"]) == (AIK, [AIK, NDES])
    assert user["endpoints"] == [
        endpoint(AIK, "aik", "https", AIK[8:].split("/", maxsplit=1)[0].lower(), 443),
        endpoint(NDES, "ndes", "https", "ndes01.intra.example", 443),
    ]
    assert not shows_challenge(result)


@pytest.mark.parametrize(
    ("text", "urls", "kinds"),
    [
        (f" {NDES} ; http://b.example:8080/scep;;", [NDES, "http://b.example:8080/scep"], ["ndes", "other"]),
        (
            "HTTPS://NDES01/CERTSRV/MSCEP/mscep.dll;https://[2001:db8::1]:8443/certsrv/mscep/mscep.dll?x=1",
            ["HTTPS://NDES01/CERTSRV/MSCEP/mscep.dll", "https://[2001:db8::1]:8443/certsrv/mscep/mscep.dll?x=1"],
            ["ndes", "ndes"],
        ),
        (
            "https://a/certsrv/mscep/../mscep_admin;https://a/certsrv/mscep/%2E%2e/mscep_admin",
            ["https://a/certsrv/mscep/../mscep_admin", "https://a/certsrv/mscep/%2E%2e/mscep_admin"],
            ["other", "other"],
        ),
        ("https://a/certsrv/mscep_admin", ["https://a/certsrv/mscep_admin"], ["other"]),
        (
            "https://microsoftaik.azure.net.example/scep;https://a\u212a.example/certsrv/mscep/x",
            ["https://microsoftaik.azure.net.example/scep", "https://a\u212a.example/certsrv/mscep/x"],
            ["other", "other"],
        ),
        (
            "'\"{{ 7 * 7 }}$(1+1)`<script>\u202e\x1b[31mü",
            ["'\"{{ 7 * 7 }}$(1+1)`<script>\u202e\x1b[31mü"],
            ["other"],
        ),
        ("https://a/certsrv/mscep/\x00x", ["https://a/certsrv/mscep/\x00x"], ["other"]),
        (
            "https://a/certsrv/mscep/\ud800;https://\uff4eb.example/certsrv/mscep/x",
            ["https://a/certsrv/mscep/\ufffd", "https://\uff4eb.example/certsrv/mscep/x"],
            ["other", "other"],
        ),
        ("https://a:99999/certsrv/mscep/x", ["https://a:99999/certsrv/mscep/x"], ["other"]),
    ],
)
def test_urls(host: ModuleHost, text: str, urls: list[str], kinds: list[str]) -> None:
    write_profile(host.folder, text, THUMBPRINT)
    found = only(host.one({}))
    assert (found["urls"], found["url"]) == (urls, urls[0])
    assert [one["kind"] for one in found["endpoints"]] == kinds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            f"https://a/certsrv/mscep/mscep.dll?challenge={CHALLENGE}&x=1",
            "https://a/certsrv/mscep/mscep.dll?challenge=***&x=1",
        ),
        (f"https://scep:{CHALLENGE}@a/certsrv/mscep/x", "https://***@a/certsrv/mscep/x"),
    ],
)
def test_a_secret_in_a_url_is_not_shown(host: ModuleHost, text: str, shown: str) -> None:
    write_profile(host.folder, text, THUMBPRINT)
    file = host.folder / "secret.ini"
    file.write_text(f"url={text}\nchallenge={CHALLENGE}\n", "ascii")
    result = host.one({"files": [str(file)]})
    note = "A URL has a user name, a password or a challenge in it, which is not shown."
    assert [(one["url"], one["notes"]) for one in result["profiles"]] == [(shown, [note])] * 2
    assert not shows_challenge(result)


@pytest.mark.parametrize(
    ("kind", "data", "normal", "text", "notes"),
    [
        ("String", "\u200e0b7c1e5d2a94f8360e1d7a55c08b3f6692d4ee17\r\n", THUMBPRINT, None, []),
        ("String", ":".join([THUMBPRINT[at : at + 2] for at in range(0, 40, 2)]), THUMBPRINT, None, []),
        ("Binary", THUMBPRINT.lower(), THUMBPRINT, THUMBPRINT, []),
        ("String", "", None, None, ["CAThumbprint is not a SHA-1 thumbprint of 40 hexadecimal digits."]),
        ("String", "ab" * 32, None, None, ["CAThumbprint is not a SHA-1 thumbprint of 40 hexadecimal digits."]),
    ],
)
def test_thumbprints_as_they_are_written(
    host: ModuleHost, kind: str, data: str, normal: str | None, text: str | None, notes: list[str]
) -> None:
    write_profile(host.folder, NDES, None, CAThumbprint=(kind, data))
    found = only(host.one({}))
    assert (found["ca_thumbprint"], found["notes"]) == (normal, notes)
    assert found["ca_thumbprint_text"] == (data if text is None else text)


def test_a_file_whose_replacing_was_cut_off_is_still_found(host: ModuleHost, tmp_path: Path) -> None:
    file, backup = tmp_path / "scep.ini", tmp_path / "scep.ini.winpki.scep.old"
    backup.write_text(f"url={NDES}\n")
    found = only(host.one({"files": [str(file)]}))
    assert (found["path"], found["url"]) == (str(file), NDES)
    assert found["notes"] == [
        f"There is no file {file}: a change that was cut off left it as {backup}, which is read; the next change of it "
        "puts it back."
    ]
    backup.write_text("nothing")
    assert only(host.one({"files": [str(file)]}))["notes"][1:] == ["The file holds no SCEP URL."]


def test_values_of_other_kinds(host: ModuleHost) -> None:
    write_profile(
        host.folder,
        "x" * 9000,
        None,
        kind="ExpandString",
        RetryCount=("QWord", 5),
        EKUMapping=("MultiString", ["1.2", "3.4"]),
        KeyUsage=("Binary", "0102"),
        KeyLength=("DWord", 4294967295),
    )
    write_key(host.folder, f"{PROFILES}\\{ID}", {"ErrorCode": ("String", "-2147012721"), "Status": ("String", "1")})
    found = only(host.one({}))
    assert (found["url"], found["kind"]) == ("x" * 8192, "ExpandString")
    assert (found["retry_count"], found["eku_mapping"], found["key_length"]) == (5, ["1.2", "3.4"], 4294967295)
    assert (found["key_usage"], found["status"], found["error_code"]) == (None, "1", "0x80072f8f")
    assert found["notes"] == [
        "ServerURL is longer than 8192 characters and is cut.",
        "KeyUsage is of the type Binary, which is not read.",
    ]


def test_a_profile_without_its_parts(host: ModuleHost) -> None:
    write_key(host.folder, f"{PROFILES}\\B1", {"Status": ("DWord", 1)})
    write_key(host.folder, install_key("B2"), {"ServerURL": ("DWord", 1)})
    found = {one["id"]: one for one in host.one({})["profiles"]}
    assert (found["B1"]["status"], found["B1"]["url"]) == (1, None)
    assert found["B1"]["notes"] == ["The profile has no key Install, so it has no URL."]
    assert (found["B2"]["url"], found["B2"]["urls"]) == (None, [])
    assert found["B2"]["notes"] == ["The profile has no URL in the value ServerURL."]


def test_what_may_not_be_read_is_said(host: ModuleHost) -> None:
    write_profile(host.folder, NDES, THUMBPRINT)
    write_profile(host.folder, NDES, THUMBPRINT, sid=SID)
    access = host.folder / "registry" / "access.json"
    access.write_text(json.dumps({f"HKLM\\{PROFILES}": "denied", f"HKU\\{SID}\\{PROFILES}\\{ID}\\Install": "denied"}))
    result = host.one({})
    assert result["notes"] == [
        f"This account may not read HKLM\\{PROFILES}; an account with administrator rights is needed."
    ]
    found = only(result)
    assert (found["scope"], found["url"]) == ("user", None)
    assert found["notes"] == [
        f"This account may not read HKU\\{SID}\\{PROFILES}\\{ID}\\Install; "
        "an account with administrator rights is needed."
    ]


# Values and files that the operator names


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("HKLM\\SOFTWARE\\Example\\Scep", "HKLM\\SOFTWARE\\Example\\Scep"),
        ("HKLM:\\SOFTWARE\\Example\\Scep\\", "HKLM\\SOFTWARE\\Example\\Scep"),
        ("Registry::hkey_local_machine\\SOFTWARE\\Example\\Scep", "HKLM\\SOFTWARE\\Example\\Scep"),
    ],
)
def test_a_registry_value(host: ModuleHost, path: str, key: str) -> None:
    write_key(host.folder, "SOFTWARE\\Example\\Scep", {"Url": ("ExpandString", f"-u {NDES} -c {CHALLENGE}")})
    result = host.one({"registry_values": [{"path": path, "name": "url"}]})
    assert only(result) == {
        **NOTHING,
        "source": "registry",
        "path": key,
        "name": "url",
        "kind": "ExpandString",
        "url": NDES,
        "urls": [NDES],
        "endpoints": [endpoint(NDES, "ndes", "https", "ndes01.intra.example", 443)],
    }
    assert not shows_challenge(result)


def test_values_of_users(host: ModuleHost) -> None:
    own = "S-1-5-21-1004336348-1177238915-682003330-500"
    write_key(host.folder, f"{own}\\Software\\Example", {"": ("String", NDES)}, "HKU")
    write_key(host.folder, f"{SID}\\Software\\Example", {"Url": ("String", AIK)}, "HKU")
    values = [
        {"path": "HKCU\\Software\\Example", "name": ""},
        {"path": f"HKEY_USERS\\{SID}\\Software\\Example", "name": "Url"},
    ]
    found = host.one({"registry_values": values})["profiles"]
    assert [(one["path"], one["url"]) for one in found] == [
        ("HKCU\\Software\\Example", NDES),
        (f"HKU\\{SID}\\Software\\Example", AIK),
    ]


@pytest.mark.parametrize(
    ("path", "name", "note"),
    [
        ("HKLM\\SOFTWARE\\Nothing", "Url", "There is no key HKLM\\SOFTWARE\\Nothing in the 64-bit view"),
        ("HKLM\\SOFTWARE\\Example", "Other", "HKLM\\SOFTWARE\\Example has no value 'Other'."),
        ("HKLM\\SOFTWARE\\Example", "Count", "HKLM\\SOFTWARE\\Example, value 'Count', is of type DWord; only REG_SZ"),
        ("HKLM\\SOFTWARE\\Example", "List", "HKLM\\SOFTWARE\\Example, value 'List', is of type MultiString; only"),
        ("HKLM\\SOFTWARE\\Example", "Text", "The value holds no http or https URL."),
        ("HKCR\\Example", "Url", "registry_values: 'HKCR\\Example' is not the path of a registry key; it has to begin"),
        ("HKLM", "Url", "registry_values: 'HKLM' is not the path of a registry key; it has to begin with HKLM\\,"),
        ("HKLM\\SOFTWARE\\Shut", "x", "This account may not read HKLM\\SOFTWARE\\Shut; an account with"),
        ("HKLM\\SOFTWARE\\Example", "Challenge", "HKLM\\SOFTWARE\\Example, value 'Challenge', may hold a challenge,"),
        (f"HKLM\\{install_key()}\\Challenge", "", f"HKLM\\{install_key()}\\Challenge, value '', may hold a challenge,"),
    ],
)
def test_registry_values_that_say_nothing(host: ModuleHost, path: str, name: str, note: str) -> None:
    write_profile(host.folder, NDES, THUMBPRINT)
    values = {
        "Count": ("DWord", 1),
        "List": ("MultiString", [NDES]),
        "Text": ("String", "none"),
        "Challenge": ("String", f"https://a/{CHALLENGE}"),
    }
    write_key(host.folder, "SOFTWARE\\Example", values)
    write_key(host.folder, "SOFTWARE\\Shut", {"x": ("String", NDES)})
    deny(host.folder, "SOFTWARE\\Shut", "denied")
    result = host.one({"registry_values": [{"path": path, "name": name}]})
    [found] = [one for one in result["profiles"] if one["source"] == "registry"]
    assert (found["url"], len(found["notes"])) == (None, 1)
    assert found["notes"][0].startswith(note)
    assert not shows_challenge(result)


TEXT = f"# ürl\r\n[scep]\r\nurl = {NDES}\r\nold={NDES};AIK={AIK}\nsite=https://www.example/\rpassword={CHALLENGE}\r\n"


@pytest.mark.parametrize(
    ("codec", "mark", "encoding", "bom"),
    [
        ("utf-8", b"", "utf-8", False),
        ("utf-8", b"\xef\xbb\xbf", "utf-8", True),
        ("utf-16-le", b"\xff\xfe", "utf-16-le", True),
        ("utf-16-be", b"\xfe\xff", "utf-16-be", True),
        ("utf-16-le", b"", "utf-16-le", False),
        ("utf-16-be", b"", "utf-16-be", False),
        ("cp1252", b"", "ansi", False),
    ],
)
def test_a_file(host: ModuleHost, codec: str, mark: bytes, encoding: str, bom: bool) -> None:
    file = host.folder / "scep client.ini"
    file.write_bytes(mark + TEXT.encode(codec))
    result = host.one({"files": [str(file)]})
    first, second = result["profiles"]
    assert first == {
        **NOTHING,
        "source": "file",
        "path": str(file),
        "url": NDES,
        "urls": [NDES],
        "endpoints": [endpoint(NDES, "ndes", "https", "ndes01.intra.example", 443)],
        "encoding": encoding,
        "bom": bom,
        "lines": [3, 4],
    }
    assert (second["url"], second["lines"], second["endpoints"][0]["kind"]) == (AIK, [4], "aik")
    assert not shows_challenge(result)
    assert file.read_bytes() == mark + TEXT.encode(codec)


@pytest.mark.parametrize(
    ("content", "encoding", "note"),
    [
        (b"", "ascii", "The file holds no SCEP URL."),
        (b"site=https://www.example/\n", "ascii", "The file holds no SCEP URL."),
        (b"MZ\x00\x01\x00https://a/certsrv/mscep/", None, "{} is no text in UTF-8, UTF-16 or a code page, so no URL"),
        (b"\xff\xfe\x00\x00h\x00\x00\x00", None, "{} is no text in UTF-8, UTF-16 or a code page, so no URL"),
        (b" " * 8388609, None, "{} has 8388609 bytes; a file of settings of more than 8388608 is not read."),
    ],
)
def test_files_that_say_nothing(host: ModuleHost, content: bytes, encoding: str | None, note: str) -> None:
    file = host.folder / "odd.bin"
    file.write_bytes(content)
    found = only(host.one({"files": [str(file)]}))
    assert (found["url"], found["lines"], found["encoding"]) == (None, [], encoding)
    assert [text.startswith(note.format(file)) for text in found["notes"]] == [True]


def test_files_that_cannot_be_read(host: ModuleHost) -> None:
    locked = host.folder / "locked.ini"
    locked.write_text(NDES)
    paths = [str(host.folder / "none.ini"), str(host.folder), "scep.ini", str(locked), f"{locked}/../x"]
    with locked.open("r+b") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        found = host.one({"files": paths})["profiles"]
    assert [one["path"] for one in found] == paths
    assert [one["notes"][0] for one in found] == [
        f"There is no file {host.folder}/none.ini.",
        f"This account may not read {host.folder}, or it is a folder.",
        "files: 'scep.ini' is not the full path of a file; give it with its drive and without '..', as in "
        "C:\\ProgramData\\Example\\scep.ini.",
        f"{locked} is in use by another program: close it, or stop the service that it belongs to.",
        f"files: '{locked}/../x' is not the full path of a file; give it with its drive and without '..', as in "
        "C:\\ProgramData\\Example\\scep.ini.",
    ]


def test_over_winrm(lab: Lab) -> None:
    started = lab.host("CLIENT1")
    hostile = "https://a/certsrv/mscep/{{ 7 * 7 }}$(1+1)\u202eü"
    write_profile(started.folder, f"{NDES};{hostile}", THUMBPRINT, SubjectName=("String", "CN={{ 7 * 7 }} ü\u0000"))
    write_profile(started.folder, AIK, THUMBPRINT, sid=SID)
    file = started.folder / "scep.xml"
    file.write_bytes(b"\xff\xfe" + f'<scep url="{NDES}" challenge="{CHALLENGE}"/>'.encode("utf-16-le"))
    options = {"files": [str(file)], "registry_values": [{"path": f"HKLM\\{install_key()}", "name": "ServerURL"}]}
    tasks = [{"name": "read", MODULE: options}, {"name": "check", MODULE: options, "check_mode": True, "diff": True}]
    fleet = lab.start(started)
    played = run_playbook([{"hosts": "all", "gather_facts": False, "tasks": tasks}], fleet.inventory_path)
    for task in ("read", "check"):
        result = played.of("CLIENT1", task)
        assert (result.status, result.result["changed"]) == ("ok", False)
        found = result.result["profiles"]
        assert [(one["source"], one["scope"], one["url"]) for one in found] == [
            ("mdm", "device", NDES),
            ("mdm", "user", AIK),
            ("registry", None, NDES),
            ("file", None, NDES),
        ]
        assert found[0]["urls"] == [NDES, hostile]
        assert found[0]["subject_name"] == "CN={{ 7 * 7 }} ü\x00"
        assert (found[3]["encoding"], found[3]["lines"]) == ("utf-16-le", [1])
        assert not shows_challenge(result.result)
