"""Role disable_aik on the lab: check mode, change, again, rollback, and the hosts that it has to leave alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.aik_host import ENROL_KEY, TASK, tasks, write_task
from tests.integration.host_state import put_certificate, set_key, snapshot, undo_records
from tests.lab.aik import AikService
from tests.lab.fleet import FleetHost, Lab
from tests.lab.playbook import run_playbook

KEY_ID = "18b1af70b93f991972f362556a9a3fbf4bb24e0d"
NAME = f"IFX-KeyId-{KEY_ID}.microsoftaik.azure.net"
DISABLE = "winpki.scep.disable_aik : Disable the AIK enrolment task"
UNDO = "winpki.scep.rollback : Take the changes back"
PLAY: dict[str, Any] = {
    "name": "Hosts without internet access",
    "hosts": "all",
    "gather_facts": False,
    "tasks": [{"name": "Role", "ansible.builtin.import_role": {"name": "winpki.scep.disable_aik"}}],
}


@pytest.fixture(scope="module")
def service() -> Iterator[AikService]:
    with AikService() as running:
        yield running


def client(lab: Lab, name: str, service: AikService, error: int, names: str = "fail *", **variables: Any) -> FleetHost:
    """A host whose last AIK enrolment ended with that error, and what the role is told of it."""
    url = f"https://{NAME}:{service.site.port('https')}/templates/Aik/scep"
    given = {"isolated_network": True, "urls": [url], "timeout": 60, **variables}
    host = lab.host(name, variables={f"disable_aik_{key}": value for key, value in given.items()})
    write_task(host.folder, LastRunTime="2026-10-01T06:00:00Z", LastTaskResult=error)
    set_key(host.folder, ENROL_KEY, ErrorCode=("DWord", error))
    put_certificate(host.folder, "Root", service.root.certificate)
    (host.folder / "hosts").write_text(f"{names}\n", "ascii")
    return host


def test_check_change_again_rollback(lab: Lab, service: AikService) -> None:
    hosts = {
        "ISOLATED": client(lab, "ISOLATED", service, 0x80072EE7),
        # HTTP 404: the service has no authority for this TPM, and is reached all the same.
        "REACHED": client(lab, "REACHED", service, 0x80190194, "127.0.0.1 *", force=True),
        "HAD": client(lab, "HAD", service, 0),
        "SILENT": client(lab, "SILENT", service, 0x80072EE7, isolated_network=False),
    }
    refusals = {
        "REACHED": "aik_service_reached",
        "HAD": "aik_certificate_had",
        "SILENT": "isolated_network_not_declared",
    }
    fleet = lab.start(*hosts.values())

    def state() -> dict[str, Any]:
        return {name: (snapshot(host.folder), tasks(host.folder)) for name, host in hosts.items()}

    first = state()
    checked = run_playbook([PLAY], fleet.inventory_path, check=True, diff=True)
    assert checked.of("ISOLATED", DISABLE).result["changed"] is True
    assert f"-{TASK}: enabled" in checked.stdout
    for name, reason in refusals.items():
        found = checked.of(name, DISABLE)
        assert (found.status, found.result["reason"]) == ("failed", reason)
    assert state() == first

    changed = run_playbook([PLAY], fleet.inventory_path)
    for name, reason in refusals.items():
        assert changed.of(name, DISABLE).result["reason"] == reason
        assert undo_records(hosts[name].folder) == []
    [record] = undo_records(hosts["ISOLATED"].folder)
    assert (record["role"], record["change_id"]) == ("disable_aik", changed.of("ISOLATED", DISABLE).result["change_id"])
    assert tasks(hosts["ISOLATED"].folder)["tasks"][TASK]["Enabled"] is False
    second = state()
    assert {name: second[name] for name in refusals} == {name: first[name] for name in refusals}

    again = run_playbook([PLAY], fleet.inventory_path, limit="ISOLATED").of("ISOLATED", DISABLE).result
    assert (again["changed"], again["change_id"], again["probes"]) == (False, None, [])
    assert state() == second

    undone = run_playbook("winpki.scep.rollback", fleet.inventory_path, extra_vars={"rollback_roles": ["disable_aik"]})
    assert undone.exit_code == 0
    assert {name: undone.of(name, UNDO).result["changed"] for name in hosts} == {
        "ISOLATED": True,
        "REACHED": False,
        "HAD": False,
        "SILENT": False,
    }
    assert state() == first
