"""The playbook winpki.scep.remediate on the lab: plan in check mode, nothing without it, apply, again, rollback."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.integration.aik_host import ENROL_KEY, TASK, tasks, write_task
from tests.integration.host_state import put_certificate, set_key, snapshot, stores, undo_records
from tests.lab.aik import AikService
from tests.lab.events import NAME_NOT_RESOLVED, event86
from tests.lab.fleet import FleetHost, Lab
from tests.lab.ndes import Ndes
from tests.lab.pki import sha256
from tests.lab.playbook import PlaybookResult, run_playbook

PLAYBOOK = "winpki.scep.remediate"
GATE = "winpki.scep.remediate : Plan, and pass the gate"
TRUST = "winpki.scep.trust_ndes_chain : Trust the chain, if it is what this host lacks"
DISABLE = "winpki.scep.disable_aik : Disable the AIK enrolment task"
AIK = "https://IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net:{}/templates/Aik/scep"


def allowed(done: PlaybookResult) -> dict[str, list[str]]:
    """The roles that passed the gate, by host."""
    [gate] = [one.result for one in done.results if one.task == GATE]
    return {host: [action["role"] for action in one["allowed"]] for host, one in gate["hosts"].items()}


def held(done: PlaybookResult) -> dict[str, list[str]]:
    """Why roles were held back, by host."""
    [gate] = [one.result for one in done.results if one.task == GATE]
    return {host: [item["reason"] for item in one["held"]] for host, one in gate["hosts"].items()}


def changes(done: PlaybookResult) -> set[tuple[str, str]]:
    return {(one.host, one.task) for one in done.results if one.result.get("changed")}


def test_plan_apply_again_rollback(lab: Lab, tmp_path: Path) -> None:
    """Each host gets the remedy that fits, and none that does not."""
    now = datetime.now(timezone.utc) - timedelta(hours=1)
    with (
        Ndes("ndes01.lab.example") as ndes,
        Ndes("misnamed.lab.example", authorities=ndes.pki) as misnamed,
        AikService() as service,
    ):
        misnamed.chain = "wrong_name"
        aik = AIK.format(service.site.port("https"))
        chain = tmp_path / "chain.pem"
        chain.write_text(f"{ndes.trusted_root}{ndes.intermediate}", "ascii")

        def client(name: str, url: str, names: str = "127.0.0.1 *", **more: Any) -> FleetHost:
            error = {"error_code": NAME_NOT_RESOLVED} if url == aik else {}
            host = lab.host(name, [event86(1, now, url=url, computer=name, **error)], variables=more)
            (host.folder / "hosts").write_text(f"{names}\n", "ascii")
            if url == aik:
                set_key(host.folder, ENROL_KEY, ErrorCode=("DWord", 0x80072EE7))
                write_task(host.folder)
            return host

        hosts = {
            "TLS1": client("TLS1", ndes.url()),
            "TLS2": client("TLS2", ndes.url()),
            "NAME1": client("NAME1", misnamed.url()),
            "KIOSK1": client("KIOSK1", aik, "fail *", remediate_isolated_network=True),
            "OFFICE1": client("OFFICE1", aik, "fail *"),
            "REACHED1": client("REACHED1", aik, remediate_isolated_network=True),
        }
        put_certificate(hosts["NAME1"].folder, "Root", ndes.pki.root.certificate)
        put_certificate(hosts["REACHED1"].folder, "Root", service.root.certificate)
        fleet = lab.start(*hosts.values())
        settings = {
            "remediate_pins": [sha256(ndes.pki.root.certificate)],
            "remediate_chain_files": [str(chain)],
            "remediate_timeout": 60,
        }

        def run(*, check: bool = False, **more: Any) -> PlaybookResult:
            return run_playbook(
                PLAYBOOK, fleet.inventory_path, folder=tmp_path, check=check, forks=3, extra_vars={**settings, **more}
            )

        def state() -> dict[str, Any]:
            return {
                name: (snapshot(host.folder), tasks(host.folder) if (host.folder / "tasks.json").exists() else None)
                for name, host in hosts.items()
            }

        first = state()
        checked = run(check=True)
        assert checked.exit_code == 0, checked.stdout + checked.stderr
        every = {
            "KIOSK1": ["disable_aik"],
            "NAME1": [],
            "OFFICE1": [],
            "REACHED1": [],
            "TLS1": ["trust_ndes_chain"],
            "TLS2": ["trust_ndes_chain"],
        }
        assert allowed(checked) == every
        assert state() == first
        assert changes(checked) == {("TLS1", TRUST), ("TLS2", TRUST), ("KIOSK1", DISABLE)}
        plan = json.loads((tmp_path / "remediation/plan.json").read_bytes())
        assert [one["host"] for one in plan["hosts"] if one["actions"]] == ["KIOSK1", "TLS1", "TLS2"]

        without = run(remediate_serial="100%")
        assert allowed(without) == {name: [] for name in every}
        assert held(without)["TLS1"] == ["no_plan"]
        assert (state(), changes(without)) == (first, set())

        # Since the plan was made, one of the hosts has got what it lacked.
        put_certificate(hosts["TLS2"].folder, "Root", ndes.pki.root.certificate)
        named: dict[str, Any] = {"scep_plan": "remediation/plan.json", "scep_gate": "plan", "remediate_serial": "100%"}
        applied = run(**named)
        assert applied.exit_code == 0, applied.stdout + applied.stderr
        assert allowed(applied) == {**every, "TLS2": []}
        assert held(applied)["TLS2"] == ["drift"]
        assert changes(applied) == {("TLS1", TRUST), ("KIOSK1", DISABLE)}
        assert stores(hosts["TLS1"].folder)["root"] == {sha256(ndes.pki.root.certificate)}
        assert tasks(hosts["KIOSK1"].folder)["tasks"][TASK]["Enabled"] is False
        assert [len(undo_records(host.folder)) for host in hosts.values()] == [1, 0, 0, 1, 0, 0]

        again = run(**named)
        assert allowed(again) == {name: [] for name in every}
        assert changes(again) == set()

        undone = run_playbook(
            "winpki.scep.rollback", fleet.inventory_path, folder=tmp_path, extra_vars={"rollback_all": True}
        )
        assert undone.exit_code == 0, undone.stdout + undone.stderr
        last = state()
        del first["TLS2"], last["TLS2"]
        assert last == first
