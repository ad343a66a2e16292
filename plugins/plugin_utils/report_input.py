# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read for a report: the hosts' results of event_info, and exported logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from ansible_collections.winpki.scep.plugins.plugin_utils.clock import clock_difference
from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent
from ansible_collections.winpki.scep.plugins.plugin_utils.event_file import find_logs, read_log
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import EvidenceError, HostEvidence, check_evidence
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import LogFileError
from ansible_collections.winpki.scep.plugins.plugin_utils.text_layout import short_time

HostStatus = Literal["ok", "quiet", "failed", "unreachable", "not_read"]
FileStatus = Literal["ok", "quiet", "failed"]
EVENT_IDS = (86, 87, 88)
# What ansible-core 2.19 puts before the reason.
_PREFIX = re.compile("^(?:(?:Task|Action|Module) failed: )+")


class HostRow(TypedDict):
    """What is known of one inventory host that the play asked.

    Attributes:
        host: inventory name.
        status: ``ok`` its events were read, ``quiet`` its log was read and holds none, ``failed`` or ``unreachable``
            (see reason), ``not_read`` nobody asked it: it was skipped, or had left the play before.
        reason: why it was not read, null for ``ok`` and ``quiet``.
        limits: sentences on what its log could not show (rolled over, disabled, more events than asked for), and why
            evidence is missing.
        events: number of events read, each folded one counted.
        computer: the name that the host itself has.
        log: what event_info returned of the log, null if it was not read.
        clock_skew_seconds: host clock minus controller clock, null if unknown.
    """

    host: str
    status: HostStatus
    reason: str | None
    limits: list[str]
    events: int
    computer: str | None
    log: dict[str, Any] | None
    clock_skew_seconds: float | None


class FileRow(TypedDict):
    """What is known of one exported log.

    Attributes:
        path: as it was found; of one that was not, as it was named.
        status: ``ok`` it has enrolment events, ``quiet`` it was read and has none, ``failed`` nothing of it was read.
        events: number of enrolment events read.
        problems: sentences on what could not be read, or why nothing could.
    """

    path: str
    status: FileStatus
    events: int
    problems: list[str]


def host_row(host: str, result: Mapping[str, Any] | None) -> HostRow:
    """Returns what the registered result of event_info, or its absence, says of ``host``."""
    row: HostRow = {
        "host": host,
        "status": "not_read",
        "reason": None,
        "limits": [],
        "events": 0,
        "computer": None,
        "log": None,
        "clock_skew_seconds": None,
    }
    if result is None:
        row["reason"] = "an earlier task failed on it, so it was not asked"
    elif result.get("unreachable"):
        row["status"], row["reason"] = "unreachable", _reason(result)
    elif result.get("failed"):
        row["status"], row["reason"] = "failed", _reason(result)
    elif result.get("skipped"):
        row["reason"] = "the reading of its events was skipped"
    elif not isinstance(result.get("events"), list):
        row["status"], row["reason"] = "failed", "its result holds no events: it is not one of event_info"
    else:
        _add_reading(row, result)
    return row


def _reason(result: Mapping[str, Any]) -> str:
    return _PREFIX.sub("", str(result.get("msg") or "no reason was given").strip())


def _add_reading(row: HostRow, result: Mapping[str, Any]) -> None:
    row["events"] = sum(event.get("count") or 1 for event in result["events"])
    row["status"] = "ok" if row["events"] else "quiet"
    host, log = result.get("host") or {}, result.get("log") or {}
    row["computer"] = host.get("name")
    row["clock_skew_seconds"] = host.get("clock_skew_seconds")
    row["log"] = dict(log)
    name = log.get("name") or "log"
    if log.get("enabled") is False:
        row["limits"].append(f"the log {name} is disabled: new events are not written")
    row["limits"] += [str(warning) for warning in result.get("warnings") or []]
    if log.get("rolled_over"):
        oldest = f" of {short_time(log['oldest_time'])} UTC" if log.get("oldest_time") else ""
        row["limits"].append(f"the log {name} rolled over: what came before its oldest event{oldest} is lost")
    if result.get("truncated"):
        row["limits"].append("there are more events than were asked for or could be read: only the newest are here")
    difference = clock_difference(host)
    if difference is not None:
        row["limits"].append(f"its clock is {difference} the controller's: its times are off by that much")


def taken_evidence(row: HostRow, result: Mapping[str, Any] | None) -> HostEvidence | None:
    """Returns the evidence of a host, None without any; why it could not be taken is put among the host's limits."""
    if result is None or result.get("skipped"):
        return None
    found = result.get("evidence")
    if result.get("unreachable") or result.get("failed") or not isinstance(found, Mapping):
        row["limits"].append(f"no evidence was taken from it: {_reason(result)}")
        return None
    try:
        check_evidence(row["host"], found)
    except EvidenceError as error:
        row["limits"].append(str(error))
        return None
    row["limits"] += [str(note) for note in result.get("notes") or []]
    return cast("HostEvidence", dict(found))


def own_events(row: HostRow, events: Iterable[Mapping[str, Any]]) -> list[RawEvent]:
    """Returns the events, those of the host's own log under its inventory name.

    An event in a collector's log names the log that its source wrote it to. In the host's own log all events are the
    host's, also under another computer name: it had that one before it was renamed.
    """
    name = str((row["log"] or {}).get("name") or "").casefold()
    return [
        cast("RawEvent", {**event, "host": row["host"]} if str(event.get("log") or "").casefold() == name else event)
        for event in events
    ]


def read_files(
    terms: Iterable[str], bases: Iterable[str], encoding: str | None = None
) -> list[tuple[FileRow, list[RawEvent]]]:
    """Returns each exported log once, with its enrolment events.

    Args:
        terms: files, folders and patterns.
        bases: folders that relative terms are looked for in, one after the other.
        encoding: of XML that does not say it itself; UTF-8 by default.
    """
    read: dict[str, tuple[FileRow, list[RawEvent]]] = {}
    selection = Selection(EVENT_IDS)
    folders = list(bases)
    for term in terms:
        try:
            found = find_logs(term, folders)
        except LogFileError as error:
            read[term] = _failed_file(term, error)
            continue
        if found.problems:
            read[term] = {"path": term, "status": "quiet", "events": 0, "problems": found.problems}, []
        for path in found.paths:
            if str(path) not in read:
                read[str(path)] = _read_file(path, selection, encoding)
    return list(read.values())


def _read_file(path: Path, selection: Selection, encoding: str | None) -> tuple[FileRow, list[RawEvent]]:
    try:
        events, problems = read_log(path, selection, encoding)
    except LogFileError as error:
        return _failed_file(str(path), error)
    status: FileStatus = "ok" if events else "quiet"
    return {"path": str(path), "status": status, "events": len(events), "problems": problems}, events


def _failed_file(path: str, error: LogFileError) -> tuple[FileRow, list[RawEvent]]:
    return {"path": path, "status": "failed", "events": 0, "problems": [str(error)]}, []
