"""What was read from hosts and files, joined to one report."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.report import (
    Report,
    build_report,
    summarize_findings,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.report_input import host_row

from tests.unit.report_data import RULES, file_row, finding, raw_event, result, success

NOW = datetime(2026, 11, 24, 14, 20, 30, 123456, tzinfo=timezone.utc)
NOT_FOUND = {"ErrorCode": "Not found (404). 0x80190194 (-2145844844 HTTP_E_STATUS_NOT_FOUND)"}


def report(results: dict[str, Any], **changes: Any) -> Report:
    """The report on ``results``, with the rules of these tests."""
    return build_report(
        results=results, rules=load_rules(RULES), generator="winpki.scep 0.0.1", now=NOW, **{"since": "7d", **changes}
    )


@pytest.mark.parametrize(
    ("registered", "status", "reason"),
    [
        (None, "not_read", "an earlier task failed on it, so it was not asked"),
        ({"skipped": True}, "not_read", "the reading of its events was skipped"),
        ({"unreachable": True, "msg": " timed out\n"}, "unreachable", "timed out"),
        ({"failed": True, "msg": "Task failed: Module failed: Task is full"}, "failed", "Task is full"),
        ({"failed": True, "msg": "log_name: no such log"}, "failed", "log_name: no such log"),
        ({"failed": True}, "failed", "no reason was given"),
        ({"failed": True, "events": [], "log": {"name": "x"}, "msg": "denied"}, "failed", "denied"),
        ({"stdout": "x"}, "failed", "its result holds no events: it is not one of event_info"),
        (result(), "quiet", None),
        (result(raw_event()), "ok", None),
    ],
)
def test_host_status(registered: dict[str, Any] | None, status: str, reason: str | None) -> None:
    """Each host is there with what became of it; only one that was read has a log."""
    row = host_row("client1", registered)
    assert (row["host"], row["status"], row["reason"]) == ("client1", status, reason)
    assert (row["log"] is not None) == (status in ("ok", "quiet"))


def test_host_row_whole() -> None:
    """Folded events count as many as they stand for."""
    assert host_row("c1", result(raw_event(count=7), raw_event(2), log={"size": 69632})) == {
        "host": "c1",
        "status": "ok",
        "reason": None,
        "limits": [],
        "events": 8,
        "computer": "CLIENT1",
        "log": {
            "name": "Application",
            "exists": True,
            "enabled": True,
            "rolled_over": False,
            "oldest_time": "2026-11-01T00:00:00.0000000Z",
            "size": 69632,
        },
        "clock_skew_seconds": 0.2,
    }


@pytest.mark.parametrize(
    ("changes", "limits"),
    [
        ({"log": {"enabled": False}}, ["the log Application is disabled: new events are not written"]),
        (
            {"log": {"rolled_over": True}},
            ["the log Application rolled over: what came before its oldest event of 2026-11-01 00:00 UTC is lost"],
        ),
        (
            {"log": {"rolled_over": True, "oldest_time": None}},
            ["the log Application rolled over: what came before its oldest event is lost"],
        ),
        ({"log": {"rolled_over": None, "enabled": None}}, []),
        (
            {"truncated": True},
            ["there are more events than were asked for or could be read: only the newest are here"],
        ),
        (
            {"host": {"clock_skew_seconds": -150.0, "round_trip_seconds": 50.0}},
            ["its clock is 2 minutes 30 seconds behind the controller's: its times are off by that much"],
        ),
        ({"host": {"clock_skew_seconds": -150.0, "round_trip_seconds": 60.0}}, []),
        ({"warnings": ["log_name: a record is damaged"]}, ["log_name: a record is damaged"]),
    ],
)
def test_limits(changes: dict[str, Any], limits: list[str]) -> None:
    """What a log could not show is said, unless it is not known."""
    assert host_row("client1", result(**changes))["limits"] == limits


def test_report_joins_hosts() -> None:
    """Two hosts with one cause, one with another, one down, one that nobody asked."""
    joined = report(
        {
            "win-b": result(raw_event(computer="B"), raw_event(2, "B", data=NOT_FOUND, count=3), name="B"),
            "win-A": result(raw_event(computer="A.intra.example"), name="A.intra.example"),
            "win-c": result(name="C"),
            "win-d": {"unreachable": True, "msg": "down"},
            "win-e": None,
        }
    )
    assert [(row["host"], row["status"], row["events"]) for row in joined["hosts"]] == [
        ("win-A", "ok", 1),
        ("win-b", "ok", 4),
        ("win-c", "quiet", 0),
        ("win-d", "unreachable", 0),
        ("win-e", "not_read", 0),
    ]
    assert [(item["host"], item["computer"], item["cause"], item["count"]) for item in joined["findings"]] == [
        ("win-A", "A.intra.example", "tls", 1),
        ("win-b", "B", "not_found", 3),
        ("win-b", "B", "tls", 1),
    ]
    assert {key: joined[key] for key in ("schema", "generator", "generated", "query", "successes", "duplicates")} == {
        "schema": 1,
        "generator": "winpki.scep 0.0.1",
        "generated": "2026-11-24T14:20:30Z",
        "query": {"source": "hosts", "since": "7d"},
        "successes": 0,
        "duplicates": 0,
    }
    assert joined["files"] == []
    assert joined["summary"] == summarize_findings(joined["findings"])


def test_hosts_of_one_name_are_kept_apart() -> None:
    """Two inventory hosts that were cloned have one computer name, and yet each its own events."""
    joined = report({"a": result(raw_event(), name="CLONE"), "b": result(raw_event(), name="CLONE")})
    assert [(item["host"], item["count"]) for item in joined["findings"]] == [("a", 1), ("b", 1)]


def test_a_renamed_host_keeps_its_events() -> None:
    """In its own log a host finds events from before it got its name."""
    joined = report({"pc7": result(raw_event(computer="WIN-9K2J"), raw_event(2, "PC7"), name="PC7")})
    assert [(item["host"], item["count"]) for item in joined["findings"]] == [("pc7", 2)]


def test_forwarded_events_belong_to_their_sources() -> None:
    """A collector's log holds others' events: of a host of the play, and of one that is none."""
    forwarded = [raw_event(1, "PC1.intra.example"), raw_event(1, "PC2", count=4)]
    collector = result(*forwarded, name="WEC", log={"name": "ForwardedEvents"})
    joined = report({"wec": collector, "pc1": result(name="PC1")})
    assert [(item["host"], item["computer"], item["count"]) for item in joined["findings"]] == [
        ("pc1", "PC1.intra.example", 1),
        ("PC2", "PC2", 4),
    ]
    assert [(row["host"], row["status"]) for row in joined["hosts"]] == [("pc1", "quiet"), ("wec", "ok")]


def test_a_collectors_copy_counts_once() -> None:
    """The same event from the host and from the collector."""
    own = raw_event(5, "PC1", time_created="2026-11-24T10:00:00.1234567Z")
    copy = raw_event(5, "PC1", time_created="2026-11-24T10:00:00.1234560Z")
    joined = report({"pc1": result(own, name="PC1"), "wec": result(copy, name="WEC", log={"name": "ForwardedEvents"})})
    assert [(item["host"], item["count"]) for item in joined["findings"]] == [("pc1", 1)]
    assert joined["duplicates"] == 1


def test_successes() -> None:
    """A later success resolves, and each is counted once."""
    later = success(3, "2026-11-24T11:00:00.0000000Z")
    joined = report({"client1": result(raw_event(), later, dict(later))})
    assert joined["successes"] == 1
    assert [(item["state"], item["count"]) for item in joined["findings"]] == [("resolved", 1)]


def test_files() -> None:
    """Exported logs give findings by computer; overlapping ones count once."""
    rows = [
        (file_row("/logs/a.evtx", 2, "chunk 3: checksum"), [raw_event(1), raw_event(2)]),
        (file_row("/logs/b.xml", 1), [raw_event(2)]),
    ]
    joined = report({}, files=rows, since=None)
    assert joined["query"] == {"source": "files", "since": None}
    assert joined["files"] == [row for row, _events in rows]
    assert [(item["host"], item["count"]) for item in joined["findings"]] == [("CLIENT1", 2)]
    assert joined["duplicates"] == 1


def test_successes_of_files() -> None:
    """An exported log's events name no host of the inventory; the same success in two files counts once."""
    events = [raw_event(1), success(3, "2026-11-24T11:00:00.0000000Z")]
    rows = [(file_row("/logs/a.evtx", 2), events), (file_row("/logs/b.evtx", 1), events[1:])]
    joined = report({}, files=rows)
    assert joined["successes"] == 1
    assert [(item["host"], item["state"]) for item in joined["findings"]] == [("CLIENT1", "resolved")]


def test_hostile_text_stays_as_it_is() -> None:
    """The report itself changes nothing."""
    text = "{{ 7 * 7 }} \x1b[31m =cmd|' /C calc'!A0 \r\n\u202e $(whoami)"
    joined = report({"h": result(raw_event(data={"MessageText": text}))})
    assert joined["findings"][0]["message"] == text


def test_summary() -> None:
    """Totals, and causes with the most hosts that still fail first."""
    summary = summarize_findings(
        [
            finding(host="a", count=5, cause="quiet_cause"),
            finding(host="b", count=2, certainty="proven", last_seen="2026-11-24T08:00:00.0000000Z"),
            finding(host="c", count=1, references=["https://x.example/"]),
            finding(host="a", count=10, state="resolved"),
            finding(host="d", count=3, state="transient"),
            finding(host=None, count=4, cause="unknown", last_seen=None, state="resolved"),
        ]
    )
    causes = summary["causes"]
    assert {key: value for key, value in summary.items() if key != "causes"} == {
        "findings": 6,
        "open": 3,
        "resolved": 2,
        "transient": 1,
        "hosts": 5,
        "open_hosts": 3,
        "events": 25,
        "open_events": 8,
        "unknown_events": 4,
    }
    assert [(row["cause"], row["open_hosts"]) for row in causes] == [
        ("tls_failure", 2),
        ("quiet_cause", 1),
        ("unknown", 0),
    ]
    assert causes[0] == {
        "cause": "tls_failure",
        "certainty": "possible",
        "summary": "The TLS connection failed.",
        "advice": "Probe the server.",
        "references": ["https://x.example/"],
        "roles": [],
        "findings": 4,
        "hosts": 4,
        "events": 16,
        "open_findings": 2,
        "open_hosts": 2,
        "open_events": 3,
        "last_seen": "2026-11-24T10:00:00.0000000Z",
    }
    assert causes[2]["last_seen"] is None


def test_summary_of_nothing() -> None:
    """Zeros, not errors."""
    summary = summarize_findings([])
    assert (summary["findings"], summary["open"], summary["causes"]) == (0, 0, [])
