"""profile on the lab: undo, what comes in between, files that resist, options, and enrolment."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.host_state import undo_records, write_record
from tests.integration.module_process import ModuleHost
from tests.integration.profile_host import (
    ID,
    PROFILES,
    SID,
    clear,
    install_key,
    read_key,
    write_key,
    write_profile,
)
from tests.lab.engine import Engine
from tests.lab.ndes import PATH

OLD_ID = "20260131T080000Z-0a1b2c3d"
HTTP, HTTPS = f"http://ndes01.lab.example{PATH}", f"https://ndes01.lab.example{PATH}"
TO_HTTPS = {"from_url": HTTP, "url": HTTPS}
"""The direction that needs no server; what is written, and how, is the same in both."""
PROGRAM = "C:\\Windows/System32/dmcertinst.exe"
"""In the lab a path with backslashes is a name, looked for in the folder of the host."""


@pytest.fixture(scope="module")
def started(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleHost]:
    with ModuleHost(engine, tmp_path_factory.mktemp("host") / "client1", "profile") as running:
        yield running


@pytest.fixture
def host(started: ModuleHost) -> ModuleHost:
    """The host, with a registry and settings that have nothing of their own."""
    clear(started.folder)
    (started.folder / PROGRAM).unlink(missing_ok=True)
    return started


@pytest.fixture
def folder(host: ModuleHost, tmp_path: Path) -> Path:
    """For files with settings; not one that others have something in."""
    made = tmp_path / "settings"
    made.mkdir()
    assert host.folder.is_dir()
    return made


def profile_options(**more: Any) -> dict[str, Any]:
    return {"profile_id": ID, **TO_HTTPS, **more}


def server_url(host: ModuleHost) -> Any:
    return read_key(host.folder, install_key())["ServerURL"][1]


def deny(host: ModuleHost, **rules: str) -> None:
    rules = {f"HKLM\\{key}": access for key, access in rules.items()}
    (host.folder / "registry" / "access.json").write_text(json.dumps(rules), "utf-8")


def refusal(result: dict[str, Any]) -> tuple[bool, str]:
    return result["refused"], result["reason"]


# Undo


def test_a_profile_that_mdm_wrote_again_is_not_undone(host: ModuleHost) -> None:
    write_profile(host.folder, HTTP, None)
    changed = host.one(profile_options())
    write_profile(host.folder, f"{HTTPS};{HTTP}", None)
    result = host.fail({"undo": changed["change_id"]})
    assert refusal(result) == (True, "changed_since")
    assert result["msg"].startswith(
        f"Refused, nothing was changed. HKLM\\{install_key()} is no longer as the change {changed['change_id']} left it"
    )
    assert server_url(host) == f"{HTTPS};{HTTP}"
    assert undo_records(host.folder) == [changed["undo"]]


def test_another_kind_of_value_is_not_undone(host: ModuleHost) -> None:
    write_profile(host.folder, HTTP, None)
    changed = host.one(profile_options())
    write_profile(host.folder, HTTPS, None, kind="ExpandString")
    assert refusal(host.fail({"undo": changed["change_id"]})) == (True, "changed_since")


@pytest.mark.parametrize("change", [b"x", b"\n"])
def test_a_file_that_was_changed_since_is_not_undone(host: ModuleHost, folder: Path, change: bytes) -> None:
    file = folder / "scep.ini"
    file.write_bytes(f"url={HTTP}\r\n".encode())
    changed = host.one({"file": str(file), **TO_HTTPS})
    edited = file.read_bytes() + change
    file.write_bytes(edited)
    for check in (True, False):
        assert refusal(host.fail({"undo": changed["change_id"]}, check=check)) == (True, "changed_since")
    assert file.read_bytes() == edited
    file.unlink()
    assert refusal(host.fail({"undo": changed["change_id"]})) == (True, "no_file")
    assert undo_records(host.folder) == [changed["undo"]]
    # A change that was undone has nothing more to do with the file.
    write_record(host.folder, {**changed["undo"], "state": "undone"})
    assert host.one({"undo": changed["change_id"]})["changed"] is False


def test_a_change_that_was_taken_back_by_hand(host: ModuleHost) -> None:
    write_profile(host.folder, HTTP, None)
    changed = host.one(profile_options())
    write_profile(host.folder, HTTP, None)
    assert host.one({"undo": changed["change_id"]}, check=True)["changed"] is False
    assert undo_records(host.folder) == [changed["undo"]]
    assert host.one({"undo": changed["change_id"]})["changed"] is False
    assert undo_records(host.folder) == [{**changed["undo"], "state": "undone"}]


@pytest.mark.parametrize("written", [False, True])
def test_an_interrupted_change_can_be_repeated_and_undone(host: ModuleHost, folder: Path, written: bool) -> None:
    # What a process that was killed leaves: the record, and the new file or the old one.
    file = folder / "scep.ini"
    file.write_bytes(f"url={HTTP}\n".encode())
    record = host.one({"file": str(file), **TO_HTTPS})["undo"]
    write_record(host.folder, {**record, "state": "prepared"})
    if not written:
        file.write_bytes(f"url={HTTP}\n".encode())
    assert host.one({"file": str(file), **TO_HTTPS}, check=True)["changed"] is not written
    assert host.one({"undo": record["change_id"]})["changed"] is written
    assert file.read_bytes() == f"url={HTTP}\n".encode()
    assert undo_records(host.folder) == [{**record, "state": "undone"}]


def test_what_an_interrupted_change_left_beside_the_file_is_taken_away(host: ModuleHost, folder: Path) -> None:
    file, remnant = folder / "scep.ini", folder / "scep.ini.winpki.scep.new"
    file.write_text(HTTP)
    remnant.write_text("part of a secr")
    options = {"file": str(file), **TO_HTTPS}
    host.one(options, check=True)
    assert remnant.exists()
    record = host.one(options)["undo"]
    assert list(folder.iterdir()) == [file]
    # Also where the change was cut off before the file was replaced, so that there is nothing to put back.
    file.write_text(HTTP)
    remnant.write_text("part of a secr")
    write_record(host.folder, {**record, "state": "prepared"})
    host.one({"undo": record["change_id"]}, check=True)
    assert remnant.exists()
    host.one({"undo": record["change_id"]})
    assert (list(folder.iterdir()), file.read_text()) == ([file], HTTP)


@pytest.mark.parametrize("way", ["repeat", "undo", "nothing to do"])
def test_a_file_that_was_cut_off_between_two_renamings_is_put_back(host: ModuleHost, folder: Path, way: str) -> None:
    """Windows' ReplaceFile renames the old file, then the new one; the second can fail, or never come."""
    file, backup, new = (folder / f"scep.ini{end}" for end in ("", ".winpki.scep.old", ".winpki.scep.new"))
    options = {"file": str(file), **TO_HTTPS}
    file.write_text(HTTP)
    record = host.one(options)["undo"]
    write_record(host.folder, {**record, "state": "prepared"})
    file.rename(new)
    backup.write_text(HTTP)
    if way == "undo":
        options = {"undo": record["change_id"]}
    elif way == "nothing to do":
        backup.write_text(HTTPS)
    held = {path.name: path.read_text() for path in folder.iterdir()}
    assert host.one(options, check=True)["changed"] is True
    assert {path.name: path.read_text() for path in folder.iterdir()} == held
    assert host.one(options)["changed"] is True
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"scep.ini": HTTP if way == "undo" else HTTPS}
    if way == "undo":
        assert undo_records(host.folder) == [{**record, "state": "undone"}]


def test_nothing_is_deleted_while_the_file_is_missing(host: ModuleHost, folder: Path) -> None:
    new = folder / "scep.ini.winpki.scep.new"
    new.write_text(HTTP)
    assert refusal(host.fail({"file": str(folder / "scep.ini"), **TO_HTTPS})) == (True, "no_file")
    assert [path.read_text() for path in folder.iterdir()] == [HTTP]


def test_a_damaged_record_writes_nothing(host: ModuleHost) -> None:
    write_profile(host.folder, HTTP, None)
    record = host.one(profile_options())["undo"]
    record["before"]["urls"][0]["url"] = "http://elsewhere.example/"
    write_record(host.folder, record)
    result = host.fail({"undo": record["change_id"]})
    assert "is not what it should be, so it was not." in result["msg"]
    assert server_url(host) == HTTPS


# Faults


def test_without_the_right_to_write(host: ModuleHost) -> None:
    write_profile(host.folder, HTTP, None)
    deny(host, **{PROFILES: "readonly"})
    message = host.fail(profile_options())["msg"]
    assert message.startswith("The change failed: ")
    assert message.endswith(" The host is as it was.")
    assert server_url(host) == HTTP
    assert undo_records(host.folder) == []


def test_without_an_undo_record_there_is_no_change(host: ModuleHost, folder: Path) -> None:
    write_profile(host.folder, HTTP, None)
    file = folder / "scep.ini"
    file.write_text(HTTP)
    deny(host, **{"SOFTWARE\\winpki.scep": "readonly"})
    for options in (profile_options(), {"file": str(file), **TO_HTTPS}):
        message = host.fail(options)["msg"]
        assert message.startswith("The undo record could not be written to HKLM\\SOFTWARE\\winpki.scep\\Undo: ")
    assert (server_url(host), file.read_text()) == (HTTP, HTTP)


@pytest.mark.parametrize("kind", ["mdm", "file"])
def test_an_undo_that_cannot_be_recorded_is_put_back(host: ModuleHost, folder: Path, kind: str) -> None:
    write_profile(host.folder, f"ldap://ü ;{HTTP}", None)
    file = folder / "scep.ini"
    file.write_text(f"{HTTP} {HTTP}\n")
    changed = host.one({**({"profile_id": ID} if kind == "mdm" else {"file": str(file)}), **TO_HTTPS})
    state = server_url(host), file.read_bytes()
    deny(host, **{"SOFTWARE\\winpki.scep": "readonly"})
    message = host.fail({"undo": changed["change_id"]})["msg"]
    assert message.startswith("The change failed: The undo record could not be written to ")
    assert message.endswith(" The host is as it was.")
    assert (server_url(host), file.read_bytes()) == state
    assert undo_records(host.folder) == [changed["undo"]]


def test_the_old_file_keeps_a_name_while_it_is_replaced(host: ModuleHost, folder: Path) -> None:
    # Without one ReplaceFile can lose it. Here that name can't be had, so nothing is replaced.
    file = folder / "scep.ini"
    file.write_text(HTTP)
    (folder / "scep.ini.winpki.scep.old").mkdir()
    message = host.fail({"file": str(file), **TO_HTTPS})["msg"]
    assert message.startswith("The change failed: ")
    assert message.endswith(" The host is as it was.")
    assert sorted(path.name for path in folder.iterdir()) == ["scep.ini", "scep.ini.winpki.scep.old"]
    assert file.read_text() == HTTP


def test_a_file_in_use(host: ModuleHost, folder: Path) -> None:
    file = folder / "scep.ini"
    file.write_text(HTTP)
    with file.open("r+b") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        result = host.fail({"file": str(file), **TO_HTTPS})
    assert refusal(result) == (True, "in_use")
    assert result["msg"].endswith(
        f"{file} is in use by another program: close it, or stop the service that it belongs to."
    )
    assert file.read_text() == HTTP
    assert [path.name for path in folder.iterdir()] == ["scep.ini"]


def test_a_folder_without_room_for_the_new_file(host: ModuleHost, folder: Path) -> None:
    # The name of the file beside it would be longer than a name can be.
    file = folder / ("x" * 250)
    file.write_text(HTTP)
    message = host.fail({"file": str(file), **TO_HTTPS})["msg"]
    assert message.startswith("The change failed: ")
    assert message.endswith(" The host is as it was.")
    assert (file.read_text(), len(list(folder.iterdir()))) == (HTTP, 1)
    assert undo_records(host.folder) == []


def test_a_read_only_file(host: ModuleHost, folder: Path) -> None:
    file = folder / "scep.ini"
    file.write_text(HTTP)
    file.chmod(0o444)
    assert refusal(host.fail({"file": str(file), **TO_HTTPS})) == (True, "read_only")
    assert (file.read_text(), file.stat().st_mode & 0o777) == (HTTP, 0o444)


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_is_not_followed(host: ModuleHost, folder: Path, link: str) -> None:
    real = folder / "real"
    real.mkdir()
    (real / "scep.ini").write_text(HTTP)
    if link == "file":
        named = folder / "scep.ini"
        named.symlink_to(real / "scep.ini")
    else:
        (folder / "linked").symlink_to(real)
        named = folder / "linked" / "scep.ini"
    result = host.fail({"file": str(named), **TO_HTTPS})
    assert refusal(result) == (True, "linked")
    assert result["msg"].endswith(" is a link or another reparse point: name the file that it leads to.")
    assert (real / "scep.ini").read_text() == HTTP


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"MZ\x00\x01" + HTTP.encode(), "binary"),
        (b" " * 8388609, "too_large"),
        (b"", "url_not_found"),
        (None, "no_file"),
    ],
)
def test_files_that_are_not_changed(host: ModuleHost, folder: Path, content: bytes | None, reason: str) -> None:
    file = folder / "scep.ini"
    if content is not None:
        file.write_bytes(content)
    assert refusal(host.fail({"file": str(file), **TO_HTTPS})) == (True, reason)
    assert (file.read_bytes() if content is not None else None) == content


def test_a_hostile_name_of_a_file(host: ModuleHost, folder: Path) -> None:
    file = folder / "ü $(1+1) {{ 7 * 7 }} [x] 'q' `b`.ini"
    file.write_text(HTTP)
    changed = host.one({"file": str(file), **TO_HTTPS})
    assert file.read_text() == HTTPS
    host.one({"undo": changed["change_id"]})
    assert file.read_text() == HTTP
    assert [path.name for path in folder.iterdir()] == [file.name]


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of the following is required: file, profile_id, registry_value, undo"),
        ({"profile_id": ID, "file": "/x"}, "parameters are mutually exclusive: file, profile_id, registry_value, undo"),
        ({"undo": OLD_ID, "url": HTTP, "from_url": HTTPS}, "parameters are mutually exclusive: undo, url"),
        ({"profile_id": ID, "url": HTTP}, "parameters are required together: from_url, url"),
        ({"profile_id": ID}, "url: there is nothing to do; give url and from_url, or enroll for a profile of MDM."),
        (
            {"file": "/x", "enroll": True},
            "enroll: only a profile of MDM can be enrolled from here; name it with profile_id, or leave enroll out.",
        ),
        (
            profile_options(profile_id='x" -k "y'),
            "profile_id: it has to be the name of a registry key as profile_info returns it, without quotes and "
            "backslashes.",
        ),
        (
            profile_options(profile_id="..\\x"),
            "profile_id: it has to be the name of a registry key as profile_info returns it, without quotes and "
            "backslashes.",
        ),
        (
            profile_options(scope="user"),
            "sid: it belongs to scope=user, and has to be given there: the SID of the user whose profile it is.",
        ),
        (
            profile_options(sid=SID),
            "sid: it belongs to scope=user, and has to be given there: the SID of the user whose profile it is.",
        ),
        (
            profile_options(scope="user", sid="S-1-5-21\\x"),
            "sid: 'S-1-5-21\\x' is not a SID, as in S-1-5-21-1004336348-1177238915-682003330-1104.",
        ),
        (profile_options(allow_port=0), "allow_port: 0 is not a port; it has to be from 1 to 65535."),
        (profile_options(timeout=0), "timeout: 0 is not possible; it has to be more than 0 and at most 300 seconds."),
        (
            profile_options(proxy="x y"),
            "proxy: 'x y' is neither winhttp, account or none, nor the address of an HTTP proxy, such as "
            "http://proxy.example:8080.",
        ),
        (
            {"file": "scep.ini", **TO_HTTPS},
            "file: 'scep.ini' is not the full path of a file; give it with its drive and without '..', as in "
            "C:\\ProgramData\\Example\\scep.ini.",
        ),
        (
            {"registry_value": {"path": "HKCR\\x", "name": "y"}, **TO_HTTPS},
            "registry_value: 'HKCR\\x' is not the path of a registry key; it has to begin with HKLM\\, HKU\\ or "
            "HKCU\\, as in HKLM\\SOFTWARE\\Example.",
        ),
        ({"undo": OLD_ID}, f"CLIENT1 has no undo record {OLD_ID}. undo_info lists those that it has."),
        (
            {"undo": "..\\x"},
            "This is not a change id: it has the form YYYYMMDDTHHMMSSZ-xxxxxxxx, as in 20260131T080000Z-0a1b2c3d. "
            "undo_info lists those of a host.",
        ),
    ],
)
def test_options_that_are_refused(host: ModuleHost, options: dict[str, Any], message: str) -> None:
    assert host.run(options)["msg"] == message
    assert not (host.folder / "registry" / "HKLM.json").exists()


def test_a_record_of_another_module(host: ModuleHost) -> None:
    record = {"change_id": OLD_ID, "role": None, "module": "log_level", "host": "CLIENT1"}
    rest = {"created": "2026-01-31T08:00:00.0000000Z", "state": "done", "before": {}, "after": {}}
    write_record(host.folder, {**record, **rest})
    assert host.fail({"undo": OLD_ID})["msg"] == (
        f"{OLD_ID} is a change of the module log_level, not of profile: undo it with log_level."
    )


# Enrolment


def write_program(host: ModuleHost, text: str) -> Path:
    """The MDM client's program, which notes its arguments; the file with them."""
    program, noted = host.folder / PROGRAM, host.folder / "arguments.txt"
    noted.unlink(missing_ok=True)
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{noted}"\n{text}\n', "utf-8")
    program.chmod(0o755)
    return noted


def test_enrolment_is_started(host: ModuleHost) -> None:
    write_profile(host.folder, HTTP, None)
    noted = write_program(host, "echo {not json}; echo error >&2; exit 5")
    checked = host.one(profile_options(enroll=True), check=True)
    assert (checked["changed"], checked["enrollment"]["started"]) == (True, False)
    assert checked["enrollment"]["detail"] == "In check mode no enrolment is started."
    assert not noted.exists()

    changed = host.one(profile_options(enroll=True))
    assert changed["change_id"] is not None
    enrollment = changed["enrollment"]
    assert enrollment.pop("duration_ms") >= 0
    assert enrollment == {
        "started": True,
        "program": PROGRAM,
        "exit_code": 5,
        "detail": "dmcertinst.exe ended with 5: whether a certificate came of it, event 86, 87 or 88 and the profile's "
        "status say.",
    }
    assert noted.read_text().splitlines() == [
        "-s",
        "-k",
        f"Software\\Microsoft\\SCEP\\MS DM Server\\{ID}\\Install",
        "-h",
        "HKLM",
        "-t",
        ID,
    ]


def test_enrolment_alone(host: ModuleHost) -> None:
    write_profile(host.folder, HTTPS, None)
    first = (host.folder / "registry" / "HKLM.json").read_bytes()
    noted = write_program(host, "exit 0")
    checked = host.one({"profile_id": ID, "enroll": True}, check=True)
    assert (checked["changed"], checked["change_id"], noted.exists()) == (True, None, False)
    done = host.one({"profile_id": ID, "enroll": True})
    assert (done["changed"], done["change_id"], done["before"], done["undo"]) == (True, None, None, None)
    assert (done["enrollment"]["started"], done["enrollment"]["exit_code"]) == (True, 0)
    assert noted.exists()
    assert (host.folder / "registry" / "HKLM.json").read_bytes() == first


def test_enrolment_that_goes_on(host: ModuleHost) -> None:
    write_profile(host.folder, HTTPS, None)
    write_program(host, "exec sleep 5")
    done = host.one({"profile_id": ID, "enroll": True, "enroll_timeout": 0.5})
    assert (done["enrollment"]["started"], done["enrollment"]["exit_code"]) == (True, None)
    assert done["enrollment"]["detail"].startswith("dmcertinst.exe runs for more than 0.5 s: whether a certificate")


def test_enrolment_that_cannot_be_started(host: ModuleHost) -> None:
    write_profile(host.folder, HTTPS, None)
    gone = host.one({"profile_id": ID, "enroll": True})
    assert (gone["changed"], gone["enrollment"]["started"]) == (False, False)
    assert gone["enrollment"]["detail"] == (
        f"There is no {PROGRAM} on this host, so the enrolment was not started: it comes with the next sync of MDM."
    )
    (host.folder / PROGRAM).write_bytes(b"MZ")
    broken = host.one({"profile_id": ID, "enroll": True})
    assert (broken["changed"], broken["enrollment"]["started"]) == (False, False)
    assert broken["enrollment"]["detail"].startswith(f"{PROGRAM} could not be started: ")


def test_enrolment_of_a_user_is_not_started(host: ModuleHost) -> None:
    write_profile(host.folder, HTTPS, None, sid=SID)
    noted = write_program(host, "exit 0")
    done = host.one({"profile_id": ID, "scope": "user", "sid": SID, "enroll": True})
    assert (done["changed"], done["enrollment"]["started"], noted.exists()) == (False, False, False)
    assert done["enrollment"]["detail"].startswith(
        "The enrolment of a user's profile was not started: it has to run in"
    )


def test_enrolment_of_no_profile(host: ModuleHost) -> None:
    noted = write_program(host, "exit 0")
    write_key(host.folder, f"{PROFILES}\\{ID}", {"Status": ("DWord", 1)})
    assert refusal(host.fail({"profile_id": ID, "enroll": True})) == (True, "no_key")
    assert not noted.exists()
