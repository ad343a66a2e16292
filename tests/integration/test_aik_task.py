"""aik_task on the lab; the tasks and the registry are looked at in the host's files, not by what is tested."""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from typing import Any

import pytest

from tests.integration.aik_host import ENROL_KEY, TASK, TPM_KEY, endorsement, key_id, tasks, write_task, write_tpm
from tests.integration.host_state import deny, put_certificate, set_key, snapshot, undo_records, write_record
from tests.integration.module_process import ModuleHost
from tests.lab.aik import AikService
from tests.lab.engine import Engine
from tests.lab.events import enrolment_event
from tests.lab.fleet import Lab
from tests.lab.host import write_log
from tests.lab.pki import Authority
from tests.lab.playbook import run_playbook
from tests.lab.proxy import Proxy

MODULE = "winpki.scep.aik_task"
KEY_ID = "18b1af70b93f991972f362556a9a3fbf4bb24e0d"
NAME = f"ifx-keyid-{KEY_ID}.microsoftaik.azure.net"
URL = f"https://IFX-KeyId-{KEY_ID}.microsoftaik.azure.net/templates/Aik/scep"
ENABLED, DISABLED = {"task": TASK, "enabled": True}, {"task": TASK, "enabled": False}
DISABLE = {"state": "disabled", "isolated_network": True, "urls": [URL], "timeout": 60, "role": "disable_aik"}
OLD_ID = "20260131T080000Z-0a1b2c3d"
ADMINISTRATOR = "an account with administrator rights is needed"
DENIED = f"Windows denies access to the task {TASK}, or to the Task Scheduler: {ADMINISTRATOR}."
CONNECTIONS = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Connections"


@pytest.fixture(scope="module")
def service() -> Iterator[AikService]:
    with AikService() as running:
        yield running


@pytest.fixture(scope="module")
def started(engine: Engine, service: AikService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleHost]:
    with ModuleHost(engine, tmp_path_factory.mktemp("host") / "client1", "aik_task") as running:
        put_certificate(running.folder, "Root", service.root.certificate)
        yield running


@pytest.fixture
def host(started: ModuleHost, service: AikService) -> ModuleHost:
    """The host in an isolated network: no name can be resolved, and the last enrolment failed with that."""
    for file in ("registry/HKLM.json", "registry/access.json", "tpm.json"):
        (started.folder / file).unlink(missing_ok=True)
    shutil.rmtree(started.folder / "tasks", ignore_errors=True)
    service.site.mode, service.intercepted = "ok", False
    service.authorities.clear()
    service.site.requests.clear()
    names(started, "fail *")
    write_task(started.folder, LastRunTime="2026-10-01T06:00:00Z", LastTaskResult=0x80072EE7)
    set_key(started.folder, ENROL_KEY, ErrorCode=("DWord", 0x80072EE7))
    return started


def names(host: ModuleHost, line: str) -> None:
    (host.folder / "hosts").write_text(f"{line}\n", "ascii")


def at(service: AikService) -> str:
    """The service's URL at the lab's port."""
    return f"https://{NAME}:{service.site.port('https')}/templates/Aik/scep"


def state(host: ModuleHost) -> tuple[dict[str, bytes], dict[str, Any]]:
    return snapshot(host.folder), tasks(host.folder)


def with_enabled(found: dict[str, Any], enabled: bool) -> dict[str, Any]:
    """The tasks with this one thing changed."""
    return {**found, "tasks": {**found["tasks"], TASK: {**found["tasks"][TASK], "Enabled": enabled}}}


def refused(host: ModuleHost, options: dict[str, Any]) -> dict[str, Any]:
    """The result of a refusal, which writes nothing, in check mode and without."""
    before = state(host)
    checked, done = host.fail(options, check=True), host.fail(options)
    assert state(host) == before
    assert undo_records(host.folder) == []
    for result in (checked, done):
        assert (result["refused"], result["change_id"], result["after"]) == (True, None, None)
        assert result["msg"].startswith("Refused, nothing was changed. ")
        assert result["refusals"][0]["reason"] == result["reason"]
    assert checked["msg"] == done["msg"]
    return done


def test_check_change_again_undo(host: ModuleHost) -> None:
    first = state(host)
    checked = host.one(DISABLE, check=True, diff=True)
    assert (checked["changed"], checked["before"], checked["after"]) == (True, ENABLED, DISABLED)
    assert (checked["change_id"], checked["undo"], checked["had_success"]) == (None, None, False)
    assert checked["diff"] == {"before": f"{TASK}: enabled\n", "after": f"{TASK}: disabled\n"}
    assert [(probe["url"], probe["host"], probe["reached"], probe["failure"]) for probe in checked["probes"]] == [
        (URL, NAME, False, "name_not_resolved")
    ]
    assert state(host) == first
    assert undo_records(host.folder) == []

    changed = host.one(DISABLE, diff=True)
    assert re.fullmatch(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}", changed["change_id"])
    assert (changed["changed"], changed["before"], changed["after"]) == (True, ENABLED, DISABLED)
    assert changed["diff"] == checked["diff"]
    assert tasks(host.folder) == with_enabled(first[1], False)
    [record] = undo_records(host.folder)
    assert record == changed["undo"]
    assert {key: value for key, value in record.items() if key != "created"} == {
        "change_id": changed["change_id"],
        "role": "disable_aik",
        "module": "aik_task",
        "host": "CLIENT1",
        "state": "done",
        "before": ENABLED,
        "after": DISABLED,
    }
    second = state(host)

    again = host.one(DISABLE, diff=True)
    assert (again["changed"], again["before"], again["after"]) == (False, DISABLED, DISABLED)
    assert (again["change_id"], again["undo"], again["probes"]) == (None, None, [])
    assert again["diff"]["before"] == again["diff"]["after"] == f"{TASK}: disabled\n"
    assert state(host) == second
    assert undo_records(host.folder) == [record]

    undo = {"undo": changed["change_id"]}
    undo_checked = host.one(undo, check=True, diff=True)
    assert (undo_checked["changed"], undo_checked["change_id"]) == (True, None)
    assert undo_checked["diff"] == {"before": f"{TASK}: disabled\n", "after": f"{TASK}: enabled\n"}
    assert state(host) == second

    undone = host.one(undo)
    assert (undone["changed"], undone["before"], undone["after"]) == (True, DISABLED, ENABLED)
    assert undone["change_id"] == changed["change_id"]
    assert state(host) == first
    assert list(tasks(host.folder)["tasks"]) == list(first[1]["tasks"])
    assert undo_records(host.folder) == [{**record, "state": "undone"}] == [undone["undo"]]

    undone_again = host.one(undo)
    assert (undone_again["changed"], undone_again["change_id"]) == (False, None)
    assert state(host) == first
    # The task was never started.
    assert not (host.folder / "tasks" / "runs").exists()


def test_the_file_comes_back_byte_for_byte(host: ModuleHost) -> None:
    # In the form in which the lab's Task Scheduler writes its file.
    for options in ({**DISABLE, "urls": [NAME]}, {"state": "enabled"}):
        assert host.one(options)["changed"] is True
    first = (host.folder / "tasks.json").read_bytes()
    changed = host.one(DISABLE)
    assert (host.folder / "tasks.json").read_bytes() != first
    assert host.one({"undo": changed["change_id"]})["changed"] is True
    assert (host.folder / "tasks.json").read_bytes() == first


def test_enabling_needs_no_declaration(host: ModuleHost) -> None:
    write_task(host.folder, Enabled=False)
    first = state(host)
    checked = host.one({"state": "enabled"}, check=True)
    assert (checked["changed"], checked["before"], checked["after"]) == (True, DISABLED, ENABLED)
    assert state(host) == first
    changed = host.one({"state": "enabled"})
    assert tasks(host.folder) == with_enabled(first[1], True)
    assert host.one({"state": "enabled"})["changed"] is False
    assert host.one({"undo": changed["change_id"]})["after"] == DISABLED
    assert state(host) == first


def test_the_host_name_of_the_tpm_is_probed(host: ModuleHost) -> None:
    authority = Authority.root("Lab TPM Manufacturing CA")
    write_tpm(host.folder, endorsement(authority, "INTC"))
    computed = f"intc-keyid-{key_id(authority)}.microsoftaik.azure.net"
    options = {key: value for key, value in DISABLE.items() if key != "urls"}
    assert [probe["host"] for probe in host.one(options, check=True)["probes"]] == [computed]
    both = host.one({**options, "urls": [URL, NAME.upper(), f"https://{computed}."]}, check=True)["probes"]
    assert [probe["host"] for probe in both] == [NAME, computed]


# What is refused


@pytest.mark.parametrize("more", [{}, {"isolated_network": False}, {"isolated_network": False, "force": True}])
def test_without_a_declaration(host: ModuleHost, more: dict[str, bool]) -> None:
    options = {key: value for key, value in DISABLE.items() if key != "isolated_network"}
    result = refused(host, {**options, **more})
    assert result["reason"] == "isolated_network_not_declared"
    assert result["msg"] == (
        "Refused, nothing was changed. The task is disabled only where isolated_network is true: set it if this host "
        "has no internet access by design, and nothing on it needs an AIK certificate."
    )
    assert result["probes"] == []


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("mode", ["ok", "unknown authority", "429", "500"])
def test_where_the_service_answers(host: ModuleHost, service: AikService, mode: str, force: bool) -> None:
    names(host, "127.0.0.1 *")
    if mode != "unknown authority":
        service.authorities.add(NAME.split(".", 1)[0])
        service.site.mode = mode
    result = refused(host, {**DISABLE, "urls": [at(service)], "force": force})
    assert result["reason"] == "aik_service_reached"
    assert result["msg"].startswith(
        f"Refused, nothing was changed. This host reaches the AIK service {NAME}, so its network is not isolated, and "
        "the failures have another cause: leave the task enabled."
    )
    assert result["msg"].endswith(
        {
            "ok": "leave the task enabled.",
            "unknown authority": "and nothing on this host mends that.",
            "429": "look at the application pool SCEP.",
            "500": "look at the server's own event log.",
        }[mode]
    )
    assert [probe["reached"] for probe in result["probes"]] == [True]
    assert service.site.requests


def test_one_that_answers_among_those_that_do_not(host: ModuleHost, service: AikService) -> None:
    names(host, f"127.0.0.1 {NAME}")
    result = refused(host, {**DISABLE, "urls": [URL.replace("18b1", "0000"), at(service)]})
    assert [probe["reached"] for probe in result["probes"]] == [False, True]


def test_where_something_else_answers(host: ModuleHost, service: AikService) -> None:
    names(host, "127.0.0.1 *")
    service.intercepted = True
    options = {**DISABLE, "urls": [at(service)]}
    result = refused(host, options)
    assert result["reason"] == "aik_service_uncertain"
    assert result["msg"].startswith(
        f"Refused, nothing was changed. It is not sure that this host can't reach the AIK service {NAME}: "
    )
    assert result["msg"].endswith(" Mend that first, or set force if the network is isolated nevertheless.")
    assert [probe["reached"] for probe in result["probes"]] == [None]
    forced = host.one({**options, "force": True})
    assert (forced["changed"], tasks(host.folder)["tasks"][TASK]["Enabled"]) == (True, False)


def test_a_port_that_refuses_is_not_reached(host: ModuleHost) -> None:
    names(host, "127.0.0.1 *")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    [probe] = host.one({**DISABLE, "urls": [f"https://{NAME}:{port}/templates/Aik/scep"]}, check=True)["probes"]
    assert (probe["reached"], probe["failed_step"], probe["failure"]) == (False, "connect", "refused")


def winhttp_setting(flags: int, *fields: bytes) -> tuple[str, str]:
    """As netsh winhttp writes it: version, counter, flags, then proxy, bypass list and script with their lengths."""
    parts = [number.to_bytes(4, "little") for number in (0x28, 0, flags)]
    parts += [len(field).to_bytes(4, "little") + field for field in fields]
    return "Binary", b"".join(parts).hex()


def test_a_proxy_that_cannot_be_reached(host: ModuleHost) -> None:
    names(host, "127.0.0.1 *")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    setting = winhttp_setting(3, f"proxy.example:{port}".encode("ascii"), b"")
    set_key(host.folder, CONNECTIONS, WinHttpSettings=setting)
    [probe] = host.one(DISABLE, check=True)["probes"]
    assert (probe["reached"], probe["failed_step"], probe["failure"]) == (False, "proxy", "proxy_unreachable")


def test_a_service_behind_a_proxy(host: ModuleHost, service: AikService) -> None:
    with Proxy({NAME: "127.0.0.1"}) as proxy:
        setting = winhttp_setting(3, proxy.authority.encode("ascii"), b"")
        set_key(host.folder, CONNECTIONS, WinHttpSettings=setting)
        assert refused(host, {**DISABLE, "urls": [at(service)]})["reason"] == "aik_service_reached"
        # A proxy that lets nobody through to it is no way to the service; one that asks who is there may be.
        proxy.refusal = 403
        [probe] = host.one({**DISABLE, "urls": [at(service)]}, check=True)["probes"]
        assert (probe["reached"], probe["failure"]) == (False, "proxy_refused")
        proxy.refusal = 407
        assert refused(host, {**DISABLE, "urls": [at(service)]})["reason"] == "aik_service_uncertain"


def test_a_script_that_would_name_a_proxy(host: ModuleHost) -> None:
    setting = winhttp_setting(4, b"", b"", b"http://proxy.example/proxy.pac")
    set_key(host.folder, CONNECTIONS, WinHttpSettings=setting)
    result = refused(host, DISABLE)
    assert result["reason"] == "aik_service_uncertain"
    assert "WinHTTP has a proxy configuration script, which the probe does not run. Mend that first" in result["msg"]


def test_a_proxy_that_is_looked_for_in_the_network(host: ModuleHost) -> None:
    set_key(host.folder, CONNECTIONS, WinHttpSettings=winhttp_setting(9))
    result = refused(host, DISABLE)
    assert result["reason"] == "aik_service_uncertain"
    assert (
        "WinHTTP is set to look for a proxy in the network (WPAD), which the probe does not do. Mend" in result["msg"]
    )
    assert host.one({**DISABLE, "force": True}, check=True)["changed"] is True


def test_where_a_certificate_may_be_in_use(host: ModuleHost) -> None:
    """There is an AIK, the last renewal failed, and no success was ever logged."""
    set_key(host.folder, TPM_KEY, WindowsAIKHash=("Binary", "00ff"))
    result = refused(host, DISABLE)
    assert (result["reason"], result["had_success"]) == ("aik_may_be_in_use", None)
    assert result["msg"] == (
        "Refused, nothing was changed. An AIK certificate may be in use on this host, and would not be renewed any "
        "more: There is an AIK (WindowsAIKHash), which does not say whether it ever had a certificate. Set force if "
        "nothing on it needs one."
    )
    assert host.one({**DISABLE, "force": True}, check=True)["changed"] is True


def test_where_a_certificate_was_had(host: ModuleHost) -> None:
    set_key(host.folder, ENROL_KEY, ErrorCode=("DWord", 0))
    result = refused(host, DISABLE)
    assert (result["reason"], result["had_success"]) == ("aik_certificate_had", True)
    assert result["msg"] == (
        "Refused, nothing was changed. This host has had an AIK certificate, so it was not always isolated, and "
        "something may use it: The last AIK enrolment succeeded (ErrorCode is 0). Set force if it has been moved to an "
        "isolated network for good."
    )
    forced = host.one({**DISABLE, "force": True})
    assert (forced["changed"], forced["had_success"]) == (True, True)
    assert tasks(host.folder)["tasks"][TASK]["Enabled"] is False


def test_where_a_success_is_in_the_log(host: ModuleHost) -> None:
    write_tpm(host.folder)
    values = ["WORKGROUP\\CLIENT1$", URL, "PkiStatus(0): success", "POST(210ms)", "ProcessResponseMessage"]
    time = datetime(2026, 10, 1, 6, tzinfo=timezone.utc)
    write_log(host.folder, [enrolment_event(88, 1, time, values)])
    result = refused(host, DISABLE)
    write_log(host.folder)
    assert (result["reason"], result["had_success"]) == ("aik_certificate_had", True)
    assert "An AIK enrolment succeeded at 2026-10-01T06:00:00.0000000Z (event 88)." in result["msg"]


def test_all_reasons_at_once(host: ModuleHost, service: AikService) -> None:
    names(host, "127.0.0.1 *")
    set_key(host.folder, ENROL_KEY, ErrorCode=("DWord", 0))
    result = refused(host, {**DISABLE, "urls": [at(service)]})
    assert [one["reason"] for one in result["refusals"]] == ["aik_certificate_had", "aik_service_reached"]


def test_nothing_to_probe(host: ModuleHost) -> None:
    options = {key: value for key, value in DISABLE.items() if key != "urls"}
    result = refused(host, {**options, "force": True})
    assert result["reason"] == "no_probe_target"
    assert result["msg"] == (
        "Refused, nothing was changed. No AIK service is known that could be probed: name it in urls, as it stands in "
        "the event, because no host name follows from an endorsement key certificate of this TPM."
    )
    write_tpm(host.folder, Deny=["read"])
    assert "The TPM can't be read (Win32_Tpm, error 0x80041003)" in refused(host, options)["msg"]


@pytest.mark.parametrize("options", [DISABLE, {"state": "enabled"}, {"state": "started"}])
@pytest.mark.parametrize(
    ("task", "reason", "message"),
    [
        (
            {"exists": False},
            "no_such_task",
            f"This host has no task {TASK}: its edition of Windows may not have it, or it was deleted.",
        ),
        (
            {"service": "stopped"},
            "task_service_stopped",
            "The Task Scheduler does not run on this host: start the service Schedule.",
        ),
        (
            {"service": "denied"},
            "access_denied",
            DENIED,
        ),
        (
            {"Deny": ["read"]},
            "access_denied",
            DENIED,
        ),
    ],
)
def test_a_task_that_cannot_be_had(
    host: ModuleHost, task: dict[str, Any], reason: str, message: str, options: dict[str, Any]
) -> None:
    write_task(host.folder, **task)
    result = refused(host, options)
    assert (result["reason"], result["msg"]) == (reason, f"Refused, nothing was changed. {message}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of the following is required: state, undo"),
        ({"state": "enabled", "undo": OLD_ID}, "parameters are mutually exclusive: state, undo"),
        ({"urls": [URL], "undo": OLD_ID}, "parameters are mutually exclusive: undo, urls"),
        (
            {**DISABLE, "timeout": 0},
            "timeout: 0 is not possible; it has to be more than 0 and at most 300 seconds.",
        ),
        ({**DISABLE, "urls": [URL] * 21}, "urls: 21 are too many; give at most 20."),
        (
            {"state": "started", "force": True},
            "force: it is for disabling the task; leave it out with state=started.",
        ),
        (
            {"state": "started", "isolated_network": True},
            "isolated_network: it is for disabling the task; leave it out with state=started.",
        ),
        (
            {"state": "started", "urls": [URL]},
            "urls: it is for disabling the task; leave it out with state=started.",
        ),
        (
            {**DISABLE, "urls": [URL, "https://ndes01.example/certsrv/mscep/mscep.dll\r\n"]},
            "urls entry 2: 'https://ndes01.example/certsrv/mscep/mscep.dll??' is not a URL or host name of the AIK "
            "service: it has the form https://VENDOR-KeyId-<40 hex digits>.microsoftaik.azure.net/templates/Aik/scep",
        ),
        (
            {**DISABLE, "urls": [f"http://{NAME}/"]},
            f"urls entry 1: 'http://{NAME}/' is not a URL or host name of the AIK service: it has the form "
            "https://VENDOR-KeyId-<40 hex digits>.microsoftaik.azure.net/templates/Aik/scep",
        ),
        (
            {"undo": "..\\Run"},
            "This is not a change id: it has the form YYYYMMDDTHHMMSSZ-xxxxxxxx, as in "
            "20260131T080000Z-0a1b2c3d. undo_info lists those of a host.",
        ),
        ({"undo": OLD_ID}, f"CLIENT1 has no undo record {OLD_ID}. undo_info lists those that it has."),
    ],
)
def test_options_that_are_refused(host: ModuleHost, options: dict[str, Any], message: str) -> None:
    before = state(host)
    assert host.run(options)["msg"] == message
    assert state(host) == before


# The start

NOTE_RUN = '#!/bin/sh\necho "$1" >>"$HOME/tasks/noted"\n'


def noted_runs(host: ModuleHost, count: int) -> list[str]:
    """The tasks that were run, once all of their runs have ended."""
    end = time.monotonic() + 30
    while len(list(host.folder.glob("tasks/runs/*.end"))) < count and time.monotonic() < end:
        time.sleep(0.05)
    return (host.folder / "tasks" / "noted").read_text("ascii").splitlines()


def test_a_start(host: ModuleHost) -> None:
    (host.folder / "tasks").mkdir()
    (host.folder / "tasks" / "on_run").write_text(NOTE_RUN, "ascii")
    (host.folder / "tasks" / "on_run").chmod(0o755)
    first = state(host)
    checked = host.one({"state": "started"}, check=True, diff=True)
    assert (checked["changed"], checked["before"], checked["after"]) == (True, ENABLED, ENABLED)
    assert checked["enrollment"] == {"started": False, "detail": "In check mode the task is not started."}
    assert checked["diff"] == {"before": f"{TASK}: enabled\n", "after": f"{TASK}: enabled\n"}
    assert state(host) == first
    assert not (host.folder / "tasks" / "runs").exists()

    done = host.one({"state": "started"})
    assert (done["changed"], done["before"], done["after"]) == (True, ENABLED, ENABLED)
    assert done["enrollment"] == {"started": True, "detail": "The task was started."}
    assert (done["change_id"], done["undo"], undo_records(host.folder)) == (None, None, [])
    assert noted_runs(host, 1) == [TASK]
    assert tasks(host.folder)["tasks"][TASK]["Enabled"] is True

    assert host.one({"state": "started"})["changed"] is True
    assert noted_runs(host, 2) == [TASK, TASK]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("number", [2, 4])
def test_a_task_that_runs_already(host: ModuleHost, number: int, check: bool) -> None:
    write_task(host.folder, State=number)
    before = state(host)
    found = host.one({"state": "started"}, check=check)
    detail = "The task runs already, so it was not started again."
    assert (found["changed"], found["enrollment"]) == (False, {"started": False, "detail": detail})
    assert state(host) == before


@pytest.mark.parametrize(
    ("task", "reason", "message"),
    [
        (
            {"Enabled": False},
            "task_disabled",
            f"The task {TASK} is disabled, so it can't be started: if it shall enrol, enable it first, and see why it "
            "was disabled.",
        ),
        # Windows would take the order, and not run the task.
        (
            {"Settings": {"AllowDemandStart": False}},
            "no_demand_start",
            f"The task {TASK} is set so that nobody can start it on demand: wait for Windows to start it, or change "
            "that setting.",
        ),
    ],
)
def test_a_task_that_may_not_be_started(host: ModuleHost, task: dict[str, Any], reason: str, message: str) -> None:
    write_task(host.folder, **task)
    result = refused(host, {"state": "started"})
    assert (result["reason"], result["msg"]) == (reason, f"Refused, nothing was changed. {message}")
    assert result["enrollment"] is None


def test_an_account_that_may_not_start_it(host: ModuleHost) -> None:
    write_task(host.folder, Deny=["run"])
    before = state(host)
    result = host.fail({"state": "started"})
    assert (result["reason"], result["msg"]) == ("access_denied", f"Refused, nothing was changed. {DENIED}")
    assert state(host) == before


# Undo, faults and interruptions


def test_an_undo_of_a_record_that_fits_neither_state(host: ModuleHost) -> None:
    changed = host.one(DISABLE)
    [record] = undo_records(host.folder)
    write_record(host.folder, {**record, "after": {"task": "\\Other", "enabled": False}})
    before = state(host)
    result = host.fail({"undo": changed["change_id"]})
    assert (result["refused"], result["reason"]) == (True, "changed_since")
    assert result["msg"] == (
        f"Refused, nothing was changed. The task is not as the change {changed['change_id']} left it: task is "
        f"{json.dumps(TASK)}, not {json.dumps(chr(92) + 'Other')}. Set it with state."
    )
    assert state(host) == before


def test_a_change_that_was_taken_back_by_hand(host: ModuleHost) -> None:
    changed = host.one(DISABLE)
    write_task(host.folder)
    before = tasks(host.folder)
    assert host.one({"undo": changed["change_id"]})["changed"] is False
    assert tasks(host.folder) == before
    assert [record["state"] for record in undo_records(host.folder)] == ["undone"]


@pytest.mark.parametrize("written_already", [False, True])
def test_an_interrupted_change_can_be_undone(host: ModuleHost, written_already: bool) -> None:
    # What a process that was killed leaves: the record, and the task disabled or not.
    write_task(host.folder, Enabled=not written_already)
    record = {
        "change_id": OLD_ID,
        "role": None,
        "module": "aik_task",
        "host": "CLIENT1",
        "created": "2026-01-31T08:00:00.0000000Z",
        "state": "prepared",
        "before": ENABLED,
        "after": DISABLED,
    }
    write_record(host.folder, record)
    assert host.one({"undo": OLD_ID})["changed"] is written_already
    assert tasks(host.folder)["tasks"][TASK]["Enabled"] is True
    assert undo_records(host.folder) == [{**record, "state": "undone"}]


def test_a_task_that_may_not_be_changed(host: ModuleHost) -> None:
    write_task(host.folder, Deny=["write"])
    before = state(host)
    assert host.fail(DISABLE)["msg"] == (f"The change failed: {DENIED} The host is as it was.")
    assert state(host) == before
    assert undo_records(host.folder) == []


def test_without_an_undo_record_there_is_no_change(host: ModuleHost) -> None:
    deny(host.folder, "SOFTWARE", "readonly")
    before = state(host)
    message = host.fail(DISABLE)["msg"]
    assert message.startswith("The undo record could not be written to HKLM\\SOFTWARE\\winpki.scep\\Undo: ")
    assert state(host) == before


def test_an_undo_that_cannot_be_recorded_is_put_back(host: ModuleHost) -> None:
    changed = host.one(DISABLE)
    before = state(host)
    deny(host.folder, "SOFTWARE", "readonly")
    message = host.fail({"undo": changed["change_id"]})["msg"]
    assert message.startswith("The change failed: The undo record could not be written to ")
    assert message.endswith(" The host is as it was.")
    assert state(host) == before
    assert undo_records(host.folder) == [changed["undo"]]


def test_over_winrm(lab: Lab) -> None:
    started = lab.host("CLIENT1")
    (started.folder / "hosts").write_text("fail *\n", "ascii")
    write_task(started.folder)
    first = tasks(started.folder)
    tasks_of_play: list[dict[str, Any]] = [
        {"name": "refused", MODULE: {"state": "disabled", "urls": [URL]}, "ignore_errors": True},
        {"name": "check", MODULE: DISABLE, "check_mode": True, "diff": True},
        {"name": "change", MODULE: DISABLE, "register": "done"},
        {"name": "again", MODULE: DISABLE},
        {"name": "undo", MODULE: {"undo": "{{ done.change_id }}"}},
    ]
    fleet = lab.start(started)
    played = run_playbook([{"hosts": "all", "gather_facts": False, "tasks": tasks_of_play}], fleet.inventory_path)
    results = {str(task["name"]): played.of("CLIENT1", str(task["name"])) for task in tasks_of_play}
    assert results["refused"].result["reason"] == "isolated_network_not_declared"
    assert [result.result["changed"] for result in results.values()] == [False, True, True, False, True]
    assert results["change"].result["probes"][0]["failure"] == "name_not_resolved"
    assert tasks(started.folder) == first
    assert [record["state"] for record in undo_records(started.folder)] == ["undone"]
