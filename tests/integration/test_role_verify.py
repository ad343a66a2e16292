"""Role verify on the lab: enrolments that are really played, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.integration.aik_host import TASK, tasks
from tests.integration.fault_host import Disturbance, DisturbedFleet
from tests.integration.fault_remedy import VERIFY
from tests.integration.host_state import LEVEL_KEY, level, put_certificate, set_key, undo_records
from tests.integration.profile_host import write_profile
from tests.lab import programs, tpm, wsman
from tests.lab.engine import Engine
from tests.lab.events import event86
from tests.lab.faults import Fault
from tests.lab.fleet import Fleet, FleetHost, Lab
from tests.lab.ndes import Ndes
from tests.lab.pki import sha256, thumbprint
from tests.lab.playbook import PlaybookResult, run_playbook
from tests.lab.site_scenario import SiteScenario
from tests.lab.sites import Sites
from tests.lab.web import Handler, Request, Response

KEY_ID = "4c2b9e1f7a6d5038c9b8e7f60152a3b4c5d6e7f8"
AIK_NAME = f"INTC-KeyId-{KEY_ID}.microsoftaik.azure.net"
AIK_URL = f"https://{AIK_NAME}/templates/Aik/scep"
URL = "https://ndes09.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"


@pytest.fixture(scope="module")
def ndes() -> Iterator[Ndes]:
    with Ndes("ndes01.lab.example") as started:
        yield started


def client(lab: Lab, name: str, ndes: Ndes, *, profile: bool = True, **variables: Any) -> FleetHost:
    """A host with a SCEP profile of the device, which failed an hour ago."""
    now = datetime.now(timezone.utc)
    given = {f"verify_{key}": value for key, value in {"wait": 120, "interval": 2, **variables}.items()}
    host = lab.host(name, [event86(1, now, url=ndes.url())], variables=given)
    (host.folder / "hosts").write_text("127.0.0.1 *\n", "ascii")
    if profile:
        write_profile(host.folder, ndes.url(), thumbprint(ndes.pki.issuing.certificate), profile_id="ScepDevice")
    programs.install(host.folder)
    return host


def trust(host: FleetHost, ndes: Ndes) -> None:
    put_certificate(host.folder, "Root", ndes.pki.root.certificate)


def said(done: PlaybookResult, host: str) -> list[tuple[str, str | None]]:
    verdicts = done.of(host, VERIFY).result["verdicts"]
    return [(one["outcome"], one["seen"] and one["seen"]["kind"]) for one in verdicts]


def test_outcomes(lab: Lab, ndes: Ndes) -> None:
    hosts = {
        "WELL": client(lab, "WELL", ndes),
        "BROKEN": client(lab, "BROKEN", ndes),
        "WAITING": client(lab, "WAITING", ndes, profile=False, urls=[ndes.url()], silent_urls=[URL], wait=2),
        # As low a level as this leaves only the certificate to be seen.
        "LOW": client(lab, "LOW", ndes, log_level=0),
        "HIGH": client(lab, "HIGH", ndes),
        "NOTHING": client(lab, "NOTHING", ndes, profile=False),
    }
    for name in ("WELL", "LOW", "HIGH"):
        trust(hosts[name], ndes)
    set_key(hosts["HIGH"].folder, LEVEL_KEY, LogLevel=("DWord", 5))
    levels = {name: level(host.folder) for name, host in hosts.items()}
    fleet = lab.start(*hosts.values())

    checked = run_playbook("winpki.scep.verify", fleet.inventory_path, check=True, limit="WELL,BROKEN")
    assert said(checked, "WELL") == said(checked, "BROKEN") == [("open", None)]
    told = checked.of("WELL", VERIFY).result
    assert (told["changed"], told["log_level"]["detail"]) == (
        True,
        "The log level would be raised from 3 to 4 meanwhile.",
    )
    assert checked.of("WELL", VERIFY).result["started"] == [
        {
            "profile_id": "ScepDevice",
            "task": None,
            "started": False,
            "detail": "In check mode no enrolment is started.",
        }
    ]
    assert {name: undo_records(host.folder) for name, host in hosts.items()} == {name: [] for name in hosts}

    done = run_playbook("winpki.scep.verify", fleet.inventory_path, forks=3)
    assert said(done, "WELL") == said(done, "HIGH") == [("succeeded", "event")]
    assert said(done, "BROKEN") == [("failed", "event")]
    assert said(done, "WAITING") == [("open", None), ("quiet", None)]
    assert said(done, "LOW") == [("succeeded", "certificate")]
    assert {name: done.of(name, VERIFY).status for name in hosts} == {
        "WELL": "ok",
        "BROKEN": "failed",
        "WAITING": "ok",
        "LOW": "ok",
        "HIGH": "ok",
        "NOTHING": "failed",
    }
    assert done.of("NOTHING", VERIFY).result["msg"].startswith("urls: there is nothing to verify")
    broken = done.of("BROKEN", VERIFY).result
    assert (broken["outcome"], broken["verdicts"][0]["seen"]["hresult"]) == ("failed", "0x80072f8f")
    assert broken["look_again"] is None
    well = done.of("WELL", VERIFY).result["log_level"]
    assert (well["before"], well["raised_to"], well["put_back"]) == (3, 4, True)
    assert well["change_id"] == undo_records(hosts["WELL"].folder)[0]["change_id"]
    assert done.of("HIGH", VERIFY).result["log_level"]["raised_to"] is None
    waiting = done.of("WAITING", VERIFY).result
    assert waiting["look_again"] > datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (waiting["started"], waiting["waited_seconds"] >= 2) == ([], True)

    # Whatever came of it, the level is as it was, and the records say by whom it was raised.
    assert {name: level(host.folder) for name, host in hosts.items()} == levels
    for name, host in hosts.items():
        records = [(record["role"], record["module"], record["state"]) for record in undo_records(host.folder)]
        unraised = ("LOW", "HIGH", "NOTHING")
        assert records == ([] if name in unraised else [("verify", "log_level", "undone")]), name


def silent(lab: Lab, name: str, **variables: Any) -> FleetHost:
    """A host that is only listened to."""
    given = {"silent_urls": [URL], "wait": 1, "interval": 1, **variables}
    return lab.host(name, variables={f"verify_{key}": value for key, value in given.items()})


def test_a_level_that_is_hard_to_put_back(lab: Lab, engine: Engine, tmp_path: Path) -> None:
    """The answer of the raise is lost, or the host is away when the level is to be put back."""
    hosts = {name: silent(lab, name) for name in ("UNHEARD", "AWAY")}
    # After the level, the mark and the profiles comes the raise; then two looks, and the put-back.
    disturbances = {
        "UNHEARD": Disturbance(Fault("lose", "Receive"), 4, record="done"),
        "AWAY": Disturbance(Fault("drop", times=0), 7),
    }
    with DisturbedFleet(list(hosts.values()), engine, tmp_path / "fleet", disturbances) as fleet:
        done = run_playbook("winpki.scep.verify", fleet.inventory_path)
        assert {name: done.of(name, VERIFY).status for name in hosts} == dict.fromkeys(hosts, "failed")
        unheard = done.of("UNHEARD", VERIFY).result
        assert unheard["msg"].startswith("The connection failed while the log level was raised, so nothing was")
        assert (unheard["log_level"]["put_back"], level(hosts["UNHEARD"].folder)) == (True, {})
        away = done.of("AWAY", VERIFY).result
        assert (away["outcome"], away["log_level"]["put_back"]) == ("quiet", False)
        assert "The log level may still be raised from 3 to 4: the connection failed" in away["msg"]
        assert away["msg"].endswith("Take it back with winpki.scep.rollback and rollback_roles: [verify].")
        assert level(hosts["AWAY"].folder) == {"LogLevel": {"kind": "DWord", "data": 4}}

        fleet.clear_faults("AWAY")
        back = run_playbook("winpki.scep.rollback", fleet.inventory_path, extra_vars={"rollback_roles": ["verify"]})
        assert (back.exit_code, level(hosts["AWAY"].folder)) == (0, {})


class ForgetfulFleet(Fleet):
    """Its hosts forget their shells once, as with a restart: at the first look after the level was raised."""

    def _handler(self, host: FleetHost) -> Handler:
        handler = super()._handler(host)
        commands: list[str] = []

        def forgetful(request: Request) -> Response:
            message = wsman.parse(request.body)
            commands.extend([message.message_id] * (message.action == wsman.COMMAND))
            if len(commands) == 5 and commands[-1] == message.message_id:
                self.close_idle(0)
            return handler(request)

        return forgetful


def test_a_host_that_forgets_its_shells(lab: Lab, engine: Engine, tmp_path: Path) -> None:
    """It is asked again over a new connection."""
    host = silent(lab, "RESTARTED")
    with ForgetfulFleet([host], engine, tmp_path / "fleet") as fleet:
        done = run_playbook("winpki.scep.verify", fleet.inventory_path, arguments=("-vvv",))
    assert "the host could not be reached, and is asked again" in done.stdout
    assert (said(done, "RESTARTED"), done.exit_code) == ([("quiet", None)], 0)
    assert level(host.folder) == {}


def test_from_a_failing_enrolment_to_a_succeeding_one(lab: Lab, ndes: Ndes) -> None:
    host = client(lab, "MENDED", ndes)
    fleet = lab.start(host)
    play = {
        "name": "Mend it",
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {
                "name": "Trust",
                "ansible.builtin.import_role": {"name": "winpki.scep.trust_ndes_chain"},
                "vars": {
                    "trust_ndes_chain_urls": [ndes.url()],
                    "trust_ndes_chain_pins": [sha256(ndes.pki.root.certificate)],
                    "trust_ndes_chain_files": [str(host.folder / "chain.pem")],
                },
            },
            {"name": "Verify", "ansible.builtin.import_role": {"name": "winpki.scep.verify"}},
        ],
    }
    (host.folder / "chain.pem").write_text(ndes.intermediate + ndes.trusted_root, "ascii")
    # Given as name=value, every value is text.
    texts = "verify_log_level=4 verify_wait=120 verify_interval=2 verify_look_again=8 verify_start=yes"
    given = ("-e", f"{texts} verify_required=no")
    failing = run_playbook("winpki.scep.verify", fleet.inventory_path, arguments=given)
    assert said(failing, "MENDED") == [("failed", "event")]
    assert failing.of("MENDED", VERIFY).result["log_level"]["raised_to"] == 4
    mended = run_playbook([play], fleet.inventory_path)
    assert said(mended, "MENDED") == [("succeeded", "event")]
    assert mended.exit_code == 0
    undone = run_playbook(
        "winpki.scep.rollback", fleet.inventory_path, extra_vars={"rollback_roles": ["trust_ndes_chain"]}
    )
    assert undone.exit_code == 0
    failing_again = run_playbook("winpki.scep.verify", fleet.inventory_path)
    assert said(failing_again, "MENDED") == [("failed", "event")]


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    """The AIK service, which has an authority for these laptops' TPMs; Windows asks it at port 443 only."""
    try:
        with Sites([SiteScenario("aik", "aik", authorities=(f"intc-keyid-{KEY_ID}",))]) as running:
            yield running
    except PermissionError as error:
        pytest.skip(f"the AIK service cannot be served: {error}")


def laptop(lab: Lab, name: str, sites: Sites, *, enabled: bool = True, **variables: Any) -> FleetHost:
    """A host whose AIK enrolment failed an hour ago, as it could not resolve the service's name."""
    given = {f"verify_{key}": value for key, value in {"wait": 120, "interval": 2, **variables}.items()}
    host = lab.host(name, [event86(1, datetime.now(timezone.utc), url=AIK_URL)], variables=given)
    (host.folder / "hosts").write_text("fail *\n", "ascii")
    tpm.write(host.folder, "INTC", KEY_ID)
    tpm.write_task(host.folder, enabled=enabled, last_result=0x80072EE7, last_run=None)
    put_certificate(host.folder, "Root", sites.root("aik").certificate)
    programs.install(host.folder)
    return host


def test_the_aik_from_a_failing_enrolment_to_a_succeeding_one(lab: Lab, sites: Sites) -> None:
    hosts = {
        "LAPTOP": laptop(lab, "LAPTOP", sites, urls=[AIK_URL]),
        "DISABLED": laptop(lab, "DISABLED", sites, enabled=False, urls=[AIK_URL], wait=4),
        "SILENT": laptop(lab, "SILENT", sites, silent_urls=[AIK_URL], wait=4),
    }
    first = {name: tasks(host.folder) for name, host in hosts.items()}
    fleet = lab.start(*hosts.values())

    checked = run_playbook("winpki.scep.verify", fleet.inventory_path, check=True, limit="LAPTOP")
    assert said(checked, "LAPTOP") == [("open", None)]
    detail = "In check mode no enrolment is started."
    assert checked.of("LAPTOP", VERIFY).result["started"] == [
        {"profile_id": None, "task": TASK, "started": False, "detail": detail}
    ]
    assert tasks(hosts["LAPTOP"].folder) == first["LAPTOP"]

    started = [{"profile_id": None, "task": TASK, "started": True, "detail": "The task was started."}]
    failing = run_playbook("winpki.scep.verify", fleet.inventory_path, limit="LAPTOP")
    assert said(failing, "LAPTOP") == [("failed", "event")]
    found = failing.of("LAPTOP", VERIFY).result
    assert (found["started"], found["changed"], found["verdicts"][0]["seen"]["hresult"]) == (
        started,
        True,
        "0x80072ee7",
    )

    for host in hosts.values():
        (host.folder / "hosts").write_text(f"{sites.addresses['aik']} {AIK_NAME}\nfail *\n", "ascii")
    mended = run_playbook("winpki.scep.verify", fleet.inventory_path, forks=3)
    assert {name: mended.of(name, VERIFY).status for name in hosts} == dict.fromkeys(hosts, "ok")
    assert said(mended, "LAPTOP") == [("succeeded", "event")]
    found = mended.of("LAPTOP", VERIFY).result
    assert (found["started"], found["verdicts"][0]["seen"]["event_id"]) == (started, 88)

    # What is disabled is neither started nor enabled, and what shall be silent is not asked.
    assert said(mended, "DISABLED") == [("open", None)]
    [one] = mended.of("DISABLED", VERIFY).result["started"]
    assert (one["task"], one["started"]) == (TASK, False)
    assert one["detail"].startswith(
        f"Refused, nothing was changed. The task {TASK} is disabled, so it can't be started"
    )
    assert (said(mended, "SILENT"), mended.of("SILENT", VERIFY).result["started"]) == ([("quiet", None)], [])
    for name in ("DISABLED", "SILENT"):
        assert (tasks(hosts[name].folder), (hosts[name].folder / "tasks" / "runs").exists()) == (first[name], False)

    # The level is as it was, and nothing of the start is left to undo.
    for name, host in hosts.items():
        assert level(host.folder) == {}
        records = {(record["role"], record["module"], record["state"]) for record in undo_records(host.folder)}
        assert records == {("verify", "log_level", "undone")}, name
