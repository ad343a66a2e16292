# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins what was read from the hosts into one report; report_text and report_files show it. Shape: docs/report.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, cast

from ansible_collections.winpki.scep.plugins.plugin_utils.cause import (
    SUCCESS,
    Finding,
    HostInfo,
    Rules,
    classify_events,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.event import Event, RawEvent, parse_events
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import HostEvidence
from ansible_collections.winpki.scep.plugins.plugin_utils.report_input import (
    FileRow,
    HostRow,
    host_row,
    own_events,
    taken_evidence,
)

SCHEMA = 1


class CauseRow(TypedDict):
    """All findings of one cause. ``open_*`` counts those that nothing has ended; ``*events`` counts failures."""

    cause: str
    certainty: str
    summary: str
    advice: str
    references: list[str]
    roles: list[str]
    findings: int
    hosts: int
    events: int
    open_findings: int
    open_hosts: int
    open_events: int
    last_seen: str | None


class Summary(TypedDict):
    """Totals of findings; ``hosts`` counts hosts with a finding, ``open_hosts`` those with an open one."""

    findings: int
    open: int
    resolved: int
    transient: int
    hosts: int
    open_hosts: int
    events: int
    open_events: int
    unknown_events: int
    causes: list[CauseRow]


class Query(TypedDict):
    """What was asked for, null where it is not known."""

    source: Literal["hosts", "files"]
    since: str | None


class Report(TypedDict):
    """One triage: findings.json holds exactly this.

    Attributes:
        schema: version of this shape; it rises when a key changes its meaning or goes.
        generator: the collection and its version.
        generated: ISO 8601 UTC.
        successes: number of successful enrolments (event 88) that were read.
        duplicates: number of failures that came again from another source, and are left out of the findings.
        evidence: what evidence_info found, by inventory name; only of hosts that were asked for it.
    """

    schema: int
    generator: str
    generated: str
    query: Query
    summary: Summary
    successes: int
    duplicates: int
    hosts: list[HostRow]
    files: list[FileRow]
    findings: list[Finding]
    evidence: dict[str, HostEvidence]


_CERTAINTY = ("possible", "likely", "proven")


def summarize_findings(findings: Iterable[Finding]) -> Summary:
    """Returns the totals of ``findings``; causes with the most hosts that still fail come first."""
    found = list(findings)
    by_cause: dict[str, list[Finding]] = {}
    for finding in found:
        by_cause.setdefault(finding["cause"], []).append(finding)
    unsolved = [finding for finding in found if finding["state"] == "open"]
    causes = [_cause_row(cause, members) for cause, members in by_cause.items()]
    causes.sort(key=lambda row: (-row["open_hosts"], -row["open_events"], -row["events"], row["cause"]))
    return {
        "findings": len(found),
        "open": len(unsolved),
        "resolved": sum(finding["state"] == "resolved" for finding in found),
        "transient": sum(finding["state"] == "transient" for finding in found),
        "hosts": _hosts(found),
        "open_hosts": _hosts(unsolved),
        "events": _events(found),
        "open_events": _events(unsolved),
        "unknown_events": _events(by_cause.get("unknown", [])),
        "causes": causes,
    }


def _cause_row(cause: str, findings: list[Finding]) -> CauseRow:
    unsolved = [finding for finding in findings if finding["state"] == "open"]
    # Where findings of one cause differ, the weakest certainty is the honest one.
    weakest = min(findings, key=lambda finding: _CERTAINTY.index(finding["certainty"]))
    return {
        "cause": cause,
        "certainty": weakest["certainty"],
        "summary": weakest["summary"],
        "advice": weakest["advice"],
        "references": list(weakest["references"]),
        "roles": [remedy["role"] for remedy in weakest["remedies"]],
        "findings": len(findings),
        "hosts": _hosts(findings),
        "events": _events(findings),
        "open_findings": len(unsolved),
        "open_hosts": _hosts(unsolved),
        "open_events": _events(unsolved),
        "last_seen": max((finding["last_seen"] for finding in findings if finding["last_seen"]), default=None),
    }


def _hosts(findings: Iterable[Finding]) -> int:
    return len({finding["host"] for finding in findings})


def _events(findings: Iterable[Finding]) -> int:
    return sum(finding["count"] for finding in findings)


def build_report(
    *,
    results: Mapping[str, Mapping[str, Any] | None],
    evidence: Mapping[str, Mapping[str, Any] | None] | None = None,
    files: Sequence[tuple[FileRow, Sequence[RawEvent]]] = (),
    rules: Rules,
    since: str | None = None,
    generator: str,
    now: datetime,
) -> Report:
    """Returns the report on what event_info returned for each host, or on exported logs.

    Args:
        results: inventory name to the registered result of event_info, None where there is none.
        evidence: the same of evidence_info.
        files: the exported logs and their events.
        rules: compiled by load_rules.
        since: what the hosts were asked for, only to be shown.
        generator: the collection and its version.
        now: the time of this report, UTC.
    """
    rows = [host_row(name, results[name]) for name in sorted(results, key=lambda name: (name.casefold(), name))]
    raw: list[RawEvent] = []
    names: dict[str, HostInfo] = {}
    for row in rows:
        result = results[row["host"]]
        if row["log"] is not None and result is not None:
            names[row["host"]] = cast("HostInfo", result.get("host") or {})
            raw += own_events(row, result["events"])
    for item in files:
        raw += item[1]
    parsed = parse_events(raw)
    found = {row["host"]: taken for row in rows if (taken := taken_evidence(row, (evidence or {}).get(row["host"])))}
    findings = classify_events(parsed, rules, names, found)
    findings.sort(key=lambda finding: ((finding["host"] or "").casefold(), finding["cause"], finding["key"]))
    failures = sum(event["count"] for event in parsed if event["event_id"] != SUCCESS)
    successes = {_identity(event) for event in parsed if event["event_id"] == SUCCESS}
    return {
        "schema": SCHEMA,
        "generator": generator,
        "generated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "query": {"source": "files" if files else "hosts", "since": since},
        "summary": summarize_findings(findings),
        "successes": len(successes),
        "duplicates": failures - _events(findings),
        "hosts": rows,
        "files": [item[0] for item in files],
        "findings": findings,
        "evidence": found,
    }


def _identity(event: Event) -> tuple[object, ...]:
    return event.get("host") or event["computer"], event["record_id"], (event["time_created"] or "")[:23]


def anything_read(report: Report) -> bool:
    """Says whether at least one log could be read, of a host or exported."""
    return any(row["log"] is not None for row in report["hosts"]) or any(
        row["status"] != "failed" for row in report["files"]
    )
