# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host enrols again, by the events and certificates that were seen since a mark. Nothing else is claimed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import endpoint_key, parse_endpoint
from ansible_collections.winpki.scep.plugins.plugin_utils.event import Event
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import ProfileEvidence

Outcome = Literal["succeeded", "failed", "quiet", "open"]
_SUCCESS = 88


class Started(TypedDict):
    """An enrolment that was to be started: that of a profile, or that of the AIK.

    Attributes:
        profile_id: null for the AIK's.
        task: the path of the scheduled task that enrols the AIK, null for a profile.
        started: whether it was.
        detail: a sentence.
    """

    profile_id: str | None
    task: str | None
    started: bool
    detail: str


class Verdict(TypedDict):
    """What was seen of one URL.

    Attributes:
        outcome: ``succeeded`` event 88 or a new certificate, ``failed`` event 86 or 87, ``quiet`` no failure where the
            absence of failures was waited for, ``open`` nothing.
        seen: the event or the certificate that it rests on, null for ``quiet`` and ``open``.
        detail: a sentence.
    """

    url: str
    outcome: Outcome
    seen: dict[str, Any] | None
    detail: str


def same_endpoint(one: str | None, other: str | None) -> bool:
    """Returns whether two URLs are spellings of one endpoint."""
    return bool(one) and endpoint_key(parse_endpoint(one)) == endpoint_key(parse_endpoint(other))


def profiles_of(url: str, profiles: Iterable[ProfileEvidence]) -> list[ProfileEvidence]:
    """Returns the profiles of MDM that enrol at a URL."""
    return [
        profile
        for profile in profiles
        if profile["source"] == "mdm" and any(same_endpoint(url, one) for one in profile["urls"])
    ]


def has_aik(urls: Iterable[str]) -> bool:
    """Returns whether one of the URLs is that of the AIK service."""
    return any(endpoint is not None and endpoint["kind"] == "aik" for endpoint in map(parse_endpoint, urls))


def verdict(
    url: str, events: Sequence[Event], before: Sequence[ProfileEvidence], now: Sequence[ProfileEvidence]
) -> Verdict:
    """Judges one URL by what came since the mark.

    Args:
        url: as the events or profiles have it.
        events: since the mark, oldest first.
        before: the host's profiles at the mark.
        now: its profiles now.
    """
    newest: dict[str | None, Event] = {}
    for event in events:
        if same_endpoint(url, event["url"]):
            context = event["context"]
            newest[context["raw"] if context else None] = event
    failures = [event for event in newest.values() if event["event_id"] != _SUCCESS]
    if failures:
        return {"url": url, "outcome": "failed", "seen": _event(failures[-1]), "detail": _failure(failures[-1])}
    if newest:
        success = list(newest.values())[-1]
        detail = f"Event 88 of {success['time_created']} says that a certificate was enrolled."
        return {"url": url, "outcome": "succeeded", "seen": _event(success), "detail": detail}
    for profile in profiles_of(url, now):
        thumbprint = profile["certificate_thumbprint"]
        if thumbprint and thumbprint not in _thumbprints(profile, before):
            seen = {"kind": "certificate", "profile_id": profile["id"], "thumbprint": thumbprint}
            detail = f"The profile {profile.get('id')} has a new certificate, {thumbprint}."
            return {"url": url, "outcome": "succeeded", "seen": seen, "detail": detail}
    return {"url": url, "outcome": "open", "seen": None, "detail": "Neither a success nor a failure was seen."}


def quiet_verdict(url: str, events: Sequence[Event], seconds: float) -> Verdict:
    """Judges a URL that nothing shall be asked of any more, as after its task was disabled."""
    found = verdict(url, events, (), ())
    if found["outcome"] != "open":
        return found
    detail = (
        f"No enrolment was seen in {seconds:.0f} s. That is no proof, as a client tries again at times of its own: see "
        "whether events still come."
    )
    return {"url": url, "outcome": "quiet", "seen": None, "detail": detail}


def overall(verdicts: Iterable[Verdict]) -> Outcome:
    """Returns the worst outcome."""
    found = {one["outcome"] for one in verdicts}
    order: tuple[Outcome, ...] = ("failed", "open", "succeeded", "quiet")
    return next((outcome for outcome in order if outcome in found), "open")


def blind_spots(answer: Mapping[str, Any] | None, level: int | None) -> list[str]:
    """Returns why something may have happened unseen.

    Args:
        answer: the last that event_info returned, None if it never answered.
        level: the enrolment log level, None if unknown.
    """
    log = (answer or {}).get("log") or {}
    found = []
    if answer is None:
        found.append("The event log could not be read.")
    if log.get("enabled") is False:
        found.append(f"The log {log.get('name')} is disabled, so no event is written to it.")
    if log.get("rolled_over"):
        found.append(f"The log {log.get('name')} has overwritten events meanwhile.")
    if level is not None and level < 4:
        found.append(f"At log level {level} Windows writes no successes.")
    return found


def _thumbprints(profile: ProfileEvidence, before: Iterable[ProfileEvidence]) -> set[str | None]:
    place = profile["path"], profile["name"]
    return {one["certificate_thumbprint"] for one in before if (one["path"], one["name"]) == place}


def _event(event: Event) -> dict[str, Any]:
    error, context = event["error"], event["context"]
    return {
        "kind": "event",
        "event_id": event["event_id"],
        "record_id": event["record_id"],
        "time_created": event["time_created"],
        "context": context["raw"] if context else None,
        "stage": event["stage"],
        "hresult": error["hresult"] if error else None,
    }


def _failure(event: Event) -> str:
    error = event["error"]
    reason = f" with {error['hresult']}" if error and error["hresult"] else ""
    return f"Event {event['event_id']} of {event['time_created']} says that an enrolment failed{reason}."
