"""Role verify on the lab: enrolments that are really played, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from tests.integration.host_state import put_certificate, registry, set_key, undo_records
from tests.integration.profile_host import write_profile
from tests.lab import programs
from tests.lab.events import event86
from tests.lab.fleet import FleetHost, Lab
from tests.lab.ndes import Ndes
from tests.lab.pki import sha256, thumbprint
from tests.lab.playbook import PlaybookResult, run_playbook

LEVEL_KEY = "SOFTWARE\\Microsoft\\Cryptography\\AutoEnrollment"
VERIFY = "winpki.scep.verify : Start an enrolment and wait for its end"
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


def level(host: FleetHost) -> dict[str, Any]:
    return dict(registry(host.folder).get(LEVEL_KEY, {}).get("values", {}))


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
    levels = {name: level(host) for name, host in hosts.items()}
    fleet = lab.start(*hosts.values())

    checked = run_playbook("winpki.scep.verify", fleet.inventory_path, check=True, limit="WELL,BROKEN")
    assert said(checked, "WELL") == said(checked, "BROKEN") == [("open", None)]
    assert checked.of("WELL", VERIFY).result["started"] == [
        {"profile_id": "ScepDevice", "started": False, "detail": "In check mode no enrolment is started."}
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
    waiting = done.of("WAITING", VERIFY).result
    assert waiting["look_again"] > datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (waiting["started"], waiting["waited_seconds"] >= 2) == ([], True)

    # Whatever came of it, the level is as it was, and the records say by whom it was raised.
    assert {name: level(host) for name, host in hosts.items()} == levels
    for name, host in hosts.items():
        records = [(record["role"], record["module"], record["state"]) for record in undo_records(host.folder)]
        assert records == ([] if name in ("LOW", "HIGH") else [("verify", "log_level", "undone")]), name


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
    failing = run_playbook("winpki.scep.verify", fleet.inventory_path)
    assert said(failing, "MENDED") == [("failed", "event")]
    mended = run_playbook([play], fleet.inventory_path)
    assert said(mended, "MENDED") == [("succeeded", "event")]
    assert mended.exit_code == 0
    undone = run_playbook(
        "winpki.scep.rollback", fleet.inventory_path, extra_vars={"rollback_roles": ["trust_ndes_chain"]}
    )
    assert undone.exit_code == 0
    failing_again = run_playbook("winpki.scep.verify", fleet.inventory_path)
    assert said(failing_again, "MENDED") == [("failed", "event")]
