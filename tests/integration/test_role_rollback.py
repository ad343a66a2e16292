"""Role and playbook rollback on the lab: what is undone, in which order, what is not, and what each host says of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.host_state import LEVEL_KEY, put_certificate, set_key, snapshot, undo_records, write_record
from tests.lab.fleet import Fleet, FleetHost, Lab
from tests.lab.pki import Authority, sha256
from tests.lab.playbook import PlaybookResult, run_playbook

UNDO = "winpki.scep.rollback : Take the changes back"
ROOT = Authority.root("Lab Root CA")
ISSUING = ROOT.intermediate("Lab Issuing CA 1")
FOREIGN = {
    "change_id": "20260131T080000Z-0a1b2c3d",
    "role": "others",
    "module": "others_module",
    "host": "CLIENT3",
    "created": "2026-01-31T08:00:00.0000000Z",
    "state": "done",
    "before": {},
    "after": {},
}
CHANGE: dict[str, Any] = {
    "name": "Change hosts",
    "hosts": "CLIENT1,CLIENT2",
    "gather_facts": False,
    "tasks": [
        {
            "name": "Intermediate",
            "winpki.scep.trust_chain": {"certificates": [ISSUING.pem, ROOT.pem], "pins": [sha256(ROOT.certificate)]}
            | {"role": "trust_ndes_chain"},
        },
        {"name": "Level 4", "winpki.scep.log_level": {"level": 4, "role": "verify"}},
        {"name": "Level 5", "winpki.scep.log_level": {"level": 5, "role": "verify"}},
    ],
}


def rollback(fleet: Fleet, *, check: bool = False, limit: str | None = None, **variables: Any) -> PlaybookResult:
    given = {f"rollback_{key}": value for key, value in variables.items()}
    return run_playbook("winpki.scep.rollback", fleet.inventory_path, check=check, extra_vars=given, limit=limit)


def lists(done: PlaybookResult, host: str) -> dict[str, list[Any]]:
    """What became of each change, by the module of it."""
    result = done.of(host, UNDO).result
    return {key: [one["module"] for one in result[key]] for key in ("undone", "already", "kept", "not_foreseen")}


def nothing(**but: list[Any]) -> dict[str, list[Any]]:
    return {"undone": [], "already": [], "kept": [], "not_foreseen": [], **but}


@pytest.fixture
def hosts(lab: Lab) -> list[FleetHost]:
    made = [lab.host(f"CLIENT{number}") for number in (1, 2, 3)]
    for host in made:
        put_certificate(host.folder, "Root", Authority.root("Another Root CA").certificate)
        set_key(host.folder, LEVEL_KEY, LogLevel=("DWord", 2))
    write_record(made[2].folder, FOREIGN)
    return made


def test_by_role_by_id_and_the_whole_host(lab: Lab, hosts: list[FleetHost]) -> None:
    fleet = lab.start(*hosts)
    first = [snapshot(host.folder) for host in hosts]
    assert run_playbook([CHANGE], fleet.inventory_path).exit_code == 0
    second = [snapshot(host.folder) for host in hosts]
    [trusted, *levels] = undo_records(hosts[0].folder)
    assert [record["module"] for record in (trusted, *levels)] == ["trust_chain", "log_level", "log_level"]

    checked = rollback(fleet, check=True, limit="CLIENT1,CLIENT2", all=True)
    assert lists(checked, "CLIENT1") == nothing(undone=["log_level", "trust_chain"], not_foreseen=["log_level"])
    assert [snapshot(host.folder) for host in hosts] == second

    # The ids of one host: the others pass them over.
    one = rollback(fleet, change_ids=[trusted["change_id"], FOREIGN["change_id"]])
    assert lists(one, "CLIENT1") == nothing(undone=["trust_chain"])
    assert one.of("CLIENT2", UNDO).result["not_here"] == [trusted["change_id"], FOREIGN["change_id"]]
    assert (one.of("CLIENT2", UNDO).status, one.of("CLIENT2", UNDO).result["changed"]) == ("ok", False)
    # CLIENT3 has the other one, and has failed with it.
    assert "rollback_change_ids:" not in one.stdout
    foreign = one.of("CLIENT3", UNDO)
    assert (foreign.status, lists(one, "CLIENT3")) == ("failed", nothing(kept=["others_module"]))
    assert foreign.result["msg"] == (
        "0 undone, 1 could not be. 20260131T080000Z-0a1b2c3d: It was made by others_module, which is none of the "
        "modules that this version can undo."
    )
    assert snapshot(hosts[1].folder) == second[1]

    role = rollback(fleet, limit="CLIENT1", roles=["verify"])
    assert lists(role, "CLIENT1") == nothing(undone=["log_level", "log_level"])
    assert [one["change_id"] for one in role.of("CLIENT1", UNDO).result["undone"]] == [
        record["change_id"] for record in reversed(levels)
    ]
    assert [snapshot(host.folder) for host in hosts] == [first[0], second[1], first[2]]

    whole = rollback(fleet, limit="CLIENT1,CLIENT2", all=True)
    assert lists(whole, "CLIENT1") == nothing(already=["log_level", "log_level", "trust_chain"])
    assert lists(whole, "CLIENT2") == nothing(undone=["log_level", "log_level", "trust_chain"])
    assert (whole.of("CLIENT1", UNDO).result["changed"], whole.of("CLIENT2", UNDO).result["changed"]) == (False, True)
    assert [snapshot(host.folder) for host in hosts] == first
    assert undo_records(hosts[2].folder) == [FOREIGN]


def test_what_others_changed_stays_and_is_told(lab: Lab, hosts: list[FleetHost]) -> None:
    fleet = lab.start(*hosts)
    assert run_playbook([CHANGE], fleet.inventory_path, limit="CLIENT1").exit_code == 0
    set_key(hosts[0].folder, LEVEL_KEY, LogLevel=("DWord", 1))
    set_key(hosts[0].folder, "SOFTWARE\\winpki.scep\\Undo\\20260201T080000Z-0a1b2c3d", Record=("String", "{"))
    before = snapshot(hosts[0].folder)

    done = rollback(fleet, limit="CLIENT1", all=True)
    result = done.of("CLIENT1", UNDO)
    assert (result.status, result.result["changed"]) == ("failed", True)
    assert lists(done, "CLIENT1") == nothing(undone=["trust_chain"], kept=[None, "log_level", "log_level"])
    assert [one["reason"] for one in result.result["kept"]] == ["unreadable", "changed_since", "changed_since"]
    assert result.result["msg"].startswith("1 undone, 3 could not be. 20260201T080000Z-0a1b2c3d: ")
    assert snapshot(hosts[0].folder)["registry"] == before["registry"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "Say what to undo, in one way: give change_ids, or roles, or set all for all that was changed here."),
        ({"all": True, "roles": ["verify"]}, "Say what to undo, in one way: give change_ids, or roles, or set all"),
    ],
)
def test_it_has_to_be_said_what(lab: Lab, variables: dict[str, Any], message: str) -> None:
    fleet = lab.start(lab.down("CLIENT1"))
    assert message in rollback(fleet, **variables).of("CLIENT1", UNDO).result["msg"]


def test_an_id_that_nobody_has(lab: Lab, hosts: list[FleetHost]) -> None:
    fleet = lab.start(*hosts[:2], lab.down("CLIENT4"))
    done = rollback(fleet, change_ids=["20260131T080000Z-ffffffff"])
    assert done.of("CLIENT1", UNDO).status == "ok"
    message = (
        "rollback_change_ids: no host that answered has a record of 20260131T080000Z-ffffffff. "
        "It may be on one that did not answer: CLIENT4."
    )
    assert message in done.stdout
