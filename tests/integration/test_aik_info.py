"""aik_info on the lab: TPM, certificates, registry and task are written into the host's files by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.integration.aik_host import (
    ENROL_KEY,
    TASK,
    TPM_KEY,
    endorsement,
    key_id,
    store_endorsement,
    write_task,
    write_tpm,
)
from tests.integration.host_state import deny, set_key, snapshot
from tests.integration.module_process import ModuleHost
from tests.lab import pki
from tests.lab.engine import Engine
from tests.lab.events import NDES_URL, enrolment_event
from tests.lab.fleet import Lab
from tests.lab.host import LogConfig, write_log
from tests.lab.pki import Authority
from tests.lab.playbook import run_module

NAME = "IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net"
ADMINISTRATOR = "an account with administrator rights is needed"


@pytest.fixture(scope="module")
def started(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleHost]:
    with ModuleHost(engine, tmp_path_factory.mktemp("host") / "client1", "aik_info") as running:
        yield running


@pytest.fixture
def host(started: ModuleHost) -> ModuleHost:
    """The host, without a TPM and with Windows' own tasks."""
    for file in ("registry/HKLM.json", "registry/access.json", "tpm.json", "tasks.json"):
        (started.folder / file).unlink(missing_ok=True)
    return started


@pytest.fixture(scope="module")
def infineon() -> Authority:
    return Authority.root("Infineon OPTIGA(TM) RSA Manufacturing CA 042", organization="Infineon Technologies AG")


@pytest.fixture(scope="module")
def intel() -> Authority:
    return Authority.root("CSME MCC ROM CA", organization="Intel Corporation")


def name_of(vendor: str, authority: Authority) -> str:
    return f"{vendor}-KeyId-{key_id(authority)}.microsoftaik.azure.net"


def read(host: ModuleHost, **options: str) -> dict[str, Any]:
    """What the module finds; it may never change anything."""
    before = snapshot(host.folder)
    tasks = host.folder / "tasks.json"
    tasks_before = tasks.read_bytes() if tasks.exists() else None
    result = host.one(options)
    assert result["changed"] is False
    assert snapshot(host.folder) == before
    assert (tasks.read_bytes() if tasks.exists() else None) == tasks_before
    return dict(result["aik"])


def test_a_host_without_a_tpm(host: ModuleHost) -> None:
    assert read(host) == {
        "tpm": {"present": False, "manufacturer": None, "manufacturer_version": None, "spec_version": None},
        "endorsement_key": {"present": None, "certificates": []},
        "host_name": None,
        "host_names": [],
        "matches": None,
        "state": {"error_code": None, "windows_aik_hash": None, "task_states": {}},
        "had_success": False,
        "had_success_reason": "There is no TPM.",
        "task": {
            "path": TASK,
            "exists": True,
            "enabled": True,
            "state": "ready",
            "last_run_time": None,
            "last_result": None,
            "next_run_time": None,
            "missed_runs": 0,
        },
        "notes": [],
    }


def test_the_certificate_leads_to_a_host_name(host: ModuleHost, infineon: Authority) -> None:
    certificate = endorsement(infineon, "IFX")
    write_tpm(host.folder, certificate)
    found = read(host, host_name=name_of("ifx", infineon).upper() + ".")
    assert found["tpm"] == {
        "present": True,
        "manufacturer": "IFX",
        "manufacturer_version": "7.85",
        "spec_version": "2.0, 0, 1.38",
    }
    assert found["endorsement_key"]["present"] is True
    [fact] = found["endorsement_key"]["certificates"]
    assert {key: fact[key] for key in ("sha256", "authority_key_identifier", "is_ca", "source", "pem")} == {
        "sha256": pki.sha256(certificate),
        "authority_key_identifier": key_id(infineon),
        "is_ca": False,
        "source": "manufacturer",
        "pem": pki.to_pem(certificate),
    }
    assert (fact["tpm_vendor"], fact["aik_host_name"]) == ("IFX", name_of("IFX", infineon))
    assert (found["host_name"], found["host_names"]) == (fact["aik_host_name"], [fact["aik_host_name"]])
    assert found["matches"] is True
    assert found["notes"] == []


def test_another_host_name(host: ModuleHost, infineon: Authority) -> None:
    write_tpm(host.folder, endorsement(infineon, "IFX"))
    assert read(host, host_name=NAME)["matches"] is False
    assert read(host)["matches"] is None


def test_nothing_to_compare_with(host: ModuleHost) -> None:
    write_tpm(host.folder)
    found = read(host, host_name=NAME)
    assert (found["host_name"], found["matches"]) == (None, None)
    assert found["endorsement_key"] == {"present": True, "certificates": []}


@pytest.mark.parametrize(
    ("vendor", "tpm", "expected"),
    [
        ("INTC", "INTC", "INTC"),
        ("AMD", "AMD", "AMD"),
        ("STM ", "STM ", "STM"),
        ("MSFT", "IFX", "MSFT"),
        (None, "NTC\x00", "NTC"),
        (None, "../x", None),
        (None, "", None),
    ],
)
def test_vendors(host: ModuleHost, intel: Authority, vendor: str | None, tpm: str, expected: str | None) -> None:
    write_tpm(host.folder, endorsement(intel, vendor), ManufacturerIdTxt=tpm, ManufacturerId=0)
    assert read(host)["host_name"] == (name_of(expected, intel) if expected else None)


def test_a_certificate_without_an_authority_key_identifier(host: ModuleHost, intel: Authority) -> None:
    write_tpm(host.folder, endorsement(intel, "INTC", identified=False))
    found = read(host)
    [fact] = found["endorsement_key"]["certificates"]
    assert (fact["authority_key_identifier"], fact["aik_host_name"]) == (None, None)
    assert (found["host_name"], found["host_names"]) == (None, [])


def test_all_certificates_each_once(host: ModuleHost, infineon: Authority, intel: Authority) -> None:
    both, second, third, fourth = (endorsement(infineon, "IFX") for _unused in range(4))
    other = endorsement(intel, "INTC")
    write_tpm(host.folder, both, second, additional=(both, third))
    for store, certificate in (("EKCertStore", both), ("EKCertStore", fourth), ("EKCertStoreECC", other)):
        store_endorsement(host.folder, store, certificate)
    found = read(host, host_name=name_of("INTC", intel))
    certificates = found["endorsement_key"]["certificates"]
    sources = {fact["sha256"]: fact["source"] for fact in certificates}
    assert len(certificates) == 5
    assert sources == {
        pki.sha256(both): "manufacturer",
        pki.sha256(second): "manufacturer",
        pki.sha256(third): "additional",
        pki.sha256(fourth): "registry",
        pki.sha256(other): "registry",
    }
    assert found["host_names"] == [name_of("IFX", infineon), name_of("INTC", intel)]
    assert found["matches"] is True


@pytest.mark.parametrize("blob", ["", "20000000010000000400000030030201", "200000000100000000ffffff3003", "03"])
def test_a_damaged_store(host: ModuleHost, blob: str) -> None:
    write_tpm(host.folder)
    key = f"{TPM_KEY}\\Endorsement\\EKCertStore\\Certificates\\00AA"
    set_key(host.folder, key, Blob=("Binary", blob))
    found = read(host)
    assert found["endorsement_key"]["certificates"] == []
    assert found["notes"] == [
        "HKLM\\SYSTEM\\CurrentControlSet\\Services\\TPM\\WMI\\Endorsement\\EKCertStore\\Certificates\\00AA "
        "does not hold a certificate that can be read."
    ]


@pytest.mark.parametrize(
    ("code", "aik_hash", "had", "reason"),
    [
        (0, None, True, "The last AIK enrolment succeeded (ErrorCode is 0)."),
        (0, "00ff", True, "The last AIK enrolment succeeded (ErrorCode is 0)."),
        (
            0x80072EE7,
            None,
            False,
            "The last AIK enrolment failed (ErrorCode is 0x80072ee7), and there is no AIK.",
        ),
        (
            0x80190194,
            "00ff",
            None,
            "There is an AIK (WindowsAIKHash), which does not say whether it ever had a certificate.",
        ),
        (
            None,
            "00ff",
            None,
            "There is an AIK (WindowsAIKHash), which does not say whether it ever had a certificate.",
        ),
        (None, None, None, "Nothing on this host says how an AIK enrolment ended (there is no ErrorCode)."),
    ],
)
def test_what_was_had(host: ModuleHost, code: int | None, aik_hash: str | None, had: bool | None, reason: str) -> None:
    write_tpm(host.folder)
    if code is not None:
        set_key(host.folder, ENROL_KEY, ErrorCode=("DWord", code))
    if aik_hash is not None:
        set_key(host.folder, TPM_KEY, WindowsAIKHash=("Binary", aik_hash))
    found = read(host)
    assert (found["had_success"], found["had_success_reason"]) == (had, reason)
    assert found["state"] == {
        "error_code": None if code is None else f"0x{code:08x}",
        "windows_aik_hash": aik_hash,
        "task_states": {},
    }


@pytest.mark.parametrize(
    ("event_id", "url", "named", "had"),
    [
        (88, f"https://{NAME}/templates/Aik/scep", True, True),
        (88, f"https://{NAME}:443/templates/Aik/scep", False, True),
        (86, f"https://{NAME}/templates/Aik/scep", True, None),
        (88, NDES_URL, True, None),
        (88, f"https://ndes01.example/certsrv/mscep/?{NAME}/", True, None),
    ],
)
def test_a_success_in_the_log(host: ModuleHost, event_id: int, url: str, named: bool, had: bool | None) -> None:
    write_tpm(host.folder)
    set_key(host.folder, ENROL_KEY, ErrorCode=("DWord", 0x80072EE7))
    set_key(host.folder, TPM_KEY, WindowsAIKHash=("Binary", "00ff"))
    times = [datetime(2026, 10, day, 6, tzinfo=timezone.utc) for day in (1, 3)]
    values = ["WORKGROUP\\CLIENT1$", url, "PkiStatus(0): success", "POST(210ms)", "ProcessResponseMessage"]
    events = [enrolment_event(event_id, number, time, values, named=named) for number, time in enumerate(times, 1)]
    write_log(host.folder, events)
    found = read(host)
    write_log(host.folder)
    assert found["had_success"] is had
    if had:
        assert found["had_success_reason"] == "An AIK enrolment succeeded at 2026-10-03T06:00:00.0000000Z (event 88)."


def test_a_log_that_cannot_be_read(host: ModuleHost) -> None:
    write_tpm(host.folder)
    write_log(host.folder, config=LogConfig(access_denied=True))
    found = read(host)
    write_log(host.folder)
    assert found["had_success"] is None
    [note] = found["notes"]
    assert note.startswith("log: ")
    assert "Application" in note


def test_raw_evidence(host: ModuleHost) -> None:
    set_key(host.folder, ENROL_KEY, ErrorCode=("String", "0"))
    set_key(
        host.folder,
        f"{TPM_KEY}\\TaskStates",
        WindowsAikEnrollResult=("DWord", 2147942405),
        Blob=("Binary", "00ff"),
        Text=("String", "{{ 1 + 1 }}"),
        List=("MultiString", ["one"]),
    )
    found = read(host)
    assert found["state"] == {
        "error_code": None,
        "windows_aik_hash": None,
        "task_states": {
            "Blob": "00ff",
            "List": ["one"],
            "Text": "{{ 1 + 1 }}",
            "WindowsAikEnrollResult": 2147942405,
        },
    }
    assert found["notes"] == [
        "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Cryptography\\Ngc\\AIKCertEnroll ErrorCode is not a DWORD, so it "
        "says nothing."
    ]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ({}, {"enabled": True, "state": "ready", "last_run_time": None, "last_result": None}),
        ({"Enabled": False}, {"enabled": False, "state": "disabled"}),
        ({"State": 4}, {"state": "running"}),
        ({"State": 0}, {"state": "unknown"}),
        (
            {
                "LastRunTime": "2026-10-01T06:00:00Z",
                "LastTaskResult": 0x80072EE7,
                "NextRunTime": "2026-10-02T06:00:00Z",
                "NumberOfMissedRuns": 3,
            },
            {
                "last_run_time": "2026-10-01T06:00:00Z",
                "last_result": "0x80072ee7",
                "next_run_time": "2026-10-02T06:00:00Z",
                "missed_runs": 3,
            },
        ),
        ({"LastRunTime": "2026-10-01T06:00:00Z", "LastTaskResult": 0}, {"last_result": "0x00000000"}),
    ],
)
def test_the_task(host: ModuleHost, task: dict[str, Any], expected: dict[str, Any]) -> None:
    write_task(host.folder, **task)
    found = read(host)["task"]
    assert (found["path"], found["exists"]) == (TASK, True)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("write", "exists", "note"),
    [
        (
            {"exists": False},
            False,
            f"This host has no task {TASK}: its edition of Windows may not have it, or it was deleted.",
        ),
        ({"service": "stopped"}, None, "The Task Scheduler does not run on this host: start the service Schedule."),
        (
            {"service": "denied"},
            None,
            f"Windows denies access to the task {TASK}, or to the Task Scheduler: {ADMINISTRATOR}.",
        ),
        (
            {"Deny": ["read"]},
            None,
            f"Windows denies access to the task {TASK}, or to the Task Scheduler: {ADMINISTRATOR}.",
        ),
    ],
)
def test_a_task_that_cannot_be_had(host: ModuleHost, write: dict[str, Any], exists: bool | None, note: str) -> None:
    write_task(host.folder, **write)
    found = read(host)
    assert (found["task"]["exists"], found["task"]["enabled"]) == (exists, None)
    assert found["notes"] == [note]


def test_without_rights_nothing_fails(host: ModuleHost, infineon: Authority) -> None:
    write_tpm(host.folder, endorsement(infineon, "IFX"), Deny=["read"])
    set_key(host.folder, ENROL_KEY, ErrorCode=("DWord", 0))
    set_key(host.folder, TPM_KEY, WindowsAIKHash=("Binary", "00"))
    deny(host.folder, "SYSTEM", "denied")
    found = read(host, host_name=NAME)
    assert set(found["tpm"].values()) == {None}
    assert found["endorsement_key"] == {"present": None, "certificates": []}
    assert (found["host_name"], found["matches"], found["had_success"]) == (None, None, None)
    assert found["notes"][0] == f"The TPM can't be read (Win32_Tpm, error 0x80041003): {ADMINISTRATOR}."
    assert found["notes"][1].startswith("The TPM's endorsement key can't be read (Get-TpmEndorsementKeyInfo, error 0x")
    assert [note.split(" can't", 1)[0] for note in found["notes"][2:]] == [
        "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Cryptography\\Ngc\\AIKCertEnroll",
        "HKLM\\SYSTEM\\CurrentControlSet\\Services\\TPM\\WMI",
    ]


def test_a_tpm_that_does_not_answer(host: ModuleHost, infineon: Authority) -> None:
    # What Windows stored of it is still there.
    write_tpm(host.folder, Error="0x8028400F")
    store_endorsement(host.folder, "EKCertStore", endorsement(infineon, "IFX"))
    found = read(host)
    assert found["host_name"] == name_of("IFX", infineon)
    assert found["notes"] == [
        "The TPM's endorsement key can't be read (Get-TpmEndorsementKeyInfo, error 0x8028400f): an account with "
        "administrator rights is needed, and a TPM that is ready."
    ]


@pytest.mark.parametrize(
    "name",
    [
        "ndes01.intra.adcslabor.de",
        "microsoftaik.azure.net",
        f"https://{NAME}/templates/Aik/scep",
        f"{NAME}\n.example",
        "IFX-KeyId-18b1.microsoftaik.azure.net",
    ],
)
def test_a_host_name_that_is_none(host: ModuleHost, name: str) -> None:
    message = host.fail({"host_name": name})["msg"]
    assert message.startswith("host_name: '")
    assert message.endswith(
        "' is not the name of an AIK service, as it stands in an event: it has the form "
        "VENDOR-KeyId-<40 hex digits>.microsoftaik.azure.net"
    )
    assert "\n" not in message


def test_over_winrm(lab: Lab, infineon: Authority) -> None:
    # Times of the Task Scheduler are the host's local ones.
    started = lab.host("CLIENT1", time_zone="Europe/Berlin")
    folder: Path = started.folder
    write_tpm(folder, endorsement(infineon, "IFX"))
    write_task(folder, LastRunTime="2026-10-01T06:00:00Z", LastTaskResult=0x80072EE7)
    set_key(folder, ENROL_KEY, ErrorCode=("DWord", 0x80072EE7))
    fleet = lab.start(started)
    options = {"host_name": name_of("ifx", infineon)}
    done = run_module(fleet.inventory_path, "CLIENT1", "winpki.scep.aik_info", options, check=True)
    assert done.status == "ok", done.result
    aik = done.result["aik"]
    assert (aik["host_name"], aik["matches"]) == (name_of("IFX", infineon), True)
    assert (aik["state"]["error_code"], aik["had_success"]) == ("0x80072ee7", False)
    assert (aik["task"]["last_run_time"], aik["task"]["last_result"]) == ("2026-10-01T06:00:00Z", "0x80072ee7")
