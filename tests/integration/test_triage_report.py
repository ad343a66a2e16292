"""The action triage_report in real plays, on results that event_info could have registered: no lab needed."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab.playbook import PlaybookResult, run_playbook
from tests.unit.report_data import RULES, raw_event, result

HOSTILE = "{{ 7 * 7 }} $(calc) <script> \x1b[31m \u202e\r\n=cmd|' /C calc'!A0;=1"
SENTENCE = "no event log could be read: the summary above has the reasons"


def play(*, strategy: str = "linear", **options: Any) -> list[dict[str, Any]]:
    """A play that reports on what the inventory says that the hosts registered."""
    report = {
        "name": "Report",
        "winpki.scep.triage_report": {"result": "triage_events", "since": "7d", **options},
        "delegate_to": "localhost",
        "run_once": True,
        "register": "triage_result",
    }
    after = {
        "name": "After",
        "ansible.builtin.debug": {"msg": "{{ hostvars[inventory_hostname].triage_result.status }}"},
        "delegate_to": "localhost",
    }
    return [{"name": "Play", "hosts": "all", "gather_facts": False, "strategy": strategy, "tasks": [report, after]}]


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Four hosts: the first has connection variables that can't be used, one is down, one was never asked."""
    hosts: dict[str, dict[str, Any]] = {
        "broken": {"ansible_host": "{{ nowhere }}", "ansible_connection": "winrm", "ansible_password": "{{ nothing }}"},
        "client1": {"triage_events": result(raw_event(data={"MessageText": HOSTILE}, count=3))},
        "client2": {"triage_events": {"unreachable": True, "changed": False, "msg": "timed out"}},
        "client3": {"triage_events": result(name="CLIENT3")},
    }
    path = tmp_path / "inventory.yml"
    path.write_text(_unsafe_yaml({"all": {"hosts": hosts}}), "utf-8")
    return path


def _unsafe_yaml(data: Mapping[str, Any] | list[dict[str, Any]]) -> str:
    """YAML in which texts of events and rules are no templates, as those of registered results are none."""
    return re.sub('"(MessageText|summary|advice)": "', r'"\1": !unsafe "', json.dumps(data))


def run(plays: list[dict[str, Any]] | Path, inventory: Path, **settings: Any) -> PlaybookResult:
    """Runs in the inventory's folder, so that the default output lands there."""
    return run_playbook(plays, inventory, folder=inventory.parent, timeout=120, **settings)


def test_report(inventory: Path) -> None:
    """The screen is plain text, the files are complete, and all hosts have the registered result."""
    done = run(play(rules=RULES), inventory)
    assert done.exit_code == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    begin = lines.index(next(line for line in lines if line.startswith("SCEP enrolment triage")))
    assert lines[begin + 1 : begin + 9] == [
        "=" * 100,
        "Looked at  4 hosts, log Application, the last 7d",
        "           2 read (1 without an enrolment event), 1 unreachable, 1 not asked",
        "Found      1 failure on 1 host still open, 3 events",
        "",
        "Not read",
        "  broken   not asked    an earlier task failed on it, so it was not asked",
        "  client2  unreachable  timed out",
    ]
    report = json.loads((inventory.parent / "triage-out/findings.json").read_bytes())
    assert [(row["host"], row["status"]) for row in report["hosts"]] == [
        ("broken", "not_read"),
        ("client1", "ok"),
        ("client2", "unreachable"),
        ("client3", "quiet"),
    ]
    assert [(item["host"], item["cause"], item["message"]) for item in report["findings"]] == [
        ("client1", "tls", HOSTILE)
    ]
    with (inventory.parent / "triage-out/findings.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["message"] for row in rows] == [
        "{{ 7 * 7 }} $(calc) <script> \\x1b[31m \\u202e\r\n'=cmd|' /C calc'!A0;'=1"
    ]
    assert done.of("broken", "Report").result["files"] == {
        name: str(inventory.parent / "triage-out" / name) for name in ("findings.json", "findings.csv")
    }
    status = {"ok": 1, "quiet": 1, "failed": 0, "unreachable": 1, "not_read": 1}
    assert {done.of(f"client{number}", "After").result["msg"] == status for number in (1, 2, 3)} == {True}


def test_check_mode(inventory: Path) -> None:
    """Prints, says so, and writes nothing."""
    done = run(play(), inventory, check=True)
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "  findings.json and findings.csv are not written to triage-out: this is check mode\n" in done.stdout
    assert not (inventory.parent / "triage-out").exists()


def test_limit(inventory: Path) -> None:
    """Only the hosts of the play are in the report; here the first one was not read."""
    done = run(play(), inventory, limit="client2,client3")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "Looked at  2 hosts, log Application, the last 7d\n" in done.stdout
    assert "Found      no enrolment failure on the hosts that were read\n" in done.stdout


def test_nothing_read(inventory: Path) -> None:
    """The play fails, but only after the summary and the files."""
    done = run(play(), inventory, limit="client2")
    assert done.exit_code == 2
    assert done.of("client2", "Report").result["msg"] == SENTENCE
    assert "Found      nothing: no event log could be read, so nothing is known\n" in done.stdout
    assert (inventory.parent / "triage-out/findings.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rules": [{"id": "mine", "certainty": "proven", "summary": "x"}]}, "rules: rule mine: when is missing"),
        ({"rules": "none.yml"}, "rules: none.yml: can't be read as YAML: "),
        ({"files": ["x"]}, "parameters are mutually exclusive: result|files"),
    ],
)
def test_wrong_options(inventory: Path, options: dict[str, Any], message: str) -> None:
    """Each is refused by its name, before anything is printed or written."""
    done = run(play(**options), inventory, limit="client3")
    assert done.exit_code == 2
    assert message in done.of("client3", "Report").result["msg"]
    assert "SCEP enrolment triage" not in done.stdout
    assert not (inventory.parent / "triage-out").exists()


def test_rules_from_a_file(inventory: Path) -> None:
    """Relative to the working folder's playbook."""
    (inventory.parent / "rules.yml").write_text(json.dumps(RULES), "utf-8")
    done = run(play(rules=str(inventory.parent / "rules.yml")), inventory)
    assert done.of("broken", "Report").result["summary"]["causes"][0]["cause"] == "tls"


def test_output_that_can_not_be_written(inventory: Path) -> None:
    """The summary is printed all the same, and the failure names the option."""
    (inventory.parent / "taken").write_text("", "ascii")
    done = run(play(output="taken"), inventory)
    assert done.exit_code == 2
    assert done.of("broken", "Report").result["msg"] == (
        f"output: the report can't be written to {inventory.parent}/taken: File exists"
    )
    assert "Loudest\n" in done.stdout


def test_checks_before_the_reading(inventory: Path) -> None:
    """Without a source only the options are checked: nothing is printed, nothing written."""
    checking = play()
    checking[0]["tasks"] = [
        {"name": "Check", "winpki.scep.triage_report": {}, "delegate_to": "localhost", "run_once": True},
        {
            "name": "Refused",
            "winpki.scep.triage_report": {"output": str(inventory)},
            "delegate_to": "localhost",
            "run_once": True,
        },
    ]
    done = run(checking, inventory)
    assert done.of("broken", "Check").status == "ok"
    refused = done.of("broken", "Refused")
    assert (refused.status, refused.result["msg"]) == (
        "failed",
        f"output: the report can't be written to {inventory}: {inventory} is not a folder",
    )
    assert "SCEP enrolment triage" not in done.stdout
    assert not (inventory.parent / "triage-out").exists()


def test_free_strategy_is_refused(inventory: Path) -> None:
    """There each host would get a report of its own, before the others are read."""
    done = run(play(strategy="free"), inventory, limit="client1,client3")
    assert done.exit_code != 0
    assert "bypasses the host loop" in done.stdout + done.stderr
    assert "SCEP enrolment triage" not in done.stdout


def test_summarize_findings(inventory: Path) -> None:
    """The filter gives for findings.json what the action returned, and takes no text in it for a template."""
    rule = {"id": "mine", "when": "event.url", "certainty": "likely", "summary": "{{ 7 * 7 }}", "advice": HOSTILE}
    plays = play(rules=[rule])
    read = "lookup('ansible.builtin.file', 'triage-out/findings.json') | from_json"
    plays[0]["tasks"].append(
        {
            "name": "Summarize",
            "ansible.builtin.set_fact": {"again": f"{{{{ ({read}).findings | winpki.scep.summarize_findings }}}}"},
            "delegate_to": "localhost",
            "run_once": True,
        }
    )
    written = inventory.parent / "play.yml"
    written.write_text(_unsafe_yaml(plays), "utf-8")
    done = run(written, inventory)
    assert done.exit_code == 0, done.stdout + done.stderr
    again = done.of("broken", "Summarize").result["ansible_facts"]["again"]
    assert again == done.of("broken", "Report").result["summary"]
    assert (again["causes"][0]["summary"], again["causes"][0]["advice"]) == ("{{ 7 * 7 }}", HOSTILE)
