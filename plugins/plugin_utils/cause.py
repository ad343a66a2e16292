# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events to findings: what failed on which host and endpoint, why, and whether it is over. The shapes: docs/data.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypedDict

from ansible_collections.winpki.scep.plugins.plugin_utils.clock import clock_difference
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import Endpoint, endpoint_key
from ansible_collections.winpki.scep.plugins.plugin_utils.event import Event, normal_time, time_of
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import (
    HostEvidence,
    RuleEvidence,
    check_evidence,
    probe_notes,
    rule_evidence,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.hresult import EventError
from ansible_collections.winpki.scep.plugins.plugin_utils.rule import (
    Certainty,
    Match,
    Remedy,
    Rule,
    RuleError,
    Rules,
    load_rules,
    value_at,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.rule_expression import Place

__all__ = ["Finding", "HostInfo", "NotParsedError", "Remedy", "RuleError", "Rules", "classify_events", "load_rules"]

State = Literal["open", "resolved", "transient"]


class HostInfo(TypedDict, total=False):
    """What event_info returns as ``host``, with what its action plugin adds. All of it may be missing.

    Attributes:
        name: the computer's name, short or fully qualified.
        time: the host's clock, ISO 8601 UTC.
        start_time: when the host started, by its own clock.
        clock_skew_seconds: the host's clock minus the controller's.
        round_trip_seconds: how long the question took, so how exact the skew is.
    """

    name: str | None
    time: str | None
    start_time: str | None
    clock_skew_seconds: float | None
    round_trip_seconds: float | None


class _Evidence(TypedDict):
    source: Literal["event", "evidence"]


class Evidence(_Evidence, total=False):
    """What a finding's cause rests on: the newest event, and what a probe brought where the rule reads that.

    Attributes:
        source: ``event`` (then the next four are there) or ``evidence`` (then the last two).
        log: the channel of the event.
        record_id: its number there.
        event_id: 86 or 87.
        time: when it was written.
        path: the place in the evidence, as the rule names it.
        value: what stands there.
    """

    log: str | None
    record_id: int | None
    event_id: int | None
    time: str | None
    path: str
    value: Any


class ResolvedBy(TypedDict):
    """The first successful enrolment (event 88) after the last failure."""

    event_id: int
    record_id: int | None
    time: str | None


class Finding(TypedDict):
    """One failure of one host and endpoint: all its events that have the same cause.

    Attributes:
        host: the inventory name where it is known, else the computer's name as in the event.
        computer: the computer's name as in the newest event.
        key: 16 hex digits that stand for host, endpoint and cause, equal in every run.
        cause: the id of the rule.
        state: ``resolved`` if a success on the same host and endpoint followed, ``transient`` if it came with the
            host's start and has not come again, else ``open``.
        count: how many events.
        contexts: on whose behalf was enrolled, at most five.
        error: the newest failure's.
        message: the newest failure's MessageText, at most 2,000 characters.
        notes: what else an administrator should know, such as that the host's clock is off, or that a probe does not
            bear out what the events say.
    """

    host: str | None
    computer: str | None
    key: str
    cause: str
    certainty: Certainty
    state: State
    summary: str
    advice: str
    references: list[str]
    remedies: list[Remedy]
    endpoint: Endpoint | None
    error: EventError | None
    message: str | None
    count: int
    first_seen: str | None
    last_seen: str | None
    event_ids: list[int]
    contexts: list[str]
    resolved_by: ResolvedBy | None
    evidence: list[Evidence]
    notes: list[str]


class NotParsedError(TypeError):
    """An element of the list is no parsed event."""

    def __init__(self, index: int) -> None:
        """Says which element it is, counted from 0."""
        super().__init__(f"element {index} is not a parsed event: put the raw events through parse_events first")


SUCCESS = 88
# An AIK failure this soon after the host's start may only mean that the network was not there yet.
START_PHASE = timedelta(minutes=10)
_MAX_CONTEXTS = 5
_MAX_MESSAGE = 2000

# When an event was: its time, and for equal times its place in the log.
_Moment = tuple[str, int]


class _Host:
    """A host as findings need it: found by the computer's name in its events."""

    def __init__(self, name: str | None, info: HostInfo, evidence: HostEvidence | None) -> None:
        self.name = name
        self.key = (name or "").casefold()
        self._info = info
        self._evidence = evidence
        self._evidence_by_place: dict[str, tuple[RuleEvidence, str]] = {}
        self.start_phase = _start_phase(info.get("start_time"))
        self.notes = _clock_notes(info)
        self.successes: dict[str, list[tuple[_Moment, Event]]] = {}

    def evidence_for(self, place: str, endpoint: Endpoint | None, rules: Rules) -> tuple[RuleEvidence | None, str]:
        """Returns what rules see of the evidence at an endpoint, and the key to it."""
        if self._evidence is None:
            return None, ""
        known = self._evidence_by_place.get(place)
        if known is None:
            seen = rule_evidence(self._evidence, endpoint, self._info)
            known = self._evidence_by_place[place] = seen, rules.evidence_key(seen)
        return known


class _Failure:
    """The events of one finding, gathered."""

    __slots__ = (
        "contexts",
        "count",
        "event_ids",
        "evidence",
        "first_seen",
        "host",
        "last",
        "match",
        "newest",
        "place",
        "seen",
    )

    def __init__(self, host: _Host, place: str, evidence: RuleEvidence | None, match: Match, event: Event) -> None:
        self.host = host
        self.place = place
        self.evidence = evidence
        self.match = match
        self.newest = event
        self.last: _Moment = ("", -2)
        self.first_seen: str | None = None
        self.count = 0
        self.contexts: set[str] = set()
        self.event_ids: set[int] = set()
        self.seen: set[str] = set()

    def add(self, event: Event, match: Match) -> None:
        moment = _moment(event)
        record_id, time = event["record_id"], event["time_created"]
        if record_id is not None and time is not None and event["count"] == 1:
            # The same event from the host and from a collector, whose time may have fewer decimals.
            identity = f"{record_id} {time[:23]}"
            if identity in self.seen:
                return
            self.seen.add(identity)
        if moment > self.last:
            self.last, self.newest, self.match = moment, event, match
        first = event["first_seen"]
        if first is not None and (self.first_seen is None or first < self.first_seen):
            self.first_seen = first
        self.count += event["count"]
        context, event_id = event["context"], event["event_id"]
        if context is not None:
            self.contexts.add(context["raw"])
        if event_id is not None:
            self.event_ids.add(event_id)


def classify_events(
    events: Iterable[Event],
    rules: Rules,
    hosts: Mapping[str, HostInfo | None] | None = None,
    evidence: Mapping[str, HostEvidence | None] | None = None,
) -> list[Finding]:
    """Returns the findings, by host, endpoint and order of the rules. Successes (88) only end failures.

    Args:
        events: parsed events of any number of hosts, in any order.
        rules: from load_rules.
        hosts: what is known of each host, by inventory name; a host without ``name`` goes by its inventory name.
        evidence: what probes have found out, by inventory name; the rules see what is about the event's endpoint.

    Raises:
        NotParsedError: an element is no parsed event.
        EvidenceError: evidence of a host has not the shape of any.
    """
    for name, found in (evidence or {}).items():
        check_evidence(name, found or {})
    by_computer = _HostFinder(hosts or {}, evidence or {})
    failures: dict[tuple[str, str, str], _Failure] = {}
    places: dict[tuple[Any, ...], str] = {}
    for index, event in enumerate(events):
        try:
            endpoint, event_id = event["endpoint"], event["event_id"]
            host = by_computer.find(event.get("host"), event["computer"])
        except (KeyError, TypeError) as error:
            raise NotParsedError(index) from error
        place = ""
        if endpoint is not None:
            parts = (endpoint["scheme"], endpoint["host"], endpoint["port"], endpoint["path"])
            place = places.get(parts) or places.setdefault(parts, endpoint_key(endpoint))
        if event_id == SUCCESS:
            if place:
                host.successes.setdefault(place, []).append((_moment(event), event))
            continue
        seen, seen_key = host.evidence_for(place, endpoint, rules)
        match = rules.match(event, seen, seen_key)
        key = (host.key, place, match.rule.id)
        failure = failures.get(key)
        if failure is None:
            failure = failures[key] = _Failure(host, place, seen, match, event)
        failure.add(event, match)
    order = {rule.id: number for number, rule in reversed(list(enumerate(rules.rules)))}
    return [_finding(failures[key], key) for key in sorted(failures, key=lambda key: (*key[:2], order[key[2]]))]


class _HostFinder:
    """Finds the host of an event: by the name that the reader gave, else by the computer's name."""

    def __init__(self, infos: Mapping[str, HostInfo | None], evidence: Mapping[str, HostEvidence | None]) -> None:
        self._evidence = evidence
        self._infos = infos
        self._hosts: dict[tuple[str | None, str | None], _Host] = {}
        self._by_name: dict[str, _Host] = {}
        # Inventory names by computer name; None where two hosts have the same one.
        self._full: dict[str, str | None] = {}
        self._short: dict[str, str | None] = {}
        for inventory_name, info in infos.items():
            full = _computer_name(inventory_name, info).casefold()
            short = full.partition(".")[0]
            self._full[full] = None if full in self._full else inventory_name
            self._short[short] = None if short in self._short else inventory_name

    def find(self, inventory_name: str | None, computer: str | None) -> _Host:
        known = self._hosts.get((inventory_name, computer))
        if known is None:
            name = inventory_name or self._inventory_name(computer) or computer
            folded = (name or "").casefold()
            known = self._by_name.get(folded)
            if known is None:
                info = self._infos.get(name) or {} if name else {}
                evidence = self._evidence.get(name) or None if name else None
                known = self._by_name[folded] = _Host(name, info, evidence)
            self._hosts[inventory_name, computer] = known
        return known

    def _inventory_name(self, computer: str | None) -> str | None:
        full = (computer or "").casefold()
        if full in self._full:
            return self._full[full]
        short, dot, _domain = full.partition(".")
        found = self._short.get(short)
        if found is None or not dot:
            return found
        # A qualified name fits a host that gave its short one, never one of another domain.
        return found if "." not in _computer_name(found, self._infos[found]) else None


def _computer_name(inventory_name: str, info: HostInfo | None) -> str:
    name = (info or {}).get("name")
    return name if isinstance(name, str) and name else inventory_name


def _moment(event: Event) -> _Moment:
    record_id = event["record_id"]
    return event["time_created"] or "", -1 if record_id is None else record_id


def _finding(failure: _Failure, key: tuple[str, str, str]) -> Finding:
    rule, host, newest = failure.match.rule, failure.host, failure.newest
    success = min(
        (item for item in host.successes.get(failure.place, ()) if item[0] > failure.last),
        key=lambda item: item[0],
        default=None,
    )
    last_seen = failure.last[0] or None
    state: State = "open"
    if success is not None:
        state = "resolved"
    elif rule.transient_after_start and host.start_phase[0] <= failure.last[0] <= host.start_phase[1]:
        state = "transient"
    endpoint, error, text = newest["endpoint"], newest["error"], newest["text"]
    # What a success has ended is over, whatever a probe says of it today.
    probe = failure.evidence["endpoint"] if failure.evidence is not None and state != "resolved" else None
    notes = probe_notes(probe, contradicts=failure.match.contradicted)
    return {
        "host": host.name,
        "computer": newest["computer"],
        "key": hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16],
        "cause": rule.id,
        "certainty": failure.match.certainty,
        "state": state,
        "summary": rule.summary,
        "advice": rule.advice,
        "references": list(rule.references),
        "remedies": [
            {"role": remedy["role"], "needs": list(remedy["needs"]), "reason": remedy["reason"]}
            for remedy in failure.match.remedies
        ],
        "endpoint": endpoint.copy() if endpoint is not None else None,
        "error": error.copy() if error is not None else None,
        "message": text[:_MAX_MESSAGE] if text is not None else None,
        "count": failure.count,
        "first_seen": failure.first_seen,
        "last_seen": last_seen,
        "event_ids": sorted(failure.event_ids),
        "contexts": sorted(failure.contexts)[:_MAX_CONTEXTS],
        "resolved_by": _resolved_by(success[1]) if success is not None else None,
        "evidence": _evidence(newest, rule, failure.evidence),
        "notes": [*host.notes, *notes],
    }


def _resolved_by(event: Event) -> ResolvedBy:
    return {"event_id": SUCCESS, "record_id": event["record_id"], "time": event["time_created"]}


# What a probe of the endpoint brought, shown with every finding that it is about.
_OUTCOME: tuple[Place, ...] = tuple(("evidence", "endpoint", key) for key in ("ok", "failed_step", "failure", "detail"))


def _evidence(event: Event, rule: Rule, evidence: RuleEvidence | None) -> list[Evidence]:
    found: list[Evidence] = [
        {
            "source": "event",
            "log": event["log"],
            "record_id": event["record_id"],
            "event_id": event["event_id"],
            "time": event["time_created"],
        }
    ]
    for place in dict.fromkeys((*_OUTCOME, *sorted(rule.when.reads))):
        value = value_at(evidence, place[1:]) if place[:1] == ("evidence",) else None
        if value is not None:
            found.append({"source": "evidence", "path": ".".join(place), "value": value})
    return found


def _start_phase(start_time: object) -> tuple[str, str]:
    """Returns the first and the last time at which a failure may come from the start alone; no time if unknown."""
    start = normal_time(start_time)
    moment = time_of(start)
    if start is None or moment is None:
        return "9", ""
    try:
        return start, normal_time((moment + START_PHASE).isoformat()) or ""
    except OverflowError:
        return "9", ""


def _clock_notes(info: HostInfo) -> list[str]:
    difference = clock_difference(info)
    if difference is None:
        return []
    return [
        f"The host's clock is {difference} the controller's. A wrong clock makes valid TLS"
        " certificates look expired or not yet valid, lets SCEP servers refuse requests, and shifts the times of this"
        " host's events (successes, 88, too) against other hosts': set it right first."
    ]
