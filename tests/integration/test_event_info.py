"""event_info as a user runs it, with ansible-playbook over WinRM; the module in detail: its neighbours."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.lab.events import Event, event86, event87, event88, forwarded, interleaved
from tests.lab.fleet import Fleet, Lab
from tests.lab.host import LogConfig, write_log, write_log_file
from tests.lab.playbook import PlaybookResult, run_playbook

MODULE = "winpki.scep.event_info"
TIME = datetime(2026, 11, 20, 8, 1, 0, 123456, tzinfo=timezone.utc)
NDES = "https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe"
HOSTILE = (
    "<script>alert(1)</script> {{ lookup('pipe', 'id') }} {% raw %} $(hostname) `n \"' =cmd|'/c calc'!A0\r\n\r\n\t"
    "\x01\x1b[31m\x7f\x85\u2028\u202e Ж 証明書 😀 end\r\n"
)


def play(*tasks: dict[str, Any], hosts: str = "all") -> dict[str, Any]:
    """Run the module once for each of these options; a failure does not end the play."""
    return {
        "name": "Read the events",
        "hosts": hosts,
        "gather_facts": False,
        "tasks": [{"name": f"Task {number}", **task(options)} for number, options in enumerate(tasks)],
    }


def task(options: dict[str, Any]) -> dict[str, Any]:
    """A task with these options of the module; `check_mode` is the task's."""
    given = dict(options)
    keywords = {"check_mode": given.pop("check_mode")} if "check_mode" in given else {}
    return {MODULE: given, "ignore_errors": True, **keywords}


def results(done: PlaybookResult, host: str) -> list[dict[str, Any]]:
    return [one.result for one in done.results if one.host == host and one.action == MODULE]


def ids(result: dict[str, Any]) -> list[int]:
    return [event["record_id"] for event in result["events"]]


def hours_ago(*events: tuple[int, float]) -> list[Event]:
    """Events: record id, and how long ago."""
    now = datetime.now(timezone.utc)
    return [event86(record, now - timedelta(hours=hours)) for record, hours in events]


@pytest.fixture(scope="module")
def fleet(lab: Lab) -> Fleet:
    """Hosts of every kind, one of them down."""
    client = lab.host("CLIENT1", [event86(7, TIME, context="INTRA\\rudi"), event87(8, TIME), event88(9, TIME)])
    write_log_file(client.folder, "C:\\Logs\\old.evtx", [event86(3, TIME)])
    write_log(client.folder, [event86(1, TIME)], log="Denied", config=LogConfig(access_denied=True))
    collector = lab.host("WEC1")
    received = [event86(71, TIME, computer="pc7.example"), event86(5, TIME, computer="pc1.example", named=False)]
    write_log(collector.folder, [forwarded(e, n) for n, e in enumerate(received, 1)], log="ForwardedEvents")
    return lab.start(
        client,
        collector,
        lab.host("TOKYO", hours_ago((1, 5), (2, 4), (3, 3), (4, 1)), time_zone="Asia/Tokyo", clock_seconds=-7200),
        lab.host("BERLIN", [event86(1, TIME)], language="de-DE", time_zone="Europe/Berlin"),
        lab.host("EMPTY", config=LogConfig(enabled=False)),
        lab.host("BROKEN", [event86(1, TIME)] * 3, config=LogConfig(read_error=(1, 15011))),
        lab.down("GONE"),
    )


def test_check_run_again_check(fleet: Fleet) -> None:
    """Nothing is ever changed, and check mode reads as well."""
    modes = [{"check_mode": True}, {"check_mode": False}, {"check_mode": False}, {"check_mode": True}]
    done = run_playbook([play(*modes, hosts="CLIENT1")], fleet.inventory_path)
    found = results(done, "CLIENT1")
    assert [result["changed"] for result in found] == [False] * 4
    assert [ids(result) for result in found] == [[7, 8, 9]] * 4
    assert all(result["events"] == found[0]["events"] and result["log"] == found[0]["log"] for result in found)


def test_every_kind_of_host_in_one_run(fleet: Fleet) -> None:
    done = run_playbook([play({"include_message": True})], fleet.inventory_path, forks=3)
    assert {one.host: one.status for one in done.results} == {
        "CLIENT1": "ok",
        "WEC1": "ok",
        "TOKYO": "ok",
        "BERLIN": "ok",
        "EMPTY": "ok",
        "BROKEN": "failed",
        "GONE": "unreachable",
    }
    assert done.of("EMPTY").result["log"]["enabled"] is False
    assert (done.of("EMPTY").result["events"], done.of("EMPTY").result["log"]["record_count"]) == ([], 0)
    assert done.of("BERLIN").result["events"][0]["message"].startswith("Fehler bei der Initialisierung der SCEP-")
    assert done.of("BERLIN").result["events"][0]["time_created"] == "2026-11-20T08:01:00.1234560Z"
    assert done.of("BROKEN").result["msg"].startswith("log_name: 'Application' was cleared or rolled over each time ")
    assert "Connection refused" in done.of("GONE").result["msg"]
    assert "host" not in done.of("GONE").result


def test_options(fleet: Fleet) -> None:
    """One play, since a run of Ansible takes longer than the module."""
    old = "C:\\Logs\\old.evtx"
    done = run_playbook(
        [
            play(
                {"since": "yesterday"},
                {"log_name": "Aplication"},
                {"log_name": "Denied"},
                {"log_name": "ForwardedEvents", "after_record_id": 5},
                {"path": "C:\\Logs\\none.evtx"},
                {"path": old, "log_name": "Application"},
                {"path": old},
                {"since": datetime(2026, 11, 20, 9, 1, tzinfo=timezone(timedelta(hours=1)))},
                {"since": date(2026, 11, 21)},
                {"after_record_id": "8", "event_ids": "87,88", "max_events": 5, "group": "yes"},
                {"max_events": 2},
                hosts="CLIENT1",
            )
        ],
        fleet.inventory_path,
    )
    found = results(done, "CLIENT1")
    starts = [
        "since: 'yesterday' is neither a duration, such as 90m, 24h, 7d or PT24H, nor an ISO 8601 time, such as ",
        "log_name: this host has no event log 'Aplication'; give the log's full name, ",
        "log_name: no right to read 'Denied'; the account needs to be a member of the group Event Log Readers ",
        "after_record_id: not possible for ForwardedEvents, because forwarded events keep the record ids of the hosts ",
        "path: this host has no log file 'C:\\Logs\\none.evtx'; give the whole path of an .evtx file on the host ",
        "parameters are mutually exclusive: log_name, path",
    ]
    messages = [result["msg"] for result in found[:6]]
    assert [message.startswith(start) for message, start in zip(messages, starts, strict=True)] == [True] * 6, messages
    assert [ids(result) for result in found[6:]] == [[3], [7, 8, 9], [], [9], [8, 9]]
    assert [result["truncated"] for result in found[6:]] == [False, False, False, False, True]
    assert found[9]["events"][0]["count"] == 1


def test_collector(fleet: Fleet) -> None:
    options = {"log_name": "ForwardedEvents", "computers": ["PC1", "pc7.example"], "since": "2026-11-20"}
    done = run_playbook([play(options, hosts="WEC1")], fleet.inventory_path)
    [result] = results(done, "WEC1")
    assert [(event["record_id"], event["computer"]) for event in result["events"]] == [
        (71, "pc7.example"),
        (5, "pc1.example"),
    ]
    assert result["events"][1]["values"][:2] == ["WORKGROUP\\CLIENT1$", NDES]
    assert result["last_record_id"] is None


def test_clock_time_zone_and_start_of_a_host(fleet: Fleet) -> None:
    """The clock of TOKYO is two hours behind: its `since` is by its own clock, and the difference is measured."""
    done = run_playbook([play({"since": "150m"}, hosts="TOKYO:EMPTY")], fleet.inventory_path)
    [result] = results(done, "TOKYO")
    # By the host's clock they are two hours old, one hour old, and one hour in the future.
    assert ids(result) == [2, 3, 4]
    host = result["host"]
    assert host["name"] == "TOKYO"
    error = host["round_trip_seconds"] / 2
    assert 0 < host["round_trip_seconds"] < 60
    assert -7200 - error <= host["clock_skew_seconds"] <= -7200 + error
    started = datetime.fromisoformat(host["start_time"][:26] + "+00:00")
    assert abs(datetime.now(timezone.utc) - timedelta(hours=26) - started) < timedelta(minutes=10)
    same = results(done, "EMPTY")[0]["host"]
    assert abs(same["clock_skew_seconds"]) <= same["round_trip_seconds"] / 2


def test_hostile_text_reaches_the_next_task_unchanged(lab: Lab) -> None:
    """Neither the host's PowerShell nor Ansible's templating touches it, in a later task either."""
    events = [
        event86(1, TIME, context=HOSTILE, url=HOSTILE, message_text=HOSTILE),
        event86(2, TIME, context=HOSTILE, named=False),
        event86(3, TIME, context="a\ud800b"),
    ]
    fleet = lab.start(lab.host("CLIENT1", events))
    read = {"name": "Read", MODULE: {"include_message": True}, "register": "found"}
    use = {
        "name": "Use",
        "ansible.builtin.set_fact": {"texts": "{{ found.events | map(attribute='data.Context', default='') | list }}"},
    }
    show = {"name": "Show", "ansible.builtin.debug": {"var": "texts"}}
    done = run_playbook(
        [{"name": "Read", "hosts": "all", "gather_facts": False, "tasks": [read, use, show]}], fleet.inventory_path
    )
    assert done.exit_code == 0, done.stdout
    first, second, third = done.of("CLIENT1", "Read").result["events"]
    assert [first["data"][key] for key in ("Context", "Url", "MessageText")] == [HOSTILE] * 3
    assert second["values"][0] == HOSTILE
    assert third["data"]["Context"] == "a\ufffdb"
    assert first["message"].startswith(f"SCEP Certificate enrollment initialization for {HOSTILE} via {HOSTILE} ")
    assert done.of("CLIENT1", "Show").result["texts"] == [HOSTILE, "", "a\ufffdb"]


def test_a_hundred_thousand_events(lab: Lab) -> None:
    """Of which 1,000 are enrolment failures, of 50 kinds."""
    now = datetime.now(timezone.utc)
    events = [event86(0, now, message_text=f"GetCACaps {n % 50}", method=f"GET({n}ms)") for n in range(1000)]
    host = lab.host("CLIENT1", interleaved(100_000, now, events, span=timedelta(days=30)))
    done = run_playbook([play({}, {"group": True}, {"max_events": 10})], lab.start(host).inventory_path)
    everything, folded, newest = results(done, "CLIENT1")
    assert len(everything["events"]) == 1000
    assert everything["log"]["record_count"] == 100_000
    assert ids(everything) == sorted(ids(everything))
    assert [event["count"] for event in folded["events"]] == [20] * 50
    assert newest["events"] == everything["events"][-10:]
    assert [result["truncated"] for result in (everything, folded, newest)] == [False, False, True]
