# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host enrols again, by the events and certificates that were seen since a mark. Nothing else is claimed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import endpoint_key, parse_endpoint
from ansible_collections.winpki.scep.plugins.plugin_utils.event import Event, parse_context
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import ProfileEvidence
from ansible_collections.winpki.scep.plugins.plugin_utils.text_layout import squeeze

Outcome = Literal["succeeded", "failed", "quiet", "open"]
_SUCCESS = 88
_FAILURES_FROM, _SUCCESSES_FROM = 2, 4
"""The log levels from which on Windows writes them."""
_MACHINE = ""
"""The machine's own account, however an event spells it: no context is empty."""
_NAME_WIDTH = 80


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
        outcome: ``succeeded`` event 88 or a new certificate, for each account that was asked for; ``failed`` event 86
            or 87; ``quiet`` no enrolment where the log was watched for one to the end; ``open`` none of these.
        seen: the event or the certificate that it rests on, null for ``quiet`` and ``open``.
        detail: a sentence.
    """

    url: str
    outcome: Outcome
    seen: dict[str, Any] | None
    detail: str


class Watch(NamedTuple):
    """How a host's event log was watched.

    Attributes:
        mark: what event_info returned at the mark.
        last: the last that it returned since, None if it never answered.
        reason: why the last look was not answered, None if it was.
        seconds: from the mark to the last look that was answered.
        level: the enrolment log level, None if unknown.
    """

    mark: Mapping[str, Any]
    last: Mapping[str, Any] | None
    reason: str | None
    seconds: float
    level: int | None


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


def check_contexts(contexts: Mapping[str, Any], urls: Sequence[str]) -> str | None:
    """Returns what is wrong with the option ``contexts``, in a sentence; None for nothing.

    Args:
        contexts: URL to a list of accounts.
        urls: those to verify.
    """
    for url, accounts in contexts.items():
        if not any(same_endpoint(url, one) for one in urls):
            return f"contexts: {url} is none of the URLs to verify: give it in urls too, or leave it out."
        if not isinstance(accounts, list) or not all(isinstance(one, str) and one.strip() for one in accounts):
            return f"contexts: {url} needs a list of accounts as the events have them, such as INTRA\\rudi."
    return None


def contexts_of(url: str, contexts: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns the accounts that the option ``contexts`` has for a URL, however that is spelled."""
    return [account for key, accounts in contexts.items() if same_endpoint(url, key) for account in accounts]


def account_key(context: str) -> str:
    r"""Returns one text for all spellings of an account in the events of one host.

    ``Local system`` and every ``DOMAIN\NAME$`` are the machine itself: either enrols for the device, and a host that
    was renamed or has joined a domain since it failed has another name now.

    Args:
        context: as an event has it.
    """
    if parse_context(context)["kind"] != "user":
        return _MACHINE
    # Not casefold(), for which two accounts are one if their names differ as ß and ss do.
    return context.strip().lower()


def verdict(
    url: str,
    events: Sequence[Event],
    before: Sequence[ProfileEvidence],
    now: Sequence[ProfileEvidence],
    *,
    contexts: Sequence[str] = (),
) -> Verdict:
    r"""Judges one URL by what came since the mark.

    Args:
        url: as the events or profiles have it.
        events: since the mark, oldest first.
        before: the host's profiles at the mark.
        now: its profiles now.
        contexts: the accounts that have to succeed, as events have them (``INTRA\rudi``); any one if empty.
    """
    newest: dict[str | None, Event] = {}
    for event in events:
        if same_endpoint(url, event["url"]):
            context = event["context"]
            key = account_key(context["raw"]) if context else None
            # The newest last, in the order of the log.
            newest.pop(key, None)
            newest[key] = event
    failures = [event for event in newest.values() if event["event_id"] != _SUCCESS]
    if failures:
        return {"url": url, "outcome": "failed", "seen": _event(failures[-1]), "detail": _failure(failures[-1])}
    wanted = {account_key(one): one for one in contexts}
    enrolled = [event for key, event in newest.items() if not wanted or key in wanted]
    certificates = [one for one in _new_certificates(url, before, now) if not wanted or one["scope"] == "device"]
    proven = {*newest, *([_MACHINE] if certificates else [])}
    missing = [name for key, name in wanted.items() if key not in proven]
    if missing:
        return {"url": url, "outcome": "open", "seen": None, "detail": _missing(missing, newest.values(), certificates)}
    if enrolled:
        detail = f"Event 88 of {enrolled[-1]['time_created']} says that a certificate was enrolled."
        if len(wanted) > 1:
            detail += f" The same was seen for each of {_names(wanted.values())}."
        return {"url": url, "outcome": "succeeded", "seen": _event(enrolled[-1]), "detail": detail}
    if certificates:
        profile, thumbprint = certificates[0]["id"], certificates[0]["certificate_thumbprint"]
        seen = {"kind": "certificate", "profile_id": profile, "thumbprint": thumbprint}
        detail = f"The profile {profile} has a new certificate, {thumbprint}."
        return {"url": url, "outcome": "succeeded", "seen": seen, "detail": detail}
    return {"url": url, "outcome": "open", "seen": None, "detail": "Neither a success nor a failure was seen."}


def quiet_verdict(url: str, events: Sequence[Event], watch: Watch | None) -> Verdict:
    """Judges a URL that nothing shall be asked of any more, as after its task was disabled.

    Args:
        url: as the events have it.
        events: since the mark, oldest first.
        watch: how they were watched for, None if nothing was waited for.
    """
    found = verdict(url, events, (), ())
    if found["outcome"] != "open":
        return found
    if watch is None:
        return {**found, "detail": "Nothing was waited for, so silence says nothing."}
    unwatched = _unwatched(watch)
    if unwatched:
        return {**found, "detail": f"Whether an enrolment was tried can't be told. {' '.join(unwatched)}"}
    detail = (
        f"No enrolment was seen in {watch.seconds:.0f} s. That is no proof, as a client tries again at times of its "
        "own: see whether events still come."
    )
    return {"url": url, "outcome": "quiet", "seen": None, "detail": detail}


def overall(verdicts: Iterable[Verdict]) -> Outcome:
    """Returns the worst outcome: what is not proven is worse than what is."""
    found = {one["outcome"] for one in verdicts}
    order: tuple[Outcome, ...] = ("failed", "open", "quiet", "succeeded")
    return next((outcome for outcome in order if outcome in found), "open")


def blind_spots(watch: Watch) -> list[str]:
    """Returns why something may have happened unseen, in sentences."""
    found = _unwatched(watch)
    if watch.level is not None and _FAILURES_FROM <= watch.level < _SUCCESSES_FROM:
        found.append(f"At log level {watch.level} Windows writes no successes.")
    return found


def _unwatched(watch: Watch) -> list[str]:
    """Returns why a failure may have happened unseen."""
    found = []
    if watch.last is None:
        found.append(f"The event log could not be read ({watch.reason}).")
    elif watch.reason is not None:
        found.append(f"The event log could be read for {watch.seconds:.0f} s, and then no more ({watch.reason}).")
    log = _log(watch.last)
    if log.get("enabled") is False:
        found.append(f"The log {log.get('name')} is disabled, so no event is written to it.")
    elif watch.last is not None and log.get("enabled") is None:
        found.append(f"It could not be told whether the log {log.get('name')} is enabled.")
    if _has_lost_events(_log(watch.mark), log):
        found.append(f"The log {log.get('name')} has overwritten events meanwhile, or was cleared.")
    if watch.level is None:
        found.append("The log level of enrolment could not be told, so events may not have been written.")
    elif watch.level < _FAILURES_FROM:
        found.append(f"At log level {watch.level} Windows writes neither failures nor successes.")
    return found


def _has_lost_events(mark: Mapping[str, Any], log: Mapping[str, Any]) -> bool:
    """Returns whether events that were written since the mark may be gone.

    ``rolled_over`` alone does not tell: it counts from the newest event of SCEP at the mark, so that on a host without
    one it is true of any log that has ever overwritten its first event.

    Args:
        mark: what event_info said of the log at the mark.
        log: what it said at last, empty if it never answered.
    """
    oldest, count = mark.get("oldest_record"), mark.get("record_count")
    if not log or oldest is None or count is None:
        return bool(log.get("rolled_over"))
    following = oldest + count
    first, held = log.get("oldest_record"), log.get("record_count")
    # An empty log was cleared, and in one that ends before the mark the numbers have begun anew.
    return first is None or first > following or (held is not None and first + held < following)


def _log(answer: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return (answer or {}).get("log") or {}


def _new_certificates(
    url: str, before: Iterable[ProfileEvidence], now: Iterable[ProfileEvidence]
) -> list[ProfileEvidence]:
    """Returns the profiles with a certificate that can only have come from a URL since the mark.

    One of a profile with further URLs may have come from those, and one of a new profile may be an old one.
    """
    known = {(one["path"], one["name"]): one for one in before if _enrols_only_at(url, one)}
    return [
        profile
        for profile in now
        if (former := known.get((profile["path"], profile["name"]))) is not None
        and _enrols_only_at(url, profile)
        and profile["certificate_thumbprint"] not in (None, "", former["certificate_thumbprint"])
    ]


def _enrols_only_at(url: str, profile: ProfileEvidence) -> bool:
    urls = profile["urls"]
    return profile["source"] == "mdm" and bool(urls) and all(same_endpoint(url, one) for one in urls)


def _missing(missing: Iterable[str], successes: Iterable[Event], certificates: Iterable[ProfileEvidence]) -> str:
    """Says who enrolled, and who was not seen yet."""
    done = [event["context"]["raw"] if event["context"] else "an account without a name" for event in successes]
    done += [f"the profile {profile['id']}" for profile in certificates]
    waiting = f"of {_names(missing)} neither a success nor a failure was seen yet"
    return f"{_names(done)} enrolled, but {waiting}." if done else f"{waiting[0].upper()}{waiting[1:]}."


def _names(names: Iterable[str]) -> str:
    # A name comes from the host and may be of any length.
    return ", ".join(squeeze(name, _NAME_WIDTH) for name in names)


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
