"""The action remediation_gate in real plays, on results that the modules could have registered: no lab needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.playbook import PlaybookResult, run_playbook
from tests.unit.event_data import AIK, NDES
from tests.unit.plan_data import PIN, evidence, isolated, unresolved_aik, untrusted
from tests.unit.report_data import raw_event, result

PLAN = "remediation/plan.json"
AIK_ERROR = "x 0x80072ee7 (WinHttp: 12007 ERROR_WINHTTP_NAME_NOT_RESOLVED)"


def hosts() -> dict[str, dict[str, Any]]:
    """A host that lacks trust, one in an isolated network, one that is the same without being declared so, one down."""
    aik = raw_event(data={"Url": AIK, "ErrorCode": AIK_ERROR})
    taken = {"changed": False, "evidence": evidence(unresolved_aik(), aik=isolated())}
    settings = {"pins": [PIN], "chain_server": "ndes01"}
    return {
        "client1": {
            "ansible_host": "10.0.0.1",
            "enrolment": result(raw_event(), name="CLIENT1"),
            "found": {"changed": False, "evidence": evidence(untrusted())},
            "allowed": settings,
        },
        "kiosk1": {
            "enrolment": result(aik, name="KIOSK1"),
            "found": taken,
            "allowed": {**settings, "isolated_network": True},
        },
        "kiosk2": {"enrolment": result(aik, name="KIOSK2"), "found": taken, "allowed": settings},
        "down1": {"enrolment": {"unreachable": True, "changed": False, "msg": "timed out"}},
    }


RESULTS = {"result": "enrolment", "evidence": "found", "settings": "allowed"}


def run(
    folder: Path,
    inventory: dict[str, dict[str, Any]],
    *,
    variables: dict[str, Any] | None = None,
    arguments: tuple[str, ...] = (),
    check: bool = False,
    serial: str = "100%",
    **options: Any,
) -> tuple[PlaybookResult, dict[str, Any]]:
    """Runs the gate over these hosts; what it printed, and what it registered.

    Args:
        folder: to run in.
        inventory: the hosts with their variables.
        variables: of all hosts.
        arguments: for Ansible.
        check: check mode.
        serial: hosts of a batch.
        **options: of the gate.
    """
    path = folder / "inventory.json"
    path.write_text(json.dumps({"all": {"hosts": inventory, "vars": variables or {}}}), "utf-8")
    gate = {
        "name": "Gate",
        "winpki.scep.remediation_gate": RESULTS | options,
        "delegate_to": "localhost",
        "run_once": True,
    }
    play = {
        "name": "Play",
        "hosts": "all",
        "gather_facts": False,
        "serial": serial,
        "tasks": [gate],
        "vars": {"suffix": "example"},
    }
    done = run_playbook(
        [play],
        path,
        folder=folder,
        timeout=120,
        check=check,
        arguments=arguments,
        environment={"ANSIBLE_SHOW_CUSTOM_STATS": "1"},
    )
    return done, done.results[-1].result


def passed(registered: dict[str, Any]) -> dict[str, list[str]]:
    return {host: [action["role"] for action in one["allowed"]] for host, one in registered["hosts"].items()}


def held(registered: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    return {host: [(one["role"], one["reason"]) for one in of["held"]] for host, of in registered["hosts"].items()}


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A folder in which a check-mode run has written the plan."""
    done, registered = run(tmp_path, hosts(), check=True)
    assert done.exit_code == 0, done.stdout + done.stderr
    assert registered["written"] == str(tmp_path / PLAN)
    return tmp_path


ALL = {"client1": ["trust_ndes_chain"], "kiosk1": ["disable_aik"], "kiosk2": []}
NONE: dict[str, list[str]] = {"client1": [], "kiosk1": [], "kiosk2": []}


def test_a_check_mode_run_writes_the_plan_and_shows_it(tmp_path: Path) -> None:
    done, registered = run(tmp_path, hosts(), check=True)
    assert passed(registered) == ALL
    document = json.loads((tmp_path / PLAN).read_bytes())
    assert [(one["host"], [action["role"] for action in one["actions"]]) for one in document["hosts"]] == list(
        ALL.items()
    )
    assert document["max_age_seconds"] == 86400
    unread = [{"host": "down1", "status": "unreachable", "reason": "timed out"}]
    assert document["not_read"] == registered["not_read"] == unread
    assert registered["planned"] == []
    assert registered["hosts"]["client1"]["verify"]["contexts"] == {NDES: ["INTRA\\rudi"]}
    assert "CUSTOM STATS" not in done.stdout
    assert document["generator"].startswith("winpki.scep ")
    assert (tmp_path / PLAN).stat().st_mode & 0o777 == 0o640
    lines = done.stdout.splitlines()
    begin = lines.index("SCEP remediation")
    assert lines[begin + 1 : begin + 15] == [
        "=" * 100,
        "2 actions may be done, 0 held back, 1 failure left alone",
        "",
        "May be done",
        "  client1  trust_ndes_chain",
        "  kiosk1   disable_aik",
        "",
        "Left alone",
        "  kiosk2  aik_unreachable  disable_aik: the network is not declared to be isolated on purpose",
        "                           (isolated_network)",
        "",
        "Not read",
        "  down1  unreachable  timed out",
        "",
    ]


def test_without_a_plan_nothing_passes(tmp_path: Path) -> None:
    done, registered = run(tmp_path, hosts())
    assert done.exit_code == 0
    assert passed(registered) == NONE
    assert held(registered) == {
        "client1": [("trust_ndes_chain", "no_plan")],
        "kiosk1": [("disable_aik", "no_plan")],
        "kiosk2": [],
    }
    assert not (tmp_path / PLAN).exists()


def test_with_the_plan_all_of_it_passes(planned: Path) -> None:
    for gate in ("check", "plan"):
        _done, registered = run(planned, hosts(), plan=PLAN, gate=gate)
        assert passed(registered) == ALL
        assert registered["written"] is None
        assert registered["planned"] == ["client1", "kiosk1"]


def test_without_a_gate_all_passes(tmp_path: Path) -> None:
    _done, registered = run(tmp_path, hosts(), gate="none")
    assert passed(registered) == ALL


def test_drift_holds_that_host_alone(planned: Path) -> None:
    now = hosts()
    now["client1"]["found"] = {"changed": False, "evidence": evidence(untrusted(missing="ef" * 20))}
    done, registered = run(planned, now, plan=PLAN, gate="plan")
    assert passed(registered) == {**ALL, "client1": []}
    assert held(registered)["client1"] == [("trust_ndes_chain", "drift")]
    screen = " ".join(done.stdout.split())
    assert (
        "Held back client1 trust_ndes_chain the evidence has changed since the plan was made: trust_ndes_chain rests on"
        " another missing_issuer" in screen
    )


def test_planned_hosts_that_fail_no_more_or_can_not_be_read_are_held(planned: Path) -> None:
    now = hosts()
    now["client1"]["enrolment"] = result()
    now["kiosk1"]["enrolment"] = {"failed": True, "changed": False, "msg": "Access is denied."}
    _done, registered = run(planned, now, plan=PLAN, gate="plan")
    assert (passed(registered), held(registered)) == (
        NONE,
        {"client1": [("trust_ndes_chain", "drift")], "kiosk1": [("disable_aik", "not_read")], "kiosk2": []},
    )
    assert registered["planned"] == ["client1", "kiosk1"]
    assert [one["host"] for one in registered["not_read"]] == ["down1", "kiosk1"]


@pytest.mark.parametrize("check", [True, False])
def test_where_nothing_could_be_read_the_run_fails(tmp_path: Path, check: bool) -> None:
    wrong = {"failed": True, "changed": False, "msg": "the specified credentials were rejected by the server"}
    done, registered = run(tmp_path, {"client1": {"enrolment": wrong}}, check=check)
    assert (done.exit_code, registered["msg"]) == (
        2,
        "no event log of these hosts could be read: the screen above has the reasons",
    )
    assert "client1  failed  the specified credentials were rejected by the server" in done.stdout
    assert not (tmp_path / PLAN).exists()


def test_a_batch_that_is_off_does_not_end_an_apply_run(tmp_path: Path) -> None:
    now = {name: host for name, host in hosts().items() if name in ("client1", "down1")}
    done, registered = run(tmp_path, now, gate="none", serial="1")
    assert (done.exit_code, [one["host"] for one in registered["not_read"]]) == (0, ["down1"])


def test_one_machine_under_two_names_is_held_and_one_of_them_alone_is_not(tmp_path: Path) -> None:
    now = hosts()
    now["client1"]["ansible_host"] = "{{ inventory_hostname | regex_replace('[0-9]') }}.{{ suffix }}"
    now["client2"] = now["client1"]
    now["kiosk1"]["ansible_host"] = "client.{{ hostvars.client1.suffix | default('example') }}"
    now["kiosk1"]["ansible_port"] = 15986
    _done, registered = run(tmp_path, now, check=True)
    assert passed(registered) == {**ALL, "client1": [], "client2": []}
    assert held(registered)["client2"] == [("trust_ndes_chain", "same_host")]
    assert registered["hosts"]["client1"]["held"][0]["message"] == (
        "client1 and client2 are one machine, at client.example:5986: name it once, or take one out with --limit"
    )
    _done, registered = run(tmp_path, now, plan=PLAN, gate="plan")
    assert passed(registered) == {**ALL, "client1": [], "client2": []}
    _done, registered = run(tmp_path, now, plan=PLAN, gate="plan", arguments=("--limit", "!client2"))
    assert passed(registered) == ALL


def test_a_plan_goes_to_the_next_job_as_a_text(tmp_path: Path) -> None:
    """As AWX does with what a job has set as statistics; on the screen it is only where a setting of Ansible asks."""
    done, _registered = run(tmp_path, hosts(), check=True, publish=True, arguments=("-v",))
    screen, statistics = done.stdout.split("CUSTOM STATS")
    text = json.loads(statistics[statistics.index("RUN: ") + 5 :])["scep_plan"]
    assert text.startswith("scep-plan:1:H4sI")
    assert "scep-plan" not in screen
    (tmp_path / PLAN).unlink()
    done, registered = run(tmp_path, hosts(), plan=text, gate="plan", publish=True)
    assert passed(registered) == ALL
    assert "CUSTOM STATS" not in done.stdout
    done, registered = run(tmp_path, hosts(), plan=text[:-8], gate="plan")
    assert (done.exit_code, registered["reason"]) == (2, "unreadable")
    assert registered["msg"] == "plan: the text that was handed on: the text ends too early: hand it on whole"


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (True, [({}, None), ({"output": "file/plan.json"}, "output: the report can't be written to {}/file: ")]),
        (False, [({"plan": PLAN, "gate": "plan"}, None), ({"output": "file/plan.json"}, None),
                 ({"gate": "plan"}, "plan: the gate is plan, so an apply run needs the plan"),
                 ({"plan": PLAN, "max_age": 0}, "max_age: 0 is not possible"),
                 ({"plan": "file", "gate": "plan"}, "plan: file: it is not JSON")]),
    ],
)  # fmt: skip
def test_what_can_be_seen_before_any_host_is_read(
    planned: Path, check: bool, expected: list[tuple[dict[str, Any], str | None]]
) -> None:
    (planned / "file").touch()
    tasks = [
        {"name": f"Gate {number}", "winpki.scep.remediation_gate": options, "run_once": True, "ignore_errors": True}
        for number, (options, _message) in enumerate(expected)
    ]
    play = {"name": "Play", "hosts": "all", "gather_facts": False, "tasks": tasks}
    done = run_playbook([play], planned / "inventory.json", folder=planned, timeout=120, check=check)
    found = [one.result.get("msg", "") for one in done.results]
    assert len(found) == len(expected)
    for told, (_options, message) in zip(found, expected, strict=True):
        assert told.startswith(message.format(planned)) if message else told == ""
    assert "SCEP remediation" not in done.stdout


def test_a_host_that_is_new_is_held(planned: Path) -> None:
    now = hosts()
    now["client9"] = {**now["client1"], "ansible_host": "10.0.0.9"}
    _done, registered = run(planned, now, plan=PLAN, gate="plan")
    assert held(registered)["client9"] == [("trust_ndes_chain", "not_in_plan")]
    assert passed(registered) == {**ALL, "client9": []}


def test_without_evidence_nothing_passes_and_it_is_said(planned: Path) -> None:
    now = hosts()
    now["client1"]["found"] = {"unreachable": True, "msg": "timed out"}
    _done, registered = run(planned, now, plan=PLAN, gate="plan")
    assert held(registered)["client1"] == [("trust_ndes_chain", "not_read")]
    assert registered["hosts"]["client1"]["held"][0]["message"] == (
        "whether it is still as planned is not known: no evidence was taken from it: timed out"
    )
    assert [one["reason"] for one in registered["hosts"]["client1"]["skipped"]] == [
        "trust_ndes_chain: no probe from this host tells what it meets at this server;"
        " use_http: no probe from this host tells what it meets at this server"
    ]


def edit(folder: Path) -> None:
    path = folder / PLAN
    path.write_text(path.read_text("utf-8").replace(PIN, "cd" * 32), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "options", "message", "reason"),
    [
        (edit, {}, "it was edited after it was made, its digest does not fit: make a new plan", "edited"),
        (lambda folder: (folder / PLAN).write_text("{}"), {},
         "it is not a plan of the version that this collection reads (1): make a new plan", "schema"),
        (lambda folder: (folder / PLAN).unlink(), {}, "can't be read: No such file or directory", None),
    ],
)  # fmt: skip
def test_a_plan_that_is_refused(
    planned: Path, spoil: Any, options: dict[str, Any], message: str, reason: str | None
) -> None:
    spoil(planned)
    done, registered = run(planned, hosts(), plan=PLAN, gate="plan", **options)
    assert done.exit_code == 2
    assert message in registered["msg"]
    assert registered["msg"].startswith("plan: ")
    assert registered.get("reason") == reason


def test_another_inventory(tmp_path: Path) -> None:
    now = hosts()
    now["client1"]["ansible_host"] = "{{ inventory_hostname }}.{{ domain }}"
    production = {"domain": "prod.example", "ansible_winrm_port": "{{ 5000 + 986 }}"}
    assert run(tmp_path, now, check=True, variables=production)[0].exit_code == 0
    _done, registered = run(tmp_path, now, plan=PLAN, variables=production)
    assert passed(registered) == ALL
    _done, registered = run(tmp_path, now, plan=PLAN, variables={**production, "domain": "test.example"})
    assert registered["reason"] == "other_inventory"
    done, registered = run(tmp_path, now, plan=PLAN)
    assert done.exit_code == 2
    assert registered["msg"].startswith(
        "ansible_host of client1 can't be rendered, so where the host is reached is not known: "
    )
    assert "'domain' is undefined" in registered["msg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate": "plan"}, "plan: the gate is plan, so an apply run needs the plan that an earlier run wrote"),
        ({"max_age": 0}, "max_age: 0 is not possible; it is in seconds and more than 0"),
        ({"rules": [{"id": "x"}]}, "rules: rule x: when is missing"),
    ],
)
def test_options_that_can_not_be_used(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    done, registered = run(tmp_path, hosts(), **options)
    assert (done.exit_code, registered["msg"]) == (2, message)


def test_an_extra_variable_that_would_come_before_the_plan_is_refused(tmp_path: Path) -> None:
    given = '{"verify_wait": 1, "verify_urls": ["https://ndes02.example/"]}'
    done, registered = run(tmp_path, hosts(), arguments=("-e", given))
    assert done.exit_code == 2
    assert registered["msg"].startswith(
        "verify_urls: it is given as an extra variable (-e), so it would come before what the plan says. "
    )


def test_settings_that_can_not_be_used_name_the_host(tmp_path: Path) -> None:
    now = hosts()
    now["kiosk1"]["allowed"] = {"isolated": True}
    _done, registered = run(tmp_path, now)
    assert registered["msg"].startswith("settings of kiosk1: isolated: there is no such setting; known are ca_thumbpr")
