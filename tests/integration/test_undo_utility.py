"""_Undo.psm1: records are read exactly as they were saved, and nothing that would not be is saved."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.integration.host_state import UNDO, registry, set_key, write_record
from tests.integration.utility_script import UtilityHost
from tests.lab.engine import Engine


@pytest.fixture
def host(engine: Engine, tmp_path: Path) -> UtilityHost:
    return UtilityHost(engine, tmp_path / "client1", "_Undo")


def undo_keys(host: UtilityHost) -> dict[str, Any]:
    """The registry keys of the product, and their values."""
    return {name: key.get("values", {}) for name, key in registry(host.folder).items() if "winpki.scep" in name}


def test_a_change_id_has_a_time_and_chance(host: UtilityHost) -> None:
    first, second = host.run("@(1, 2 | ForEach-Object { New-ScepUndoId })")
    for change_id in (first, second):
        assert re.fullmatch(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}", change_id)
        made = datetime.strptime(change_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        assert abs((datetime.now(timezone.utc) - made).total_seconds()) < 60
    assert first != second


OLD = {
    "change_id": "20250101T000000Z-00000000",
    "role": None,
    "module": "log_level",
    "host": "CLIENT1",
    "created": "2025-01-01T00:00:00Z",
    "state": "done",
    "before": None,
    "after": 4,
}
STATE = {
    "text": "a",
    "time": "2026-01-31T08:00:00.1234567+02:00",
    "day": "2026-01-31",
    "quotes": '"\\" \\ \u2028 </script> {{ x }} $(1)',
    "control": "\u0000\u0007\u001b\r\n",
    "empty": "",
    "": "an empty name",
    "number": 3,
    "large": 4294967295,
    "yes": True,
    "none": None,
    "list": [],
    "one": ["a"],
    "nested": [[{"a": ["2026-01-31T08:00:00Z"]}], []],
    "map": {},
}
SAVE = """
$before = ConvertFrom-Json $given.json -AsHashtable -DateKind String
$record = New-ScepUndoRecord -Module 'trust_chain' -Role $given.role -Before $before -After ([ordered]@{})
Save-ScepUndoRecord $record
"""


def test_a_record_is_read_as_it_was_saved(host: UtilityHost) -> None:
    saved, found = host.run(
        SAVE + "$record; Get-ScepUndoRecord -ChangeId $record.change_id -Module trust_chain",
        {"json": json.dumps(STATE), "role": "trust_ndes_chain"},
    )
    assert found == saved
    assert found == {
        "change_id": found["change_id"],
        "role": "trust_ndes_chain",
        "module": "trust_chain",
        "host": "CLIENT1",
        "created": found["created"],
        "state": "prepared",
        "before": STATE,
        "after": {},
    }
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{7}Z", found["created"])
    values = undo_keys(host)[f"{UNDO}\\{found['change_id']}"]
    assert list(values) == ["Record"]
    assert values["Record"]["kind"] == "String"
    assert json.loads(values["Record"]["data"]) == found


def test_records_are_listed_by_age_changed_in_place_and_taken_away(host: UtilityHost) -> None:
    write_record(host.folder, OLD)
    script = (
        SAVE
        + """
        $record.state = 'done'; Save-ScepUndoRecord $record
        , @(Get-ScepUndoRecord)
        Remove-ScepUndoRecord $record.change_id; Remove-ScepUndoRecord $record.change_id
        , @(Get-ScepUndoRecord)
        """
    )
    both, left = host.run(script, {"json": "{}", "role": ""})
    assert both[0] == OLD
    assert (both[1]["state"], both[1]["role"]) == ("done", None)
    assert left == [OLD]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "its text is not JSON"),
        ("[]", "its text is not a record of this change"),
        ("{}", "its text is not a record of this change"),
    ],
)
def test_a_damaged_record_is_told_not_lost(host: UtilityHost, text: str, reason: str) -> None:
    set_key(host.folder, f"{UNDO}\\20250101T000000Z-00000000", Record=("String", text))
    listed, message = host.run(
        """, @(Get-ScepUndoRecord)
        try { Get-ScepUndoRecord -ChangeId 20250101T000000Z-00000000 } catch { $_.Exception.Message }"""
    )
    error = f"The undo record 20250101T000000Z-00000000 is damaged: {reason}."
    assert listed == [{"change_id": "20250101T000000Z-00000000", "state": "unreadable", "error": error}]
    assert message == f"{error} It cannot be undone with it."


def test_a_key_that_was_cut_off_before_its_record_is_none(host: UtilityHost) -> None:
    """The record is written before the change, so nothing was changed, and nothing can stand in a rollback's way."""
    set_key(host.folder, f"{UNDO}\\20250101T000000Z-00000000")
    assert host.run(", @(Get-ScepUndoRecord)") == []


MALFORMED = (
    "This is not a change id: it has the form YYYYMMDDTHHMMSSZ-xxxxxxxx, as in 20260131T080000Z-0a1b2c3d. "
    "undo_info lists those of a host."
)


@pytest.mark.parametrize(
    ("change_id", "message"),
    [
        ("", MALFORMED),
        ("..", MALFORMED),
        ("20250101T000000Z-00000000\n", MALFORMED),
        ("20250101T000000Z-00000000\\x", MALFORMED),
        ("20250101T000000Z-0000000G", MALFORMED),
        ("20250101t000000z-00000000", MALFORMED),
        (
            "20250101T000000Z-00000001",
            "CLIENT1 has no undo record 20250101T000000Z-00000001. undo_info lists those that it has.",
        ),
        (
            "20250101T000000Z-00000000",
            "20250101T000000Z-00000000 is a change of the module log_level, not of trust_chain: "
            "undo it with log_level.",
        ),
    ],
)
def test_a_change_that_cannot_be_undone_is_refused(host: UtilityHost, change_id: str, message: str) -> None:
    write_record(host.folder, OLD)
    script = "try { Get-ScepUndoRecord -ChangeId $given -Module trust_chain } catch { $_.Exception.Message }"
    assert host.run(script, change_id) == message


def test_a_record_that_cannot_be_written_is_an_error_that_says_where(host: UtilityHost) -> None:
    (host.folder / "registry").mkdir()
    (host.folder / "registry" / "access.json").write_text(json.dumps({"HKLM\\SOFTWARE": "readonly"}), encoding="utf-8")
    message = host.run(f"try {{ {SAVE} }} catch {{ $_.Exception.Message }}", {"json": "{}", "role": ""})
    assert message.startswith("The undo record could not be written to HKLM\\SOFTWARE\\winpki.scep\\Undo: ")
    assert message.endswith(" An account with administrator rights is needed.")
    assert undo_keys(host) == {}


def test_a_record_that_is_too_large_for_the_registry_is_refused(host: UtilityHost) -> None:
    given = {"json": json.dumps({"a": "x" * 500000}), "role": ""}
    message = host.run(f"try {{ {SAVE} }} catch {{ $_.Exception.Message }}", given)
    assert re.fullmatch(
        r"The undo record of this change would have 500\d\d\d characters, more than the 500000 "
        r"that the registry should hold: nothing was changed\.",
        message,
    )
    assert undo_keys(host) == {}


def test_what_a_cmdlet_wrapped_is_saved_bare(host: UtilityHost) -> None:
    script = """
    $text = 'a' | Add-Member -NotePropertyName PSPath -NotePropertyValue b -PassThru
    $list = ConvertFrom-Json '[1, [2, []]]' -NoEnumerate
    $table = @{ list = $list; text = $text; flag = $true }
    $record = New-ScepUndoRecord -Module profile -Before $table -After @($text)
    Save-ScepUndoRecord $record
    $found = Get-ScepUndoRecord -ChangeId $record.change_id
    @($found.before.list.GetType().FullName, $found.before.list[1].GetType().FullName)
    """
    assert host.run(script) == ["System.Object[]", "System.Object[]"]
    [text] = [key["Record"]["data"] for name, key in undo_keys(host).items() if name.startswith(f"{UNDO}\\")]
    record = json.loads(text)
    assert (record["before"], record["after"]) == ({"list": [1, [2, []]], "text": "a", "flag": True}, ["a"])


@pytest.mark.parametrize("state", ["[char]0xD83D", "$case"])
def test_a_record_that_would_not_be_read_as_written_is_refused(host: UtilityHost, state: str) -> None:
    script = """
    $case = [System.Collections.Hashtable]::new([StringComparer]::Ordinal)
    $case['a'] = 1; $case['A'] = 2
    try { Save-ScepUndoRecord (New-ScepUndoRecord -Module profile -Before (%s)) } catch { $_.Exception.Message }
    """
    assert host.run(script % state) == (
        "The undo record of this change would not be read as it was written, so it could not be undone: "
        "nothing was changed."
    )
    assert undo_keys(host) == {}


def test_what_differs_from_a_record_is_named(host: UtilityHost) -> None:
    expected = {"a": 1, "b": "x", "gone": None, "list": [{"c": True}, "y"], "short": ["a"], "case": "x"}
    actual = {"a": 1, "b": "x" * 200, "list": [{"c": False}, "y"], "short": [], "new": None, "case": "X"}
    assert host.run("@(Compare-ScepState $given[0] $given[0]).Count", [expected]) == 0
    script = """
    $states = foreach ($text in $given) { ConvertFrom-Json $text -AsHashtable -DateKind String }
    @(Compare-ScepState $states[0] $states[1])
    """
    assert host.run(script, [json.dumps(expected), json.dumps(actual)]) == [
        'b is "' + "x" * 99 + '..., not "x".',
        "gone is gone.",
        "list[0].c is false, not true.",
        'short is [], not ["a"].',
        'case is "X", not "x".',
        "new is new.",
    ]
