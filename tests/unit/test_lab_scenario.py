"""Scenario files: what is refused, and the hosts that come of them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.lab.build import build, repeated
from tests.lab.fleet import FleetHost
from tests.lab.host import host_time
from tests.lab.node import ScenarioError
from tests.lab.scenario import load

FAILURES = "failures:\n  f: {url: http://n/certsrv/mscep/mscep.dll, error_code: E}\n  ok: {id: 88}\n"


def scenario(folder: Path, hosts: str, failures: str = FAILURES) -> Path:
    path = folder / "s.yml"
    path.write_text(f"{failures}hosts:\n{hosts}\n", "utf-8")
    return path


def log(host: FleetHost, name: str = "Application") -> list[dict[str, Any]]:
    text = (host.folder / "eventlogs" / f"{name}.jsonl").read_text("ascii")
    return [json.loads(line) for line in text.splitlines()]


def own(host: FleetHost) -> list[dict[str, Any]]:
    return [event for event in log(host) if "CertEnroll" in event["provider"]]


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ("  PC1: {clok: 2h}", "host PC1: clok: there is no such key"),
        ("  PC1: {clock: soon}", "host PC1: clock: a duration such as 90s, 15m, 2h or 3d is needed, not 'soon'"),
        ("  PC1: {clock: 5}", "host PC1: clock: a duration such as 90s, 15m, 2h or 3d is needed, not 5"),
        ("  PC1: {started: -2h}", "host PC1: started: a duration such as 90s, 15m, 2h or 3d is needed, not '-2h'"),
        ("  PC1: {down: 'no'}", "host PC1: down: true or false is needed, not 'no'"),
        ("  PC1: {language: fr-FR}", "host PC1: language: one of en-US, de-DE is needed, not 'fr-FR'"),
        ("  PC1: {time_zone: 1}", "host PC1: time_zone: text is needed, not 1"),
        ("  PC1: {groups: a}", "host PC1: groups: a list of group names is needed, not 'a'"),
        ("  PC1: {groups: [a b]}", "host PC1: groups: a list of group names is needed, not ['a b']"),
        ("  PC1: {variables: [1]}", "host PC1: variables: a mapping is needed, not [1]"),
        ("  PC1: {log: {background: -1}}", "host PC1: log: background: a whole number from 0 up is needed, not -1"),
        ("  PC1: {log: {first_record: 0}}", "host PC1: log: first_record: a whole number from 1 up is needed, not 0"),
        ("  PC1: {log: {enabled: 1}}", "host PC1: log: enabled: true or false is needed, not 1"),
        ("  PC1: {log: {full: true}}", "host PC1: log: full: there is no such key"),
        ("  PC1: {events: 1}", "host PC1: events: a list is needed, not 1"),
        ("  PC1: {events: [f]}", "host PC1: events 1: a mapping is needed, not 'f'"),
        ("  PC1: {events: [{failure: g, at: 1h}]}", "host PC1: events 1: failure: 'g' is not among the scenario's"),
        (
            "  PC1: {events: [{at: 1h}]}",
            "host PC1: events 1: failure: None is not among the scenario's failures: f, ok",
        ),
        ("  PC1: {events: [{failure: f}]}", "host PC1: events 1: from: either at, or from and to, are needed"),
        ("  PC1: {events: [{failure: f, from: 1h, to: 2h}]}", "host PC1: events 1: from: is to be longer ago than to"),
        (
            "  PC1: {events: [{failure: f, at: 1h, times: 2}]}",
            "host PC1: events 1: at: goes without from, to and times",
        ),
        ("  PC1: {events: [{failure: f, at: 1h, x: 2}]}", "host PC1: events 1: x: there is no such key"),
        ("  PC1: {forwards: [{events: []}]}", "host PC1: forwards 1: computer: a name is needed"),
        (
            "  PC1: {forwards: [{computer: A, rendering: xx}]}",
            "host PC1: forwards 1: rendering: one of en-US, de-DE is needed, not 'xx'",
        ),
        ("  PC1: 3", "host PC1: a mapping is needed, not 3"),
        ("  A_NAME: {}", "host A_NAME: a computer's name has 1 to 15 letters, digits and hyphens"),
        ("  ABCDEFGHIJKLMNOP: {}", "host ABCDEFGHIJKLMNOP: a computer's name has 1 to 15 letters"),
        ("  7: {}", "host 7: a computer's name has 1 to 15 letters"),
        ("  {}", "hosts: at least one is needed"),
        ("  [", "cannot be read: while parsing"),
        ("extra: 1", "extra: there is no such key"),
    ],
)
def test_mistake_is_named(hosts: str, message: str, tmp_path: Path) -> None:
    path = scenario(tmp_path, hosts)
    with pytest.raises(ScenarioError) as raised:
        load(path)
    assert str(raised.value).startswith(f"scenario {path}: {message}")


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        ("failures: {f: {id: 89}}\n", "failures: f: id: 86, 87 or 88 is needed, not 89"),
        ("failures: {f: {Url: x}}\n", "failures: f: Url: there is no such key"),
        ("failures: {f: {url: 1}}\n", "failures: f: url: text is needed, not 1"),
        ("failures: [f]\n", "failures: a mapping is needed, not ['f']"),
    ],
)
def test_mistake_in_a_failure(failures: str, message: str, tmp_path: Path) -> None:
    path = scenario(tmp_path, "  PC1: {}", failures)
    with pytest.raises(ScenarioError) as raised:
        load(path)
    assert str(raised.value) == f"scenario {path}: {message}"


def test_scenario_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.yml: cannot be read: .*No such file"):
        load(tmp_path / "none.yml")


def test_events_are_as_old_as_the_scenario_says(tmp_path: Path) -> None:
    path = scenario(tmp_path, "  PC1: {events: [{failure: f, times: 3, from: 4h, to: 2h}, {failure: ok, at: 1h}]}")
    (host,) = build(load(path), tmp_path)
    found = own(host)
    ages = [round((host_time() - datetime.fromisoformat(event["time"])).total_seconds() / 60) for event in found]
    assert ages == [240, 180, 120, 60]
    assert [event["id"] for event in found] == [86, 86, 86, 88]
    assert [len(event["data"]) for event in found] == [6, 6, 6, 5]
    assert found[0]["data"][:2] == [["Context", "WORKGROUP\\PC1$"], ["Url", "http://n/certsrv/mscep/mscep.dll"]]
    records = [event["record"] for event in log(host)]
    assert records == list(range(1, 245))


def test_events_of_a_wrong_clock_are_by_that_clock(tmp_path: Path) -> None:
    path = scenario(tmp_path, "  PC1: {clock: -3h, events: [{failure: f, at: 1h}]}")
    (host,) = build(load(path), tmp_path)
    age = host_time() - datetime.fromisoformat(own(host)[0]["time"])
    assert abs(age - timedelta(hours=4)) < timedelta(minutes=1)
    assert (host.folder / "clock").read_text() == "-10800.0\n"


def test_text_has_windows_line_ends_and_the_hosts_name(tmp_path: Path) -> None:
    failures = "failures:\n  f:\n    context: '{host}$'\n    message_text: |\n      a {b}\n      {host}\n"
    (host,) = build(load(scenario(tmp_path, "  PC1: {events: [{failure: f, at: 1h}]}", failures)), tmp_path)
    values = own(host)[0]["data"]
    assert values[0] == ["Context", "PC1$"]
    assert values[2] == ["MessageText", "a {b}\r\nPC1\r\n"]


def test_rolled_over_log(tmp_path: Path) -> None:
    path = scenario(tmp_path, "  PC1: {log: {begins: 1h, first_record: 500, background: 10}}")
    (host,) = build(load(path), tmp_path)
    assert [event["record"] for event in log(host)] == list(range(500, 510))
    config = json.loads((host.folder / "eventlogs" / "Application.config.json").read_text())
    assert config == {"oldestRecordNumber": 500}


def test_collector(tmp_path: Path) -> None:
    hosts = (
        "  WEC1:\n    forwards:\n"
        "      - {computer: a.example, rendering: de-DE, events: [{failure: f, times: 2, from: 3h, to: 1h}]}\n"
        "      - {computer: B, events: [{failure: f, at: 2h, named: false}]}\n"
    )
    (host,) = build(load(scenario(tmp_path, hosts)), tmp_path)
    found = log(host, "ForwardedEvents")
    assert [(event["computer"], event["record"], event["logRecord"]) for event in found] == [
        ("a.example", 1000, 1),
        ("B", 2000, 2),
        ("a.example", 1001, 3),
    ]
    assert [event["data"][0] for event in found] == [
        ["Context", "WORKGROUP\\a$"],
        [None, "WORKGROUP\\B$"],
        ["Context", "WORKGROUP\\a$"],
    ]
    assert [event.get("rendering", {}).get("culture") for event in found] == ["de-DE", None, "de-DE"]


@pytest.mark.parametrize(("count", "names"), [(1, ["A"]), (2, ["A", "B"]), (5, ["A", "B", "A-2", "B-2", "A-3"])])
def test_hosts_are_repeated_with_numbers(count: int, names: list[str], tmp_path: Path) -> None:
    assert [host.name for host in repeated(load(scenario(tmp_path, "  A: {}\n  B: {}")), count)] == names


def test_default_scenario(tmp_path: Path) -> None:
    hosts = build(load(), tmp_path)
    assert len(hosts) == 22
    assert [host.name for host in hosts if host.down] == ["LAPTOP03"]
    assert {host.name: dict(host.variables) for host in hosts if host.groups == ("collectors",)} == {
        "WEC01": {"triage_log_name": "ForwardedEvents"}
    }
    counts = {host.name: len(own(host)) for host in hosts if not host.down}
    assert counts == {
        "CLIENT01": 19, "CLIENT02": 9, "KIOSK01": 31, "KIOSK02": 17, "CLIENT03": 6, "CLIENT04": 3, "CLIENT05": 4,
        "CLIENT06": 8, "CLIENT07": 5, "CLIENT08": 9, "LAPTOP01": 3, "LAPTOP02": 6, "CLIENT09": 2, "CLIENT10": 5,
        "CLIENT11": 1, "WEC01": 0, "SRV01": 2, "KIOSK03": 0, "KIOSK04": 0, "CLIENT12": 0, "CLIENT13": 0,
    }  # fmt: skip
    assert len(log(next(host for host in hosts if host.name == "WEC01"), "ForwardedEvents")) == 21
    configured = {path.parents[1].name: json.loads(path.read_text()) for path in tmp_path.glob("*/*/*.config.json")}
    assert configured == {
        "SRV01": {"oldestRecordNumber": 48211},
        "KIOSK03": {"enabled": False},
        "KIOSK04": {"accessDenied": True},
    }
