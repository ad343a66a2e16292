"""The playbook winpki.scep.remediate on the lab: the mixed fleet of the scenario, the gate, and where a run ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.integration.aik_host import tasks
from tests.integration.host_state import put_certificate, registry, snapshot, stores
from tests.integration.profile_host import write_profile
from tests.lab import programs, remediation_demo
from tests.lab.build import scenario_fleet
from tests.lab.engine import Engine
from tests.lab.events import event86
from tests.lab.fleet import Fleet, FleetHost, Lab
from tests.lab.ndes import Ndes
from tests.lab.pki import sha256, thumbprint
from tests.lab.playbook import PlaybookResult, ansible_environment, program, run_playbook
from tests.lab.scenario import REMEDIATE, load_scenario

PLAYBOOK = "winpki.scep.remediate"
GATE = "winpki.scep.remediate : Plan, and pass the gate"
TRUST = "winpki.scep.trust_ndes_chain : Trust the chain, if it is what this host lacks"
HTTP = "winpki.scep.use_http : Let this host enrol over HTTP"
DISABLE = "winpki.scep.disable_aik : Disable the AIK enrolment task"
REMEDIES = {TRUST: "trust_ndes_chain", HTTP: "use_http", DISABLE: "disable_aik"}
# What the scenario's hosts get, and how their next enrolment ends. All others get nothing.
FITTING = {
    "CLIENT01": ("trust_ndes_chain", "succeeded"),
    "CLIENT02": ("trust_ndes_chain", "succeeded"),
    "CLIENT03": ("use_http", "succeeded"),
    "CLIENT04": ("use_http", "succeeded"),
    "CLIENT05": ("use_http", "succeeded"),
    "KIOSK01": ("disable_aik", "quiet"),
}
LEFT_ALONE = {
    "CLIENT06": "over HTTP the probe found forbidden",
    "CLIENT07": "no role of this collection mends this cause",
    "LAPTOP01": "no role of this collection mends this cause",
    "LAPTOP02": "an AIK certificate may be in use",
}


def gates(done: PlaybookResult) -> dict[str, Any]:
    """What the gate said of each host, all batches together."""
    return {host: one for result in done.results if result.task == GATE for host, one in result.result["hosts"].items()}


def allowed(done: PlaybookResult) -> dict[str, list[str]]:
    """The roles that passed the gate, by host."""
    return {host: [action["role"] for action in one["allowed"]] for host, one in gates(done).items()}


def held(done: PlaybookResult) -> dict[str, list[str]]:
    """Why roles were held back, by host."""
    return {host: [item["reason"] for item in one["held"]] for host, one in gates(done).items()}


def changes(done: PlaybookResult) -> dict[str, str]:
    """The remedies that changed a host, or would, by host."""
    changed = [one for one in done.results if one.result.get("changed")]
    return {one.host: REMEDIES[one.task] for one in changed if one.task in REMEDIES}


def remedied(folder: Path) -> dict[str, Any]:
    """All that a remedy can change on a host, byte for byte; not what an enrolment leaves there."""
    files = {name: content for name, content in snapshot(folder).items() if "/root/" in name or "/ca/" in name}
    keys = {name: key["values"] for name, key in registry(folder).items() if name.endswith(("\\Install", "Enrollment"))}
    return {**files, "keys": keys, "tasks": tasks(folder) if (folder / "tasks.json").exists() else None}


@pytest.fixture
def mixed(engine: Engine, tmp_path: Path) -> Iterator[Fleet]:
    try:
        with scenario_fleet(load_scenario(REMEDIATE), engine, folder=tmp_path / "fleet") as fleet:
            yield fleet
    except PermissionError as error:
        pytest.skip(f"the sites cannot be served: {error}")


@pytest.mark.long
def test_mixed_fleet(mixed: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each host gets the remedy that fits and none that does not: in check mode, applied, again, taken back.

    The demo itself sees by real enrolments that exactly the mended hosts enrol, and fail again after the rollback.
    """
    runs: list[PlaybookResult] = []
    states = [{host.name: remedied(host.folder) for host in mixed.hosts}]

    def play(arguments: Sequence[str]) -> int:
        done = run_playbook(
            arguments[0], mixed.inventory_path, arguments=arguments[1:], folder=tmp_path, forks=3, timeout=900
        )
        runs.append(done)
        states.append({host.name: remedied(host.folder) for host in mixed.hosts})
        if len(runs) == 3:
            # The canary host is mended by now, so it would prove nothing and end the run.
            variables = json.loads(arguments[-1]) | {"remediate_canary": "", "remediate_result_output": "again.json"}
            play([*arguments[:-1], json.dumps(variables)])
        return done.exit_code

    status = remediation_demo.run(mixed, play, tmp_path / "out")
    assert status == 0, capsys.readouterr().out + runs[-1].stdout
    _triaged, checked, applied, again, _undone = runs
    before, after_triage, after_check, after_apply, after_again, after_rollback = states
    remedies = {host: role for host, (role, _outcome) in FITTING.items()}

    assert allowed(checked) == {
        **{host: [role] for host, role in remedies.items()},
        **{host: [] for host in LEFT_ALONE},
    }
    assert changes(checked) == remedies
    reasons = {host: [one["reason"] for one in gate["skipped"]] for host, gate in gates(checked).items()}
    assert {host for host, found in reasons.items() if found} == LEFT_ALONE.keys()
    assert all(reason in reasons[host][0] for host, reason in LEFT_ALONE.items()), reasons
    assert before == after_triage == after_check

    assert changes(applied) == remedies
    assert {host for host in before if before[host] != after_apply[host]} == remedies.keys()
    document = json.loads((tmp_path / "out" / "result.json").read_bytes())
    assert (document["in_progress"], document["stop"]) == ([], None)
    assert {one["host"]: one["outcome"] for one in document["hosts"]} == {
        **{host: outcome for host, (_role, outcome) in FITTING.items()},
        **dict.fromkeys(LEFT_ALONE, "left_alone"),
    }
    # By the plan nothing more is to be done: what fails no longer is not called for now.
    assert (again.exit_code, changes(again), after_again) == (0, {}, after_apply)
    assert held(again) == {host: ["drift"] if host in remedies else [] for host in (*remedies, *LEFT_ALONE)}
    assert after_rollback == before


def client(lab: Lab, name: str, ndes: Ndes, **variables: Any) -> FleetHost:
    """A host with a profile of the device, which does not trust its NDES."""
    now = datetime.now(timezone.utc) - timedelta(hours=1)
    host = lab.host(name, [event86(1, now, url=ndes.url(), computer=name)], variables=variables)
    (host.folder / "hosts").write_text("127.0.0.1 *\n", "ascii")
    write_profile(host.folder, ndes.url(), thumbprint(ndes.pki.issuing.certificate), profile_id="ScepDevice")
    programs.install(host.folder)
    return host


@pytest.fixture
def trusting(tmp_path: Path) -> Iterator[tuple[Ndes, dict[str, Any]]]:
    """An NDES, and the settings with which hosts come to trust it."""
    with Ndes("ndes01.lab.example") as ndes:
        (tmp_path / "chain.pem").write_text(f"{ndes.trusted_root}{ndes.intermediate}", "ascii")
        yield (
            ndes,
            {
                "remediate_pins": [sha256(ndes.pki.root.certificate)],
                # Relative to where the playbook is started.
                "remediate_chain_files": ["chain.pem"],
                "remediate_timeout": 60,
                "verify_wait": 120,
                "verify_interval": 2,
            },
        )


def test_gate(lab: Lab, tmp_path: Path, trusting: tuple[Ndes, dict[str, Any]]) -> None:
    """Nothing without a plan, and nothing on a host on which the evidence has changed since."""
    ndes, settings = trusting
    hosts = {name: client(lab, name, ndes) for name in ("SAME1", "DRIFT1")}
    fleet = lab.start(*hosts.values())

    def run(*, check: bool = False, **more: Any) -> PlaybookResult:
        given = {**settings, "remediate_serial": "100%", **more}
        return run_playbook(PLAYBOOK, fleet.inventory_path, folder=tmp_path, check=check, extra_vars=given)

    first = {name: snapshot(host.folder) for name, host in hosts.items()}
    without = run()
    assert (without.exit_code, held(without)) == (0, {"DRIFT1": ["no_plan"], "SAME1": ["no_plan"]})
    checked = run(check=True)
    assert (checked.exit_code, changes(checked)) == (0, dict.fromkeys(hosts, "trust_ndes_chain"))
    assert {name: snapshot(host.folder) for name, host in hosts.items()} == first

    put_certificate(hosts["DRIFT1"].folder, "Root", ndes.pki.root.certificate)
    applied = run(scep_plan="remediation/plan.json", scep_gate="plan")
    assert applied.exit_code == 0, applied.stdout + applied.stderr
    assert (changes(applied), held(applied)["DRIFT1"]) == ({"SAME1": "trust_ndes_chain"}, ["drift"])
    assert stores(hosts["SAME1"].folder)["root"] == {sha256(ndes.pki.root.certificate)}


@pytest.mark.parametrize("canary", ["CANARY1,CANARY2", ""])
def test_a_failed_verification_ends_the_run(
    lab: Lab, tmp_path: Path, trusting: tuple[Ndes, dict[str, Any]], canary: str
) -> None:
    """Among canary hosts, and in a batch: no further host is changed, and the run says what came of it."""
    ndes, settings = trusting
    hosts = {name: client(lab, name, ndes) for name in ("CANARY1", "CANARY2", "OTHER1")}
    fleet = lab.start(*hosts.values())
    # Trust is what is lacking, but then the CA refuses the request.
    ndes.refusal = 2
    given = {**settings, "scep_gate": "none", "remediate_canary": canary, "remediate_serial": 1}
    given["remediate_max_fail"] = 100
    done = run_playbook(PLAYBOOK, fleet.inventory_path, folder=tmp_path, extra_vars=given)
    assert (done.exit_code, changes(done)) == (2, {"CANARY1": "trust_ndes_chain"}), done.stdout
    document = json.loads((tmp_path / "remediation" / "result.json").read_bytes())
    assert document["stop"].startswith("CANARY1: the enrolment still fails after the remedy: ")
    assert "says that an enrolment failed with 0x" in document["stop"]
    [told] = document["hosts"]
    assert (told["host"], told["outcome"], told["changes"][0]["changed"]) == ("CANARY1", "failed", True)
    assert "1 host: 1 still fail" in done.stdout
    # What verify had raised is put back.
    levels = [key for name, key in registry(hosts["CANARY1"].folder).items() if name.endswith("AutoEnrollment")]
    assert [key["values"] for key in levels if key.get("values")] == []


def test_too_many_that_were_not_mended_end_the_run(
    lab: Lab, tmp_path: Path, trusting: tuple[Ndes, dict[str, Any]]
) -> None:
    """One of two hosts refuses the change: the other one is mended and enrols, and no further host is touched."""
    ndes, settings = trusting
    hosts = {name: client(lab, name, ndes) for name in ("BROKEN1", "WELL1", "XOTHER1")}
    rules = {"HKLM\\SOFTWARE\\winpki.scep": "readonly"}
    (hosts["BROKEN1"].folder / "registry" / "access.json").write_text(json.dumps(rules), "utf-8")
    fleet = lab.start(*hosts.values())
    # Numbers and booleans as -e name=value gives them: as text.
    texts = {
        "remediate_max_fail": "49",
        "remediate_use_http": "false",
        "remediate_verify": "yes",
        "verify_log_level": "4",
    }
    given = {**settings, "scep_gate": "none", "remediate_serial": 2, **texts}
    done = run_playbook(PLAYBOOK, fleet.inventory_path, folder=tmp_path, forks=2, extra_vars=given)
    assert (done.exit_code, changes(done)) == (2, {"WELL1": "trust_ndes_chain"}), done.stdout
    document = json.loads((tmp_path / "remediation" / "result.json").read_bytes())
    assert {one["host"]: one["outcome"] for one in document["hosts"]} == {"BROKEN1": "not_done", "WELL1": "succeeded"}
    assert document["stop"].startswith("Of 2 hosts with a remedy in this batch 1 were not mended or not verified, and")
    assert (
        done.of("WELL1", "winpki.scep.remediate : End the run where no further host may be changed").status == "failed"
    )


@pytest.mark.parametrize(("canary", "code"), [("GONE1", 4), ("WELL1,NOBODY1", 2), ("NOBODY1", 2)])
def test_a_canary_that_proves_nothing_ends_the_run(
    lab: Lab, tmp_path: Path, trusting: tuple[Ndes, dict[str, Any]], canary: str, code: int
) -> None:
    """One that does not answer, one on which nothing fails, and one that is not there."""
    ndes, settings = trusting
    other = client(lab, "OTHER1", ndes)
    fleet = lab.start(other, lab.host("WELL1"), FleetHost("GONE1", tmp_path, down=True))
    given = {**settings, "scep_gate": "none", "remediate_canary": canary}
    first = snapshot(other.folder)
    done = run_playbook(PLAYBOOK, fleet.inventory_path, folder=tmp_path, extra_vars=given)
    assert done.exit_code in (2, code), done.stdout
    assert [one.host for one in done.results if one.host == "OTHER1" and "Read the enrolment" in one.task] == []
    assert snapshot(other.folder) == first


def test_which_hosts_are_mended(tmp_path: Path) -> None:
    """Patterns of every kind, without the canary hosts, which have had their turn."""
    inventory = tmp_path / "inventory.yml"
    groups = {"site_a": {"hosts": {"a1": None, "a2": None}}, "site_b": {"hosts": {"b1": None, "b2": None}}}
    inventory.write_text(json.dumps({"all": {"children": groups}}), "utf-8")
    for hosts, canary, mended in (
        ("site_a,site_b", "a1,site_b,!b1", {"a2", "b1"}),
        ("site_a:site_b", ["b2"], {"a1", "a2", "b1"}),
        (["site_b"], "", {"b1", "b2"}),
    ):
        variables = json.dumps({"remediate_hosts": hosts, "remediate_canary": canary})
        command = [program("ansible-playbook"), PLAYBOOK, "-i", str(inventory), "--list-hosts", "-e", variables]
        done = subprocess.run(
            command, env=ansible_environment(tmp_path), capture_output=True, text=True, timeout=60, check=True
        )
        listed = done.stdout.split("play #2")[1].split("hosts (")[1].splitlines()[1:]
        assert {line.strip() for line in listed if line.strip()} == mended


def test_what_is_not_seen_is_open_and_ends_nothing(
    lab: Lab, tmp_path: Path, trusting: tuple[Ndes, dict[str, Any]]
) -> None:
    ndes, settings = trusting
    unseen = {"verify_start": False, "verify_wait": 0}
    fleet = lab.start(client(lab, "OPEN1", ndes, **unseen), client(lab, "WELL1", ndes, verify_wait=120))
    given = {**settings, "scep_gate": "none", "remediate_serial": 1}
    del given["verify_wait"]
    done = run_playbook(PLAYBOOK, fleet.inventory_path, folder=tmp_path, extra_vars=given)
    assert done.exit_code == 0, done.stdout
    document = json.loads((tmp_path / "remediation" / "result.json").read_bytes())
    assert {one["host"]: one["outcome"] for one in document["hosts"]} == {"OPEN1": "open", "WELL1": "succeeded"}
