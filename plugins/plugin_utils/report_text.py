# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of a triage: what was looked at, what was found, what to do next. Nothing is claimed that was not seen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from ansible_collections.winpki.scep.plugins.plugin_utils.cause import Finding
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import Endpoint, parse_endpoint
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import EndpointEvidence
from ansible_collections.winpki.scep.plugins.plugin_utils.report import Report, anything_read
from ansible_collections.winpki.scep.plugins.plugin_utils.report_input import HostRow, HostStatus
from ansible_collections.winpki.scep.plugins.plugin_utils.text_layout import (
    cut,
    plural,
    short_time,
    squeeze,
    table,
    visible,
    wrap,
)

WIDTH = 100
_ROWS = 10
_REASON = 140
_DEFAULT_PORTS = {"http": 80, "https": 443}


def render(report: Report, written: Sequence[str]) -> str:
    """Returns the screen of ``report``: lines of at most WIDTH columns, without control characters.

    Args:
        report: what build_report returned.
        written: where the files are, or a sentence on why there are none; one line each, however long, to be copied.
    """
    sections = [
        _head(report),
        _section("Not read", _not_read(report)),
        _section("Bear in mind", _reservations(report)),
        _section("Causes of what still fails", _causes(report)),
        _section("Probed from the hosts", _probed(report)),
        _section("Loudest", _loudest(report)),
        _section("What to do next", _advice(report)),
        _section("Files", [visible(line) for line in written]),
    ]
    return "\n".join(line for section in sections for line in section).rstrip()


def _section(title: str, lines: Iterable[str]) -> list[str]:
    body = [f"  {line}".rstrip() for line in lines]
    return [title, *body, ""] if body else []


def _head(report: Report) -> list[str]:
    title = "SCEP enrolment triage"
    stamp = f"{short_time(report['generated'])} UTC"
    looked = _looked_at_files(report) if report["query"]["source"] == "files" else _looked_at_hosts(report)
    lines = [f"{title}{stamp:>{WIDTH - len(title)}}", "=" * WIDTH]
    for label, sentences in (("Looked at", looked), ("Found", _found(report))):
        wrapped = [line for sentence in sentences for line in wrap(sentence, WIDTH - 11)]
        lines += [f"{'' if number else label:<11}{line}" for number, line in enumerate(wrapped)]
    return [*lines, ""]


def _looked_at_hosts(report: Report) -> list[str]:
    rows = report["hosts"]
    status = Counter(row["status"] for row in rows)
    logs = sorted({str(row["log"]["name"]) for row in rows if row["log"] and row["log"].get("name")})
    since = report["query"]["since"]
    parts = [plural(len(rows), "host")]
    if logs:
        parts.append(f"log {' and '.join(logs)}")
    if not since:
        parts.append("as far back as the logs go")
    else:
        parts.append(f"since {since}" if re.match(r"\d{4}-", since) else f"the last {since}")
    read = status["ok"] + status["quiet"]
    counts = [f"{read} read" + (f" ({status['quiet']} without an enrolment event)" if status["quiet"] else "")]
    counts += [f"{status[key]} {label}" for key, label in _UNREAD.items() if status[key]]
    return [", ".join(parts), ", ".join(counts)]


_UNREAD: dict[HostStatus, str] = {"unreachable": "unreachable", "failed": "failed", "not_read": "not asked"}


def _looked_at_files(report: Report) -> list[str]:
    rows = report["files"]
    failed = sum(row["status"] == "failed" for row in rows)
    damaged = sum(row["status"] != "failed" and bool(row["problems"]) for row in rows)
    parts = [plural(len(rows), "exported log"), plural(sum(row["events"] for row in rows), "enrolment event")]
    parts += [f"{count} {label}" for count, label in ((failed, "not read"), (damaged, "not read in full")) if count]
    return [", ".join(parts)]


def _found(report: Report) -> list[str]:
    summary = report["summary"]
    if not anything_read(report):
        return ["nothing: no event log could be read, so nothing is known"]
    if not summary["findings"]:
        where = "in the exported logs" if report["files"] else "on the hosts that were read"
        lines = [f"no enrolment failure {where}"]
    else:
        still = f"{plural(summary['open'], 'failure')} on {plural(summary['open_hosts'], 'host')}"
        lines = [
            f"{still} still open, {plural(summary['open_events'], 'event')}" if summary["open"] else "nothing open"
        ]
        if summary["resolved"]:
            lines[0] += f"; {summary['resolved']} resolved by a later success"
        if summary["transient"]:
            lines[0] += f"; {summary['transient']} only at the start of the host"
    if report["successes"]:
        lines.append(f"{plural(report['successes'], 'success', 'successes')} (event 88)")
    if summary["unknown_events"]:
        lines.append(f"{plural(summary['unknown_events'], 'event')} of no known cause, kept with all their text")
    if report["duplicates"]:
        lines.append(f"{plural(report['duplicates'], 'event')} came twice and counts once")
    return lines


def _not_read(report: Report) -> list[str]:
    rows = [row for row in report["hosts"] if row["status"] in _UNREAD]
    unread = [(row["host"], _UNREAD[row["status"]], _reason(row)) for row in rows]
    for file in report["files"]:
        if file["status"] == "failed":
            unread += [(file["path"], "failed", squeeze(problem, _REASON)) for problem in file["problems"]]
    return _listed(unread[:_ROWS], len(unread))


def _reason(row: HostRow) -> str:
    """Returns the reason in short: a connection's error says at its end what happened, a module's at its beginning."""
    reason = visible(" ".join((row["reason"] or "").split()))
    return (squeeze if row["status"] == "unreachable" else cut)(reason, _REASON)


def _reservations(report: Report) -> list[str]:
    limits = [(row["host"], squeeze(limit, _REASON)) for row in report["hosts"] for limit in row["limits"]]
    for file in report["files"]:
        if file["status"] != "failed":
            limits += [(file["path"], squeeze(problem, _REASON)) for problem in file["problems"]]
    return _listed(limits[:_ROWS], len(limits))


def _listed(rows: Sequence[Sequence[str]], total: int) -> list[str]:
    if not rows:
        return []
    lines = table([""] * len(rows[0]), rows, WIDTH - 2, shrink=(0,))[1:]
    return lines if total <= len(rows) else [*lines, f"and {total - len(rows):,} more: findings.json has them all"]


def _causes(report: Report) -> list[str]:
    rows = [
        (f"{row['open_hosts']:,}", f"{row['open_events']:,}", row["certainty"], row["cause"], row["summary"])
        for row in report["summary"]["causes"]
        if row["open_findings"]
    ]
    header = ("hosts", "events", "certainty", "cause", "what it is")
    return table(header, rows, WIDTH - 2, right=(0, 1), shrink=(3,)) if rows else []


def _probed(report: Report) -> list[str]:
    """Returns what the hosts met at each server, the outcome that most of them had first."""
    outcomes: dict[tuple[str, str], list[EndpointEvidence]] = {}
    for evidence in report["evidence"].values():
        for probe in evidence.get("endpoints") or []:
            outcome = "answers" if probe["ok"] else probe["failure"] or "failed"
            outcomes.setdefault((server(parse_endpoint(probe["url"])), outcome), []).append(probe)
    most = sorted(outcomes.items(), key=lambda item: (-len(item[1]), item[0]))
    rows = [
        (f"{len(probes):,}", where, outcome, squeeze(probes[0].get("detail") or "", _REASON))
        for (where, outcome), probes in most[:_ROWS]
    ]
    if not rows:
        return []
    lines = table(("hosts", "server", "outcome", "what that host met"), rows, WIDTH - 2, right=(0,), shrink=(1,))
    return lines if len(most) <= _ROWS else [*lines, f"and {len(most) - _ROWS:,} more: findings.json has them all"]


def _loudest(report: Report) -> list[str]:
    still = [finding for finding in report["findings"] if finding["state"] == "open"]
    still.sort(key=lambda finding: (-finding["count"], finding["host"] or "", finding["cause"], finding["key"]))
    rows = [_loud_row(finding) for finding in still[:_ROWS]]
    header = ("host", "cause", "server", "events", "last seen (UTC)")
    if not rows:
        return []
    lines = table(header, rows, WIDTH - 2, right=(3,), shrink=(2, 0, 1, 4))
    return lines if len(still) <= _ROWS else [*lines, f"and {len(still) - _ROWS:,} more: findings.csv has them all"]


def _loud_row(finding: Finding) -> tuple[str, ...]:
    return (
        finding["host"] or "-",
        finding["cause"],
        server(finding["endpoint"]),
        f"{finding['count']:,}",
        short_time(finding["last_seen"]),
    )


def server(endpoint: Endpoint | None) -> str:
    """Returns the server in short: ``host:port`` without a default port, an AIK service as ``AIK IFX 18b1af70``."""
    if endpoint is None or not endpoint["host"]:
        return "-"
    if endpoint["kind"] == "aik":
        return f"AIK {endpoint['tpm_vendor']} {(endpoint['key_id'] or '')[:8]}"
    port = endpoint["port"]
    return (
        endpoint["host"]
        if port in (None, _DEFAULT_PORTS.get(endpoint["scheme"] or ""))
        else f"{endpoint['host']}:{port}"
    )


def _advice(report: Report) -> list[str]:
    lines = []
    for row in report["summary"]["causes"]:
        if row["open_findings"] and row["advice"]:
            lines.append(f"{visible(row['cause'])} ({plural(row['open_hosts'], 'host')})")
            lines += [f"  {line}" for line in wrap(row["advice"], WIDTH - 4)]
    if report["summary"]["open"] and not report["successes"]:
        lines += [""] * bool(lines) + wrap(_NO_SUCCESSES, WIDTH - 2)
    return lines


_NO_SUCCESSES = (
    "Windows does not log successes (event 88) unless it is told to, so a failure counts as open until one is seen: "
    "look at when it was last seen."
)
