"""The playbook winpki.scep.triage on simulated hosts, over real WinRM."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.lab.events import AIK_URL, NAME_NOT_RESOLVED, event86, event87, event88, forwarded
from tests.lab.fleet import Fleet, Lab
from tests.lab.host import LogConfig, write_log
from tests.lab.playbook import PlaybookResult, run_playbook

NOW = datetime.now(timezone.utc).replace(microsecond=0)
HOSTILE = "{{ 7 * 7 }} {% raw %} $(hostname) `n <b>ä€😀</b> \x1b[31m\u202e\r\n=cmd|' /C calc'!A0"
HOSTILE_CSV = "{{ 7 * 7 }} {% raw %} $(hostname) `n <b>ä€😀</b> \\x1b[31m\\u202e\r\n'=cmd|' /C calc'!A0"
READING = "winpki.scep.triage : Read the enrolment events"
REPORT = "winpki.scep.triage : Report"


def ago(**duration: float) -> datetime:
    """A time before the tests began."""
    return NOW - timedelta(**duration)


@pytest.fixture(scope="module")
def fleet(lab: Lab) -> Fleet:
    """Each state that a host can be in; the first of all is down."""
    collector = lab.host("WEC01", variables={"triage_log_name": "ForwardedEvents"})
    sent = [event86(50 + number, ago(hours=3 - number), computer=f"Remote{number}.example") for number in (1, 2)]
    write_log(
        collector.folder,
        [forwarded(event, number, language="de-DE") for number, event in enumerate(sent, 1)],
        log="ForwardedEvents",
    )
    return lab.start(
        lab.down("Alpha"),
        lab.host("TLS1", [event86(1, ago(hours=5)), event86(2, ago(hours=4)), event86(3, ago(hours=3))]),
        lab.host("Kiosk1", [event86(1, ago(hours=5), url=AIK_URL, error_code=NAME_NOT_RESOLVED)]),
        lab.host(
            "Hostile1",
            [
                event87(
                    1,
                    ago(hours=5),
                    computer="WIN-BEFORE",
                    context=HOSTILE,
                    url=f"https://x/{HOSTILE}",
                    message_text=HOSTILE,
                )
            ],
        ),
        lab.host("Solved1", [event86(1, ago(hours=5)), event88(2, ago(hours=4))]),
        lab.host("Quiet1"),
        lab.host("Rolled1", [event86(900, ago(hours=2))], config=LogConfig(oldest_record=900)),
        lab.host("Off1", config=LogConfig(enabled=False)),
        lab.host("Denied1", config=LogConfig(access_denied=True)),
        lab.host("Password1", variables={"ansible_password": "wrong"}),
        collector,
    )


@dataclass(frozen=True)
class Triage:
    """A run of the playbook and what it wrote."""

    done: PlaybookResult
    report: dict[str, Any]
    rows: list[dict[str, str]]


def run(fleet: Fleet, folder: Path, **settings: Any) -> PlaybookResult:
    """Runs the playbook in ``folder``."""
    return run_playbook("winpki.scep.triage", fleet.inventory_path, folder=folder, forks=4, **settings)


def triage(fleet: Fleet, folder: Path, **settings: Any) -> Triage:
    """Runs the playbook, which has to pass, and reads what it wrote."""
    done = run(fleet, folder, **settings)
    assert done.exit_code == 0, done.stdout + done.stderr
    report = json.loads((folder / "triage-out/findings.json").read_bytes())
    with (folder / "triage-out/findings.csv").open(encoding="utf-8-sig", newline="") as stream:
        return Triage(done, report, list(csv.DictReader(stream)))


@pytest.fixture(scope="module")
def whole(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Triage:
    """The whole fleet, once."""
    return triage(fleet, tmp_path_factory.mktemp("whole"))


def test_every_host_is_in_the_report(whole: Triage) -> None:
    """With its state; also those that were not read."""
    assert {row["host"]: row["status"] for row in whole.report["hosts"]} == {
        "Alpha": "unreachable",
        "Denied1": "failed",
        "Hostile1": "ok",
        "Kiosk1": "ok",
        "Off1": "quiet",
        "Password1": "unreachable",
        "Quiet1": "quiet",
        "Rolled1": "ok",
        "Solved1": "ok",
        "TLS1": "ok",
        "WEC01": "ok",
    }
    rows = {row["host"]: row for row in whole.report["hosts"]}
    assert "Connection refused" in rows["Alpha"]["reason"]
    assert rows["Denied1"]["reason"].startswith("log_name: no right to read 'Application'")
    assert "credentials were rejected" in rows["Password1"]["reason"]
    assert rows["Off1"]["limits"] == ["the log Application is disabled: new events are not written"]
    assert rows["Rolled1"]["limits"] == [
        "the log Application rolled over: what came before its oldest event of "
        f"{ago(hours=2):%Y-%m-%d %H:%M} UTC is lost"
    ]
    assert abs(rows["TLS1"]["clock_skew_seconds"]) < 120


def test_findings(whole: Triage) -> None:
    """By inventory name, those of the collector by their sources'; counted, and ended by a success."""
    found = {(item["host"], item["cause"], item["state"], item["count"]) for item in whole.report["findings"]}
    assert found == {
        ("TLS1", "tls_failure", "open", 3),
        ("Kiosk1", "aik_unreachable", "open", 1),
        ("Hostile1", "request_denied", "open", 1),
        ("Solved1", "tls_failure", "resolved", 1),
        ("Rolled1", "tls_failure", "open", 1),
        ("Remote1.example", "tls_failure", "open", 1),
        ("Remote2.example", "tls_failure", "open", 1),
    }
    assert whole.report["successes"] == 1


def test_hostile_fields(whole: Triage) -> None:
    """They are data everywhere: exact in JSON, harmless in CSV, nowhere on the screen as they are."""
    finding = next(item for item in whole.report["findings"] if item["host"] == "Hostile1")
    assert (finding["message"], finding["contexts"], finding["computer"]) == (HOSTILE, [HOSTILE], "WIN-BEFORE")
    row = next(row for row in whole.rows if row["host"] == "Hostile1")
    assert (row["message"], row["contexts"]) == (HOSTILE_CSV, HOSTILE_CSV)
    assert "\x1b" not in whole.done.stdout
    assert "\u202e" not in whole.done.stdout


def test_screen(whole: Triage) -> None:
    """Plain lines, with what was not seen before what was found."""
    lines = whole.done.stdout.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("SCEP enrolment triage"))
    assert lines[begin + 2 : begin + 6] == [
        "Looked at  11 hosts, log Application and ForwardedEvents, the last 7d",
        "           8 read (2 without an enrolment event), 2 unreachable, 1 failed",
        "Found      6 failures on 6 hosts still open, 8 events; 1 resolved by a later success",
        "           1 success (event 88)",
    ]
    table = lines[lines.index("Loudest") :]
    assert table[1].split() == ["host", "cause", "server", "events", "last", "seen", "(UTC)"]
    first = f"tls_failure ndes01.intra.adcslabor.de 3 {ago(hours=3):%Y-%m-%d %H:%M}"
    assert " ".join(table[2].split()) == f"TLS1 {first}"


def test_one_round_trip_a_host(whole: Triage) -> None:
    """Each host ran one task, and the report ran once, though the first host is down."""
    tasks = [(result.host, result.task) for result in whole.done.results if result.status != "skipped"]
    names = [row["host"] for row in whole.report["hosts"]]
    assert sorted(tasks) == sorted(
        [("Alpha", "winpki.scep.triage : Check the rules"), ("Alpha", REPORT), *((name, READING) for name in names)]
    )


def test_twice(fleet: Fleet, tmp_path: Path) -> None:
    """The same findings, the same files but for times."""
    limit = "TLS1,Solved1"
    first, second = (triage(fleet, tmp_path, limit=limit) for _run in range(2))
    assert [row["host"] for row in first.report["hosts"]] == ["Solved1", "TLS1"]
    assert first.rows == second.rows
    for report in (first.report, second.report):
        del report["generated"]
        for row in report["hosts"]:
            del row["clock_skew_seconds"]
    assert first.report == second.report


def test_check_mode_and_rules(fleet: Fleet, tmp_path: Path) -> None:
    """Hosts are read, the summary is printed, nothing is written; the user's rule comes first."""
    rule = {"id": "mine", "when": "event.url", "certainty": "likely", "summary": "It is mine.", "advice": "Ask me."}
    done = run(fleet, tmp_path, limit="TLS1", check=True, extra_vars={"triage_rules": [rule]})
    assert done.exit_code == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "      1       3  likely     mine   It is mine." in lines
    assert "    Ask me." in lines
    assert "  findings.json and findings.csv are not written to triage-out: this is check mode" in lines
    assert not (tmp_path / "triage-out").exists()


def test_no_host_could_be_read(fleet: Fleet, tmp_path: Path) -> None:
    """Then the play fails, after it has said so."""
    done = run(fleet, tmp_path, limit="Alpha")
    assert done.exit_code == 2
    assert "Found      nothing: no event log could be read, so nothing is known\n" in done.stdout
    assert done.of("Alpha", REPORT).result["status"]["unreachable"] == 1


def test_nothing_is_read_with_a_bad_rule(fleet: Fleet, tmp_path: Path) -> None:
    """It is refused before the first host is asked."""
    done = run(fleet, tmp_path, limit="TLS1", extra_vars={"triage_rules": [{"id": "mine"}]})
    assert done.exit_code == 2
    assert [(result.task, result.result["msg"]) for result in done.results] == [
        ("winpki.scep.triage : Check the rules", "rules: rule mine: when is missing")
    ]
