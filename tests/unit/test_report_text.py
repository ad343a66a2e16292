"""The screen, as it is printed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Literal, cast

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import Endpoint
from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent
from ansible_collections.winpki.scep.plugins.plugin_utils.report import Report, build_report, summarize_findings
from ansible_collections.winpki.scep.plugins.plugin_utils.report_text import WIDTH, render, server
from ansible_collections.winpki.scep.plugins.plugin_utils.text_layout import cells

from tests.unit.report_data import RULES, file_row, finding, raw_event, result, success

AIK = "https://IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net/templates/Aik/scep"
NOT_FOUND = "Not found (404). 0x80190194 (-2145844844 HTTP_E_STATUS_NOT_FOUND)"
RULER = "=" * 100


def report(results: dict[str, Any], **changes: Any) -> Report:
    """The report on ``results``, with the rules of these tests."""
    return build_report(
        results=results,
        rules=load_rules(RULES),
        generator="winpki.scep 0.0.1",
        now=datetime(2026, 11, 24, 14, 20, tzinfo=timezone.utc),
        **{"since": "7d", **changes},
    )


def fleet() -> dict[str, Any]:
    """Several causes, quiet hosts, and hosts of which not all could be seen."""
    return {
        "client01": result(raw_event(count=120), name="CLIENT01"),
        "client02": result(raw_event(count=3, time_created="2026-11-23T22:10:00.0000000Z"), name="CLIENT02"),
        "client03": result(raw_event(data={"Url": AIK, "ErrorCode": NOT_FOUND}, count=1234), name="CLIENT03"),
        "client04": result(raw_event(), success(2, "2026-11-24T11:00:00.0000000Z"), name="CLIENT04"),
        "client05": result(name="CLIENT05"),
        "client06": result(name="CLIENT06", log={"rolled_over": True}, host={"clock_skew_seconds": -7200.4}),
        "client07": result(name="CLIENT07", log={"enabled": False}),
        "client08": {"unreachable": True, "msg": "basic: no route to host"},
        "client09": {"failed": True, "msg": "since: 'soon' is no time"},
        "client10": None,
    }


def test_screen_of_a_fleet() -> None:
    """All sections."""
    screen = render(report(fleet()), ["/srv/pki/triage-out/findings.json", "/srv/pki/triage-out/findings.csv"])
    assert screen.splitlines() == [
        "SCEP enrolment triage                                                           2026-11-24 14:20 UTC",
        RULER,
        "Looked at  10 hosts, log Application, the last 7d",
        "           7 read (3 without an enrolment event), 1 unreachable, 1 failed, 1 not asked",
        "Found      3 failures on 3 hosts still open, 1,357 events; 1 resolved by a later success",
        "           1 success (event 88)",
        "",
        "Not read",
        "  client08  unreachable  basic: no route to host",
        "  client09  failed       since: 'soon' is no time",
        "  client10  not asked    an earlier task failed on it, so it was not asked",
        "",
        "Bear in mind",
        "  client06  the log Application rolled over: what came before its oldest event of 2026-11-01 00:00",
        "            UTC is lost",
        "  client06  its clock is 2 hours behind the controller's: its times are off by that much",
        "  client07  the log Application is disabled: new events are not written",
        "",
        "Causes of what still fails",
        "  hosts  events  certainty  cause      what it is",
        "      2     123  likely     tls        The TLS connection failed.",
        "      1   1,234  proven     not_found  The server has no such page.",
        "",
        "Loudest",
        "  host      cause      server                     events  last seen (UTC)",
        "  client03  not_found  AIK IFX 18b1af70            1,234  2026-11-24 10:00",
        "  client01  tls        ndes01.intra.adcslabor.de     120  2026-11-24 10:00",
        "  client02  tls        ndes01.intra.adcslabor.de       3  2026-11-23 22:10",
        "",
        "What to do next",
        "  tls (2 hosts)",
        "    Look at the server's certificate.",
        "  not_found (1 host)",
        "    Correct the URL.",
        "",
        "Files",
        "  /srv/pki/triage-out/findings.json",
        "  /srv/pki/triage-out/findings.csv",
    ]


def test_screen_without_a_failure() -> None:
    """It says what was looked at, and no more than was seen."""
    quiet = {"a": result(name="A"), "b": result(success(2, "2026-11-24T11:00:00.0000000Z"), name="B"), "c": None}
    assert render(report(quiet, since=""), ["nowhere"]).splitlines()[2:] == [
        "Looked at  3 hosts, log Application, as far back as the logs go",
        "           2 read (1 without an enrolment event), 1 not asked",
        "Found      no enrolment failure on the hosts that were read",
        "           1 success (event 88)",
        "",
        "Not read",
        "  c  not asked  an earlier task failed on it, so it was not asked",
        "",
        "Files",
        "  nowhere",
    ]


def test_screen_without_a_log() -> None:
    """Where nothing was read, nothing is claimed."""
    screen = render(report({"a": {"unreachable": True, "msg": "x"}}, since="2026-11-20T08:00:00Z"), [])
    assert screen.splitlines()[2:] == [
        "Looked at  1 host, since 2026-11-20T08:00:00Z",
        "           0 read, 1 unreachable",
        "Found      nothing: no event log could be read, so nothing is known",
        "",
        "Not read",
        "  a  unreachable  x",
    ]


def test_screen_of_files() -> None:
    """Exported logs, one of them damaged, one event in two of them."""
    files = [
        (file_row("/exports/a.evtx", 2, "chunk 3: bad checksum"), [raw_event(), raw_event(2)]),
        (file_row("/exports/b.xml", 1), [raw_event(2)]),
        (file_row("/exports/c.evtx", 0), []),
        ({**file_row("/exports/d", 0, "is no regular file"), "status": "failed"}, []),
    ]
    assert render(report({}, since=None, files=files), ["x"]).splitlines()[2:] == [
        "Looked at  4 exported logs, 3 enrolment events, 1 not read, 1 not read in full",
        "Found      1 failure on 1 host still open, 2 events",
        "           1 event came twice and counts once",
        "",
        "Not read",
        "  /exports/d  failed  is no regular file",
        "",
        "Bear in mind",
        "  /exports/a.evtx  chunk 3: bad checksum",
        "",
        "Causes of what still fails",
        "  hosts  events  certainty  cause  what it is",
        "      1       2  likely     tls    The TLS connection failed.",
        "",
        "Loudest",
        "  host     cause  server                     events  last seen (UTC)",
        "  CLIENT1  tls    ndes01.intra.adcslabor.de       2  2026-11-24 10:00",
        "",
        "What to do next",
        "  tls (1 host)",
        "    Look at the server's certificate.",
        "",
        "  Windows does not log successes (event 88) unless it is told to, so a failure counts as open until",
        "  one is seen: look at when it was last seen.",
        "",
        "Files",
        "  x",
    ]


def test_long_lists_are_cut_and_say_so() -> None:
    """Ten of each; the rest is in the files."""
    hosts: dict[str, Any] = {f"down{number:03}": {"unreachable": True, "msg": "x"} for number in range(1200)}
    hosts |= {f"up{number:02}": result(raw_event(count=100 - number)) for number in range(12)}
    hosts |= {f"full{number:02}": result(truncated=True) for number in range(11)}
    lines = render(report(hosts), []).splitlines()
    assert "  and 1,190 more: findings.json has them all" in lines
    assert "  and 1 more: findings.json has them all" in lines
    assert "  and 2 more: findings.csv has them all" in lines
    loudest = lines[lines.index("Loudest") + 2 :][:10]
    assert [line.split()[0] for line in loudest] == [f"up{number:02}" for number in range(10)]


def test_long_reasons() -> None:
    """Of a connection's error the end matters, of a module's the beginning."""
    words = "begin " + "word " * 40 + "end"
    screen = render(report({"a": {"unreachable": True, "msg": words}, "b": {"failed": True, "msg": words}}), [])
    assert screen.splitlines()[7:] == [
        "  a  unreachable  begin word word word word word word word word ...rd word word word word word word",
        "                  word word word word word word word word word word word end",
        "  b  failed       begin word word word word word word word word word word word word word word word",
        "                  word word word word word word word word word word word w...",
    ]


def test_only_what_is_over() -> None:
    """Resolved and transient failures are no alarm, and get no advice."""
    base = report(fleet())
    findings = [finding(state="resolved"), finding(state="resolved"), finding(state="transient")]
    over: Report = {**base, "hosts": [], "findings": findings, "summary": summarize_findings(findings), "successes": 2}
    over["hosts"] = [row for row in base["hosts"] if row["host"] == "client05"]
    assert render(over, []).splitlines()[2:] == [
        "Looked at  1 host, log Application, the last 7d",
        "           1 read (1 without an enrolment event)",
        "Found      nothing open; 2 resolved by a later success; 1 only at the start of the host",
        "           2 successes (event 88)",
    ]


def test_unknown_events_are_counted() -> None:
    """What no rule explains is said."""
    unknown = report({"a": result(raw_event(data={"ErrorCode": "?", "Url": "ftp://x"}, count=1500))})
    assert "           1,500 events of no known cause, kept with all their text" in render(unknown, []).splitlines()


HOSTILE = "\x1b[2J\u202e\r\n\t\x9b5n\u200b{{ 7 * 7 }} <script> $(calc)"


@pytest.mark.parametrize("name", ["x" * 300, "東京" * 60, HOSTILE, "e" + "\u0301" * 500, ""])
def test_hostile_and_wide_text(name: str) -> None:
    """Whatever an event holds, the screen is text of at most 100 columns; only paths are left whole."""
    rule = {"id": "mine", "when": "`true`", "certainty": "possible", "summary": f"s {name}", "advice": f"a {name}"}
    event = raw_event(
        computer=name, data={"Url": f"https://{name}/certsrv/mscep/x", "MessageText": name, "Context": name}
    )
    collected = build_report(
        results={
            f"ok {name}": result(event, name=name, warnings=[name]),
            f"bad {name}": {"failed": True, "msg": name},
            f"wec {name}": result(event, log={"name": f"Forwarded {name}"}),
        },
        files=[(file_row(f"/x/{name}", 1, f"damage {name}"), [cast(RawEvent, event)])],
        rules=load_rules([rule]),
        since=f"2026-{name}",
        generator="winpki.scep 0.0.1",
        now=datetime(2026, 11, 24, 14, 20, tzinfo=timezone.utc),
    )
    sources: tuple[Literal["hosts", "files"], ...] = ("hosts", "files")
    for source in sources:
        shown: Report = {**collected, "query": {"source": source, "since": collected["query"]["since"]}}
        screen = render(shown, [f"/out/{name}"])
        lines = screen.split("\n")
        assert [line for line in lines if cells(line) > WIDTH and not line.startswith("  /out/")] == []
        assert [line for line in lines if not line.isprintable()] == []


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "ndes01.intra.adcslabor.de"),
        ({"port": 443}, "ndes01.intra.adcslabor.de"),
        ({"port": 80}, "ndes01.intra.adcslabor.de:80"),
        ({"scheme": "http", "port": 80}, "ndes01.intra.adcslabor.de"),
        ({"host": None}, "-"),
        ({"kind": "aik", "tpm_vendor": "IFX", "key_id": "18b1af70b93f9919"}, "AIK IFX 18b1af70"),
    ],
)
def test_server(changes: dict[str, Any], shown: str) -> None:
    """In short."""
    endpoint = finding()["endpoint"]
    assert endpoint is not None
    assert server(cast(Endpoint, {**endpoint, **changes})) == shown
    assert server(None) == "-"
