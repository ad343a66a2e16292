"""The playbook winpki.scep.triage_files on exported logs: no lab needed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.playbook import PlaybookResult, run_playbook
from tests.unit.report_data import exported_xml, raw_event, success

AIK = "https://IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net/templates/Aik/scep"
NAME = "The server name or address could not be resolved 0x80072ee7 (WinHttp: 12007 ERROR_WINHTTP_NAME_NOT_RESOLVED)"
HOSTILE = "{{ 7 * 7 }} {% for x in y %} $(calc) <script>alert(1)</script>\n=cmd|' /C calc'!A0\u202e"


def run(folder: Path, **variables: Any) -> PlaybookResult:
    """Runs the playbook in ``folder``."""
    return run_playbook(
        "winpki.scep.triage_files", Path("localhost,"), folder=folder, extra_vars=variables, timeout=120
    )


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The article's two examples from two computers, one of them resolved later, and a file that is damaged."""
    (tmp_path / "logs").mkdir()
    first = raw_event(1, "CLIENT1", data={"MessageText": HOSTILE})
    second = raw_event(7, "CLIENT2", data={"Url": AIK, "ErrorCode": NAME, "Context": "WORKGROUP\\CLIENT2$"})
    third = raw_event(3, "CLIENT3")
    ended = success(4, "2026-11-24T11:00:00.0000000Z", computer="CLIENT3")
    (tmp_path / "logs/fleet.xml").write_text(exported_xml(first, second, third, ended), "utf-8")
    (tmp_path / "logs/again.xml").write_text(exported_xml(first), "utf-16")
    (tmp_path / "logs/cut.xml").write_text(exported_xml(raw_event(9, "CLIENT9"), second)[:-200], "utf-8")
    return tmp_path


def test_triage_files(logs: Path) -> None:
    """Causes by computer, one event in two files once, the damage named, hostile text as data."""
    done = run(logs, triage_files=["logs"])
    assert done.exit_code == 0, done.stdout + done.stderr
    report = json.loads((logs / "triage-out/findings.json").read_bytes())
    assert [(item["host"], item["cause"], item["state"], item["count"]) for item in report["findings"]] == [
        ("CLIENT1", "tls_failure", "open", 1),
        ("CLIENT2", "aik_unreachable", "open", 1),
        ("CLIENT3", "tls_failure", "resolved", 1),
        ("CLIENT9", "tls_failure", "open", 1),
    ]
    assert report["findings"][0]["message"] == HOSTILE
    assert (report["successes"], report["duplicates"]) == (1, 1)
    assert [
        (Path(row["path"]).name, row["status"], row["events"], len(row["problems"])) for row in report["files"]
    ] == [
        ("again.xml", "ok", 1, 0),
        ("cut.xml", "ok", 1, 1),
        ("fleet.xml", "ok", 4, 0),
    ]
    with (logs / "triage-out/findings.csv").open(encoding="utf-8-sig", newline="") as stream:
        message = next(csv.DictReader(stream))["message"]
    assert message == "{{ 7 * 7 }} {% for x in y %} $(calc) <script>alert(1)</script>\n'=cmd|' /C calc'!A0\\u202e"
    assert "Looked at  3 exported logs, 6 enrolment events, 1 not read in full\n" in done.stdout
    assert "\u202e" not in done.stdout


def test_twice(logs: Path) -> None:
    """The same files but for the time of the report."""
    written = []
    for _run in range(2):
        assert run(logs, triage_files=["logs"]).exit_code == 0
        report = json.loads((logs / "triage-out/findings.json").read_bytes())
        del report["generated"]
        written.append((report, (logs / "triage-out/findings.csv").read_bytes()))
    assert written[0] == written[1]
    assert sorted(path.name for path in (logs / "triage-out").iterdir()) == ["findings.csv", "findings.json"]


def test_one_path_as_text(logs: Path) -> None:
    """As ``-e triage_files=...`` gives it."""
    done = run(logs, triage_files="logs/fleet.xml", triage_output=str(logs / "else"))
    assert done.exit_code == 0, done.stdout + done.stderr
    assert len(json.loads((logs / "else/findings.json").read_bytes())["findings"]) == 3


def test_nothing_to_read(logs: Path) -> None:
    """The play fails, and the report says what was looked for."""
    done = run(logs, triage_files=["gone.evtx"])
    assert done.exit_code == 2
    assert "  gone.evtx  failed  is no file, no folder and no pattern " in done.stdout
    assert "Found      nothing: no event log could be read, so nothing is known\n" in done.stdout


def test_files_are_required(tmp_path: Path) -> None:
    """Said by the role's own check of its variables."""
    done = run(tmp_path)
    assert done.exit_code == 2
    assert "missing required arguments: triage_files" in done.stdout
