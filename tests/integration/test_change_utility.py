"""_Change.psm1: a change ends in the state after it or in the one before, and says where that could not be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.host_state import deny, undo_records
from tests.integration.utility_script import UtilityHost
from tests.lab.engine import Engine

# What is changed here is a variable; what a module would have as its result is the one of $module.
CHANGE = """
$record = New-ScepUndoRecord -Module 'test' -Role 'test' -Before 1 -After 2
if ($given.former) {{ $record['state'] = $given.former; Save-ScepUndoRecord -Record $record }}
$setting = @{{ Value = 1; Restored = 0 }}
$module = [PSCustomObject]@{{ Result = @{{}} }}
Initialize-ScepChangeResult -Module $module
$module.Result.changed = $given.changed
$problem = $null
try {{
    Invoke-ScepChange -Module $module -Record $record -State $given.state -Apply {{
        $setting.Value = 2
        {apply}
    }} -Restore {{
        $setting.Restored++
        {restore}
        $setting.Value = 1
    }}
}}
catch {{ $problem = $_.Exception.Message }}
@{{
    value = $setting.Value; restored = $setting.Restored; problem = $problem
    id = $record['change_id']; result = $module.Result
}}
"""
UNDO_STEP = """
$record = @{ state = $given.state; before = @{ level = 3 }; after = @{ level = 4 } }
Get-ScepUndoStep -Record $record -Current @{ level = $given.level }
"""
NO_REFUSAL = """
$module = [PSCustomObject]@{ Result = @{} }
$problem = $null
$refusals = @(foreach ($word in $given) { New-ScepRefusal -Reason $word -Message "It is $word." })
try { Assert-ScepNoRefusal -Module $module -Refusal $refusals }
catch { $problem = $_.Exception.Message }
@{ problem = $problem; result = $module.Result }
"""


@pytest.fixture
def host(engine: Engine, tmp_path: Path) -> UtilityHost:
    return UtilityHost(engine, tmp_path / "client1", "_Undo", "_Change")


def change(host: UtilityHost, apply: str = "", restore: str = "", **given: object) -> dict[str, Any]:
    script = CHANGE.format(apply=apply, restore=restore)
    return dict(host.run(script, {"state": "done", "former": None, "changed": True, **given}))


@pytest.mark.parametrize(("state", "former"), [("done", None), ("undone", "done"), ("undone", "prepared")])
def test_a_change_that_works(host: UtilityHost, state: str, former: str) -> None:
    done = change(host, state=state, former=former)
    assert (done["value"], done["restored"], done["problem"]) == (2, 0, None)
    [record] = undo_records(host.folder)
    assert record["state"] == state
    assert (done["result"]["changed"], done["result"]["change_id"], done["result"]["undo"]) == (
        True,
        done["id"],
        record,
    )


def test_an_undo_that_changes_nothing_marks_its_record_only(host: UtilityHost) -> None:
    done = change(host, state="undone", former="prepared", changed=False)
    assert [record["state"] for record in undo_records(host.folder)] == ["undone"]
    assert (done["problem"], done["result"]["change_id"], done["result"]["undo"]) == (None, None, None)


def test_the_record_is_there_before_the_change(host: UtilityHost) -> None:
    done = change(host, apply="throw (Get-ScepUndoRecord).state", restore="throw 'no'")
    assert done["problem"].startswith("The change failed: prepared ")


def test_a_change_that_fails_is_put_back(host: UtilityHost) -> None:
    done = change(host, apply="throw 'It broke.'")
    assert (done["value"], done["restored"]) == (1, 1)
    assert done["problem"] == "The change failed: It broke. The host is as it was."
    assert (done["result"]["change_id"], done["result"]["undo"]) == (None, None)
    assert undo_records(host.folder) == []


def test_an_undo_that_fails_keeps_its_record(host: UtilityHost) -> None:
    done = change(host, apply="throw 'It broke.'", state="undone", former="done")
    assert (done["value"], done["result"]["undo"]) == (1, None)
    assert [record["state"] for record in undo_records(host.folder)] == ["done"]


def test_a_change_that_cannot_be_put_back(host: UtilityHost) -> None:
    done = change(host, apply="throw 'It broke.'", restore="throw 'Nor this.'")
    assert (done["value"], done["restored"]) == (2, 1)
    assert done["problem"] == (
        "The change failed: It broke. Putting back what had been done failed too (Nor this.): when that is "
        f"mended, undo {done['id']}."
    )
    [record] = undo_records(host.folder)
    assert record["state"] == "prepared"
    assert (done["result"]["change_id"], done["result"]["undo"]) == (done["id"], record)


def test_without_a_record_there_is_no_change(host: UtilityHost) -> None:
    deny(host.folder, "SOFTWARE", "readonly")
    done = change(host)
    assert (done["value"], done["restored"], done["result"]["undo"]) == (1, 0, None)
    assert done["problem"].startswith("The undo record could not be written to ")


@pytest.mark.parametrize(
    ("state", "level", "target", "mark", "differences"),
    [
        ("done", 4, 3, True, []),
        ("prepared", 4, 3, True, []),
        ("done", 3, 3, True, []),
        ("done", 5, 5, False, ["level is 5, not 4."]),
        ("undone", 4, 4, False, []),
        ("undone", 5, 5, False, []),
    ],
)
def test_what_takes_a_change_back(
    host: UtilityHost, state: str, level: int, target: int, mark: bool, differences: list[str]
) -> None:
    found = host.run(UNDO_STEP, {"state": state, "level": level})
    assert found == {"Target": {"level": target}, "Mark": mark, "Differences": differences}


def test_refusals(host: UtilityHost) -> None:
    found = host.run(NO_REFUSAL, ["late", "early"])
    assert found["problem"] == "Refused, nothing was changed. It is late. It is early."
    assert found["result"] == {
        "refused": True,
        "reason": "late",
        "refusals": [{"reason": "late", "message": "It is late."}, {"reason": "early", "message": "It is early."}],
    }


def test_no_refusal(host: UtilityHost) -> None:
    assert host.run(NO_REFUSAL, []) == {"problem": None, "result": {}}
