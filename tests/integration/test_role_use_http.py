"""Role use_http on the lab: all settings that hold the URL, from a failing enrolment to a succeeding one, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fault_remedy import VERIFY
from tests.integration.host_state import snapshot, undo_records
from tests.integration.profile_host import install_key, read_key, shows_challenge, write_key, write_profile
from tests.lab import pki, programs
from tests.lab.fleet import FleetHost, Lab
from tests.lab.ndes import Ndes
from tests.lab.playbook import PlaybookResult, run_playbook

SWITCH = "winpki.scep.use_http : Let this host enrol over HTTP"
EXAMPLE = "SOFTWARE\\Example\\Scep"
PLAY: dict[str, Any] = {
    "name": "Enrol over HTTP",
    "hosts": "all",
    "gather_facts": False,
    "tasks": [{"name": "Role", "ansible.builtin.import_role": {"name": "winpki.scep.use_http"}}],
}


@pytest.fixture(scope="module")
def ndes() -> Iterator[Ndes]:
    """An NDES whose certificate has expired, which only its own people can mend."""
    with Ndes("ndes01.lab.example") as service:
        service.chain = "expired"
        yield service


def client(lab: Lab, name: str, ndes: Ndes, file: Path | None = None, **variables: Any) -> FleetHost:
    given = {"urls": [ndes.url()], "port": ndes.site.port("http"), "timeout": 120, **variables}
    if file is not None:
        given["files"] = [str(file)]
    verify = {"verify_wait": 60, "verify_interval": 1}
    host = lab.host(name, variables={**{f"use_http_{key}": value for key, value in given.items()}, **verify})
    (host.folder / "hosts").write_text("127.0.0.1 *\n", "ascii")
    programs.install(host.folder)
    return host


def server_url(host: FleetHost) -> str:
    return str(read_key(host.folder, install_key("ScepDevice"))["ServerURL"][1])


def said(done: PlaybookResult, host: str) -> list[tuple[str, bool, str | None]]:
    return [(one["source"], one["changed"], one["reason"]) for one in done.of(host, SWITCH).result["switches"]]


def test_check_change_again_rollback(lab: Lab, ndes: Ndes, tmp_path: Path) -> None:
    file = tmp_path / "scep client.ini"
    file.write_bytes(f"# scep\r\nurl = {ndes.url()}\r\n".encode("utf-16"))
    good = pki.thumbprint(ndes.pki.issuing.certificate)
    registry_value = {"path": f"HKLM\\{EXAMPLE}", "name": "Url"}
    hosts = {
        "PROFILE": client(lab, "PROFILE", ndes),
        "OTHERS": client(lab, "OTHERS", ndes, file, registry_values=[registry_value], ca_thumbprint=good),
        "DONE": client(lab, "DONE", ndes),
        # One of its two settings pins another CA than the one that the operator names.
        "MIXED": client(lab, "MIXED", ndes, registry_values=[registry_value], ca_thumbprint=good),
        "NOPORT": client(lab, "NOPORT", ndes, port="0"),
        "NOTHING": client(lab, "NOTHING", ndes),
    }
    for name, url, pin in (
        ("PROFILE", ndes.url(), good),
        ("DONE", ndes.url("http"), good),
        ("MIXED", ndes.url(), "0" * 40),
        ("NOPORT", ndes.url(), good),
    ):
        write_profile(hosts[name].folder, url, pin, profile_id="ScepDevice")
    for name in ("OTHERS", "MIXED"):
        write_key(hosts[name].folder, EXAMPLE, {"Url": ("String", ndes.url()), "Other": ("DWord", 7)})
    fleet = lab.start(*hosts.values())
    failing = {"MIXED": "ca_thumbprint_conflict", "NOPORT": "port_not_allowed", "NOTHING": "url_not_found"}

    def state() -> dict[str, Any]:
        return {name: (snapshot(host.folder), file.read_bytes()) for name, host in hosts.items()}

    first = state()
    checked = run_playbook([PLAY], fleet.inventory_path, check=True, diff=True, forks=3)
    assert said(checked, "PROFILE") == [("mdm", True, None)]
    assert said(checked, "OTHERS") == [("registry", True, None), ("file", True, None)]
    assert said(checked, "DONE") == []
    assert checked.of("PROFILE", SWITCH).result["change_ids"] == []
    assert f"ServerURL: {ndes.url('http')}" in checked.stdout
    assert state() == first

    changed = run_playbook([PLAY], fleet.inventory_path, forks=3)
    assert said(changed, "PROFILE") == [("mdm", True, None)]
    assert said(changed, "OTHERS") == [("registry", True, None), ("file", True, None)]
    assert (changed.of("DONE", SWITCH).status, changed.of("DONE", SWITCH).result["changed"]) == ("ok", False)
    for name, reason in failing.items():
        found = changed.of(name, SWITCH)
        assert (found.status, found.result["refused"], found.result["reason"]) == ("failed", True, reason)
    assert sorted(said(changed, "MIXED")) == [("mdm", False, "ca_thumbprint_conflict"), ("registry", True, None)]
    assert changed.of("NOTHING", SWITCH).result["nowhere"] == [ndes.url()]
    assert server_url(hosts["PROFILE"]) == ndes.url("http")
    assert read_key(hosts["OTHERS"].folder, EXAMPLE) == {"Url": ("String", ndes.url("http")), "Other": ("DWord", 7)}
    assert file.read_bytes() == f"# scep\r\nurl = {ndes.url('http')}\r\n".encode("utf-16")
    records = {name: [record["change_id"] for record in undo_records(host.folder)] for name, host in hosts.items()}
    assert records == {name: changed.of(name, SWITCH).result["change_ids"] for name in hosts}
    assert {name: len(ids) for name, ids in records.items() if ids} == {"PROFILE": 1, "OTHERS": 2, "MIXED": 1}
    assert not shows_challenge([one.result for one in changed.results], changed.stdout)
    second = state()

    again = run_playbook([PLAY], fleet.inventory_path, forks=3, limit="PROFILE,OTHERS,DONE")
    assert {name: again.of(name, SWITCH).result["changed"] for name in ("PROFILE", "OTHERS", "DONE")} == {
        "PROFILE": False,
        "OTHERS": False,
        "DONE": False,
    }
    assert said(again, "PROFILE") == said(again, "OTHERS") == []
    assert state() == second

    undone = run_playbook("winpki.scep.rollback", fleet.inventory_path, extra_vars={"rollback_roles": ["use_http"]})
    assert undone.exit_code == 0
    assert state() == first


def test_from_a_failing_enrolment_to_a_succeeding_one(lab: Lab, ndes: Ndes) -> None:
    host = client(lab, "MENDED", ndes)
    write_profile(host.folder, ndes.url(), pki.thumbprint(ndes.pki.issuing.certificate), profile_id="ScepDevice")
    fleet = lab.start(host)
    failing = run_playbook("winpki.scep.verify", fleet.inventory_path)
    assert failing.of("MENDED", VERIFY).result["outcome"] == "failed"
    assert run_playbook([PLAY], fleet.inventory_path).exit_code == 0
    mended = run_playbook("winpki.scep.verify", fleet.inventory_path)
    assert mended.exit_code == 0
    assert [(one["url"], one["outcome"]) for one in mended.of("MENDED", VERIFY).result["verdicts"]] == [
        (ndes.url("http"), "succeeded")
    ]
