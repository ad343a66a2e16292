"""undo_info on the lab: the records are written into the host's registry files by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.host_state import UNDO, deny, set_key, snapshot, write_record
from tests.integration.module_process import ModuleHost
from tests.lab.engine import Engine
from tests.lab.fleet import Lab
from tests.lab.playbook import run_module

HOSTILE = "a\r\n\x1b[31m {{ 1 + 1 }} $(Get-Date) 2026-01-31T08:00:00Z ä😀"


def record(change_id: str, created: str, **more: Any) -> dict[str, Any]:
    return {
        "change_id": change_id,
        "role": "trust_ndes_chain",
        "module": "trust_chain",
        "host": "CLIENT1",
        "created": created,
        "state": "done",
        "before": [{"present": False}],
        "after": [{"present": True, "subject": HOSTILE}],
        **more,
    }


OLD = record("20260131T080000Z-ffffffff", "2026-01-31T08:00:00.1000000Z")
# In the same second: the id alone would put it first.
NEXT = record("20260131T080000Z-00000000", "2026-01-31T08:00:00.2000000Z", role=None, module="log_level", after=4)
NEW = record("20260201T080000Z-00000000", "2026-02-01T08:00:00.0000000Z", state="undone")
DAMAGED = "20250101T000000Z-00000000"
UNREADABLE = [{"change_id": DAMAGED, "error": f"The undo record {DAMAGED} is damaged: its text is not JSON."}]


@pytest.fixture(scope="module")
def host(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleHost]:
    with ModuleHost(engine, tmp_path_factory.mktemp("host") / "client1", "undo_info") as started:
        yield started


@pytest.fixture
def records(host: ModuleHost) -> Iterator[None]:
    for one in (NEW, NEXT, OLD):
        write_record(host.folder, one)
    set_key(host.folder, f"{UNDO}\\{DAMAGED}", Record=("String", "{"))
    yield
    (host.folder / "registry" / "HKLM.json").unlink()


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize(
    ("options", "found", "unreadable"),
    [
        ({}, [OLD, NEXT, NEW], UNREADABLE),
        ({"role": "trust_ndes_chain"}, [OLD, NEW], UNREADABLE),
        ({"role": "TRUST_NDES_CHAIN"}, [], UNREADABLE),
        ({"change_id": "20260131T080000Z-00000000"}, [NEXT], []),
        ({"change_id": "20260131T080000Z-00000001"}, [], []),
        ({"change_id": "20260131T080000Z-00000000", "role": "trust_ndes_chain"}, [], []),
        ({"change_id": DAMAGED}, [], UNREADABLE),
    ],
)
def test_records(host: ModuleHost, options: dict[str, str], found: list[Any], unreadable: list[Any]) -> None:
    before = snapshot(host.folder)
    result = host.one(options)
    assert (result["changed"], result["records"], result["unreadable"]) == (False, found, unreadable)
    assert result.get("warnings", []) == [one["error"] for one in unreadable]
    assert snapshot(host.folder) == before


def test_a_host_without_records(host: ModuleHost) -> None:
    result = host.one({})
    assert (result["records"], result["unreadable"]) == ([], [])
    assert not (host.folder / "registry" / "HKLM.json").exists()


def test_what_is_no_change_id(host: ModuleHost) -> None:
    assert host.fail({"change_id": "..\\Run"})["msg"] == (
        "This is not a change id: it has the form YYYYMMDDTHHMMSSZ-xxxxxxxx, as in 20260131T080000Z-0a1b2c3d. "
        "undo_info lists those of a host."
    )


@pytest.mark.usefixtures("records")
def test_without_the_right_to_read(host: ModuleHost) -> None:
    deny(host.folder, "SOFTWARE\\winpki.scep", "denied")
    message = host.fail({})["msg"]
    (host.folder / "registry" / "access.json").unlink()
    assert message.startswith("The undo records in HKLM\\SOFTWARE\\winpki.scep\\Undo cannot be read: ")
    assert message.endswith(" An account with administrator rights is needed.")


def test_over_winrm(lab: Lab) -> None:
    started = lab.host("CLIENT1")
    write_record(started.folder, OLD)
    fleet = lab.start(started)
    done = run_module(
        fleet.inventory_path, "CLIENT1", "winpki.scep.undo_info", {"role": "trust_ndes_chain"}, check=True
    )
    assert (done.status, done.result["records"], done.result["unreadable"]) == ("ok", [OLD], [])
