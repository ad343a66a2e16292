"""_Change.psm1: a change ends in the state after it or in the one before, and says where that could not be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.host_state import deny, undo_records
from tests.integration.utility_script import UtilityHost
from tests.lab.engine import Engine

# What is changed here is a variable.
CHANGE = """
$record = New-ScepUndoRecord -Module 'test' -Role 'test' -Before 1 -After 2
if ($given.former) {{ $record['state'] = $given.former; Save-ScepUndoRecord -Record $record }}
$setting = @{{ Value = 1; Restored = 0 }}
$problem = $null
try {{
    $problem = Invoke-ScepChange -Record $record -State $given.state -Apply {{
        $setting.Value = 2
        {apply}
    }} -Restore {{
        $setting.Restored++
        {restore}
        $setting.Value = 1
    }}
}}
catch {{ $problem = @{{ Thrown = $_.Exception.Message }} }}
@{{ value = $setting.Value; restored = $setting.Restored; problem = $problem; id = $record['change_id'] }}
"""


@pytest.fixture
def host(engine: Engine, tmp_path: Path) -> UtilityHost:
    return UtilityHost(engine, tmp_path / "client1", "_Undo", "_Change")


def change(host: UtilityHost, apply: str = "", restore: str = "", **given: str) -> dict[str, Any]:
    script = CHANGE.format(apply=apply, restore=restore)
    return dict(host.run(script, {"state": "done", "former": None, **given}))


@pytest.mark.parametrize(("state", "former"), [("done", None), ("undone", "done"), ("undone", "prepared")])
def test_a_change_that_works(host: UtilityHost, state: str, former: str) -> None:
    done = change(host, state=state, former=former)
    assert (done["value"], done["restored"], done["problem"]) == (2, 0, None)
    assert [record["state"] for record in undo_records(host.folder)] == [state]


def test_the_record_is_there_before_the_change(host: UtilityHost) -> None:
    done = change(host, apply="throw (Get-ScepUndoRecord).state", restore="throw 'no'")
    assert done["problem"]["Message"].startswith("The change failed: prepared ")


def test_a_change_that_fails_is_put_back(host: UtilityHost) -> None:
    done = change(host, apply="throw 'It broke.'")
    assert (done["value"], done["restored"]) == (1, 1)
    assert done["problem"] == {"HalfDone": False, "Message": "The change failed: It broke. The host is as it was."}
    assert undo_records(host.folder) == []


def test_an_undo_that_fails_keeps_its_record(host: UtilityHost) -> None:
    done = change(host, apply="throw 'It broke.'", state="undone", former="done")
    assert (done["value"], done["problem"]["HalfDone"]) == (1, False)
    assert [record["state"] for record in undo_records(host.folder)] == ["done"]


def test_a_change_that_cannot_be_put_back(host: UtilityHost) -> None:
    done = change(host, apply="throw 'It broke.'", restore="throw 'Nor this.'")
    assert (done["value"], done["restored"]) == (2, 1)
    assert done["problem"] == {
        "HalfDone": True,
        "Message": "The change failed: It broke. Putting back what had been done failed too (Nor this.): when that is "
        f"mended, undo {done['id']}.",
    }
    assert [record["state"] for record in undo_records(host.folder)] == ["prepared"]


def test_without_a_record_there_is_no_change(host: UtilityHost) -> None:
    deny(host.folder, "SOFTWARE", "readonly")
    done = change(host)
    assert (done["value"], done["restored"]) == (1, 0)
    assert done["problem"]["Thrown"].startswith("The undo record could not be written to ")
