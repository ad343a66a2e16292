"""log_level on the lab; the registry is looked at in the host's files, not by what is tested."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.host_state import UNDO, deny, registry, set_key, snapshot, undo_records, write_record
from tests.integration.module_process import ModuleHost
from tests.lab.engine import Engine
from tests.lab.fleet import Lab
from tests.lab.playbook import run_playbook

MODULE = "winpki.scep.log_level"
KEY = "SOFTWARE\\Microsoft\\Cryptography\\AutoEnrollment"
NONE = {"value": None, "effective": 3, "key_exists": False, "kind": None, "data": None}
EMPTY = {**NONE, "key_exists": True}
UNKNOWN_KIND: Any = 107
OLD_ID = "20260131T080000Z-0a1b2c3d"


@pytest.fixture(scope="module")
def started(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleHost]:
    with ModuleHost(engine, tmp_path_factory.mktemp("host") / "client1", "log_level") as running:
        yield running


@pytest.fixture
def host(started: ModuleHost) -> ModuleHost:
    """The host, with a registry that has nothing of its own."""
    for file in ("HKLM.json", "access.json"):
        (started.folder / "registry" / file).unlink(missing_ok=True)
    return started


def dword(value: int) -> dict[str, Any]:
    return {"value": value, "effective": value, "key_exists": True, "kind": "DWord", "data": value}


def other(kind: str, data: Any) -> dict[str, Any]:
    return {"value": None, "effective": None, "key_exists": True, "kind": kind, "data": data}


def written(folder: Path) -> dict[str, Any] | None:
    """What the registry's file has as LogLevel."""
    values = registry(folder).get(KEY, {}).get("values", {})
    return values.get("LogLevel") if values else None


def done(result: dict[str, Any]) -> tuple[Any, ...]:
    return result["changed"], result["before"], result["after"]


def test_check_change_again_undo(host: ModuleHost) -> None:
    first = snapshot(host.folder)
    raise_it = {"level": 4, "role": "verify"}

    checked = host.one(raise_it, check=True, diff=True)
    assert done(checked) == (True, NONE, dword(4))
    assert (checked["change_id"], checked["undo"]) == (None, None)
    assert checked["diff"] == {
        "before": f"HKLM\\{KEY}\\LogLevel: not set, without its key\n",
        "after": f"HKLM\\{KEY}\\LogLevel: DWord 4\n",
    }
    assert not (host.folder / "registry" / "HKLM.json").exists()

    changed = host.one(raise_it, diff=True)
    assert done(changed) == (True, NONE, dword(4))
    assert changed["diff"] == checked["diff"]
    assert re.fullmatch(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}", changed["change_id"])
    assert written(host.folder) == {"kind": "DWord", "data": 4}
    [record] = undo_records(host.folder)
    assert record == changed["undo"]
    assert {key: value for key, value in record.items() if key != "created"} == {
        "change_id": changed["change_id"],
        "role": "verify",
        "module": "log_level",
        "host": "CLIENT1",
        "state": "done",
        "before": NONE,
        "after": dword(4),
    }
    second = (host.folder / "registry" / "HKLM.json").read_bytes()

    again = host.one(raise_it, diff=True)
    assert done(again) == (False, dword(4), dword(4))
    assert (again["change_id"], again["undo"]) == (None, None)
    assert again["diff"]["before"] == again["diff"]["after"]
    assert (host.folder / "registry" / "HKLM.json").read_bytes() == second

    undo = {"undo": changed["change_id"]}
    undo_checked = host.one(undo, check=True, diff=True)
    assert done(undo_checked) == (True, dword(4), NONE)
    assert undo_checked["change_id"] is None
    assert undo_checked["diff"] == {"before": checked["diff"]["after"], "after": checked["diff"]["before"]}
    assert (host.folder / "registry" / "HKLM.json").read_bytes() == second

    undone = host.one(undo)
    assert done(undone) == (True, dword(4), NONE)
    assert undone["change_id"] == changed["change_id"]
    assert snapshot(host.folder) == first
    assert KEY not in registry(host.folder)
    assert undo_records(host.folder) == [{**record, "state": "undone"}] == [undone["undo"]]

    undone_again = host.one(undo)
    assert done(undone_again) == (False, NONE, NONE)
    assert undone_again["change_id"] is None


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (None, NONE),
        (("DWord", 0), dword(0)),
        (("DWord", 5), dword(5)),
        (("DWord", 6), {**dword(6), "effective": None}),
        (("DWord", 4294967295), {**dword(4294967295), "effective": None, "data": -1}),
        (("String", "4"), other("String", "4")),
        (("QWord", 4), other("QWord", 4)),
        (("Binary", "04000000"), other("Binary", "04000000")),
        ((UNKNOWN_KIND, "0400"), other("Unknown", None)),
    ],
)
def test_reading(host: ModuleHost, value: tuple[str, Any] | None, state: dict[str, Any]) -> None:
    if value:
        set_key(host.folder, KEY, LogLevel=value)
    before = snapshot(host.folder)
    result = host.one({}, diff=True)
    assert done(result) == (False, state, state)
    assert (result["change_id"], result["undo"]) == (None, None)
    assert snapshot(host.folder) == before
    assert undo_records(host.folder) == []


def test_a_key_without_the_value(host: ModuleHost) -> None:
    set_key(host.folder, KEY, AEExpress=("DWord", 1))
    assert done(host.one({})) == (False, EMPTY, EMPTY)
    changed = host.one({"level": 5})
    assert done(changed) == (True, EMPTY, dword(5))
    assert done(host.one({"undo": changed["change_id"]})) == (True, dword(5), EMPTY)
    assert registry(host.folder)[KEY]["values"] == {"AEExpress": {"kind": "DWord", "data": 1}}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("DWord", 2),
        ("DWord", 4294967295),
        ("QWord", 9007199254740993),
        ("String", "%SystemRoot% ä\U0001f600 2026-01-31T08:00:00Z"),
        ("String", ""),
        ("ExpandString", "%SystemRoot%\\4"),
        ("MultiString", ["4", "", "5"]),
        ("MultiString", ["4"]),
        ("MultiString", []),
        ("Binary", "0400000000ff"),
        ("Binary", ""),
        ("None", "0400"),
    ],
)
def test_what_was_there_comes_back_byte_for_byte(host: ModuleHost, kind: str, data: Any) -> None:
    set_key(host.folder, KEY, LogLevel=(kind, data), Other=("Binary", "00ff"))
    first = snapshot(host.folder)
    for options in ({"level": 4}, {"state": "absent"}):
        changed = host.one(options)
        assert changed["changed"] is True
        assert written(host.folder) == ({"kind": "DWord", "data": 4} if "level" in options else None)
        undone = host.one({"undo": changed["change_id"]})
        assert (undone["changed"], undone["after"]) == (True, changed["before"])
        assert snapshot(host.folder) == first


def test_absent(host: ModuleHost) -> None:
    nothing = host.one({"state": "absent"})
    assert done(nothing) == (False, NONE, NONE)
    set_key(host.folder, KEY, LogLevel=("DWord", 4))
    assert done(host.one({"state": "absent"}, check=True)) == (True, dword(4), EMPTY)
    assert written(host.folder) == {"kind": "DWord", "data": 4}
    assert done(host.one({"state": "absent"})) == (True, dword(4), EMPTY)
    assert done(host.one({"state": "absent"})) == (False, EMPTY, EMPTY)
    assert written(host.folder) is None


def test_a_key_that_got_other_values_stays(host: ModuleHost) -> None:
    changed = host.one({"level": 4})
    set_key(host.folder, KEY, AEExpress=("DWord", 1))
    assert done(host.one({"undo": changed["change_id"]})) == (True, dword(4), EMPTY)
    assert registry(host.folder)[KEY]["values"] == {"AEExpress": {"kind": "DWord", "data": 1}}


def test_an_undo_after_another_change_is_refused(host: ModuleHost) -> None:
    changed = host.one({"level": 4})
    set_key(host.folder, KEY, LogLevel=("DWord", 5))
    before = snapshot(host.folder)
    refused = host.fail({"undo": changed["change_id"]})
    assert (refused["refused"], refused["reason"]) == (True, "changed_since")
    assert refused["msg"] == (
        f"Refused, nothing was changed. The log level is not as the change {changed['change_id']} left it: "
        "value is 5, not 4. effective is 5, not 4. data is 5, not 4. Set it by hand, or with level or state=absent."
    )
    assert snapshot(host.folder) == before
    assert undo_records(host.folder) == [changed["undo"]]


def test_a_change_that_was_taken_back_by_hand(host: ModuleHost) -> None:
    changed = host.one({"level": 4})
    document = json.loads((host.folder / "registry" / "HKLM.json").read_text("utf-8"))
    del document["keys"][KEY]
    (host.folder / "registry" / "HKLM.json").write_text(json.dumps(document), "utf-8")
    assert done(host.one({"undo": changed["change_id"]})) == (False, NONE, NONE)
    assert [record["state"] for record in undo_records(host.folder)] == ["undone"]


def test_a_value_that_could_not_be_put_back(host: ModuleHost) -> None:
    set_key(host.folder, KEY, LogLevel=(UNKNOWN_KIND, "0400"))
    first = snapshot(host.folder)
    for options in ({"level": 4}, {"state": "absent"}):
        refused = host.fail(options)
        assert (refused["refused"], refused["reason"]) == (True, "unreadable_value")
        assert refused["msg"].startswith(f"Refused, nothing was changed. HKLM\\{KEY} has a value LogLevel of a type, ")
    assert snapshot(host.folder) == first
    assert undo_records(host.folder) == []


@pytest.mark.parametrize("started_from", ["nothing", "other"])
def test_without_the_right_to_write(host: ModuleHost, started_from: str) -> None:
    if started_from == "other":
        set_key(host.folder, KEY, LogLevel=("DWord", 2))
    deny(host.folder, "SOFTWARE\\Microsoft\\Cryptography", "readonly")
    first = snapshot(host.folder)
    message = host.fail({"level": 4})["msg"]
    assert message.startswith("The change failed: ")
    assert message.endswith(" The host is as it was.")
    assert snapshot(host.folder) == first
    assert undo_records(host.folder) == []


def test_without_the_right_to_read(host: ModuleHost) -> None:
    set_key(host.folder, KEY, LogLevel=("DWord", 4))
    deny(host.folder, "SOFTWARE\\Microsoft\\Cryptography", "denied")
    message = host.fail({})["msg"]
    assert message.startswith(f"HKLM\\{KEY} can't be read: ")
    assert message.endswith(" An account with administrator rights is needed.")


def test_without_an_undo_record_there_is_no_change(host: ModuleHost) -> None:
    deny(host.folder, "SOFTWARE\\winpki.scep", "readonly")
    first = snapshot(host.folder)
    message = host.fail({"level": 4})["msg"]
    assert message.startswith("The undo record could not be written to HKLM\\SOFTWARE\\winpki.scep\\Undo: ")
    assert snapshot(host.folder) == first


def test_an_undo_that_cannot_be_recorded_is_put_back(host: ModuleHost) -> None:
    changed = host.one({"level": 4})
    deny(host.folder, "SOFTWARE\\winpki.scep", "readonly")
    message = host.fail({"undo": changed["change_id"]})["msg"]
    assert message.startswith("The change failed: The undo record could not be written to ")
    assert message.endswith(" The host is as it was.")
    assert written(host.folder) == {"kind": "DWord", "data": 4}
    assert undo_records(host.folder) == [changed["undo"]]


@pytest.mark.parametrize("written_already", [False, True])
def test_an_interrupted_change_can_be_undone(host: ModuleHost, written_already: bool) -> None:
    # What a process that was killed leaves: the record, and the value or not.
    set_key(host.folder, KEY, LogLevel=("DWord", 4 if written_already else 2))
    record = {
        "change_id": OLD_ID,
        "role": None,
        "module": "log_level",
        "host": "CLIENT1",
        "created": "2026-01-31T08:00:00.0000000Z",
        "state": "prepared",
        "before": dword(2),
        "after": dword(4),
    }
    write_record(host.folder, record)
    assert host.one({"undo": OLD_ID})["changed"] is written_already
    assert written(host.folder) == {"kind": "DWord", "data": 2}
    assert undo_records(host.folder) == [{**record, "state": "undone"}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 6}, "value of level must be one of: 0, 1, 2, 3, 4, 5. Got no match for: 6"),
        ({"level": 4, "undo": OLD_ID}, "parameters are mutually exclusive: level, undo"),
        (
            {"level": 4, "state": "absent"},
            "level: there is none to set with state=absent, which removes the value; leave level or state out.",
        ),
        (
            {"undo": OLD_ID, "state": "absent"},
            "undo: it is not possible together with state=absent; leave one of them out.",
        ),
        ({"undo": OLD_ID}, f"CLIENT1 has no undo record {OLD_ID}. undo_info lists those that it has."),
    ],
)
def test_options_that_are_refused(host: ModuleHost, options: dict[str, Any], message: str) -> None:
    assert host.run(options)["msg"] == message
    assert registry(host.folder) == {}


def test_a_record_of_another_module(host: ModuleHost) -> None:
    record = {"change_id": OLD_ID, "role": None, "module": "trust_chain", "host": "CLIENT1"}
    rest = {"created": "2026-01-31T08:00:00.0000000Z", "state": "done", "before": [], "after": []}
    write_record(host.folder, {**record, **rest})
    assert host.fail({"undo": OLD_ID})["msg"] == (
        f"{OLD_ID} is a change of the module trust_chain, not of log_level: undo it with trust_chain."
    )


def test_over_winrm(lab: Lab) -> None:
    started = lab.host("CLIENT1")
    set_key(started.folder, KEY, LogLevel=("String", "{{ 1 + 1 }}"))
    first = snapshot(started.folder)
    tasks: list[dict[str, Any]] = [
        {"name": "read", MODULE: {}},
        {"name": "check", MODULE: {"level": 4}, "check_mode": True, "diff": True},
        {"name": "change", MODULE: {"level": 4}, "register": "done"},
        {"name": "again", MODULE: {"level": 4}},
        {"name": "undo", MODULE: {"undo": "{{ done.change_id }}"}},
    ]
    fleet = lab.start(started)
    played = run_playbook([{"hosts": "all", "gather_facts": False, "tasks": tasks}], fleet.inventory_path)
    results = {str(task["name"]): played.of("CLIENT1", str(task["name"])) for task in tasks}
    assert [result.status for result in results.values()] == ["ok"] * 5
    assert [result.result["changed"] for result in results.values()] == [False, True, True, False, True]
    assert results["read"].result["before"] == other("String", "{{ 1 + 1 }}")
    assert snapshot(started.folder) == first
    assert [record["state"] for record in undo_records(started.folder)] == ["undone"]
    assert f"{UNDO}\\{results['change'].result['change_id']}" in registry(started.folder)
