"""Events as a simulated host's log holds them: one JSON object each, in the order of keys that the log reads fast."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

Event = dict[str, Any]

PROVIDER = "Microsoft-Windows-CertificateServicesClient-CertEnroll"
GUID = "{54164045-7C50-4905-963F-E5BC1EEF0CCA}"
SOURCE = "CertEnroll"
FIELDS = ("Context", "Url", "MessageText", "Method", "Stage", "ErrorCode")
_QUALIFIERS = {86: 49754, 87: 49754, 88: 16986}
_LEVELS = {86: 2, 87: 2, 88: 4}
_LEVEL_NAMES = {"en-US": {2: "Error", 4: "Information"}, "de-DE": {2: "Fehler", 4: "Informationen"}}

NDES_URL = "https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe"
AIK_URL = "https://IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net/templates/Aik/scep"
TLS_FAILURE = "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"
NAME_NOT_RESOLVED = (
    "The server name or address could not be resolved 0x80072ee7 (WinHttp: 12007 ERROR_WINHTTP_NAME_NOT_RESOLVED)"
)

_TEMPLATES = {
    ("en-US", 86): "SCEP Certificate enrollment initialization for {} via {} failed:\r\n\r\n{}\r\nMethod: {}\r\n"
    "Stage: {}\r\n{}",
    ("en-US", 87): "SCEP Certificate enrollment for {} via {} failed:\r\n\r\n{}\r\nMethod: {}\r\nStage: {}\r\n{}",
    ("en-US", 88): "SCEP Certificate enrollment for {} via {} succeeded:\r\n\r\n{}\r\nMethod: {}\r\nStage: {}",
    ("de-DE", 86): "Fehler bei der Initialisierung der SCEP-Zertifikatregistrierung für {} über {}:\r\n\r\n{}\r\n"
    "Methode: {}\r\nPhase: {}\r\n{}",
}

_BACKGROUND = (
    ("Microsoft-Windows-Security-SPP", 16384, 4, "Successfully scheduled Software Protection service for re-start."),
    ("Microsoft-Windows-Security-SPP", 16394, 4, "Offline downlevel migration succeeded."),
    ("Microsoft-Windows-Winlogon", 6000, 4, "The winlogon notification subscriber <SessionEnv> was unavailable."),
    ("Microsoft-Windows-RestartManager", 10000, 4, "Starting session 0."),
    ("MsiInstaller", 1042, 4, "Ending a Windows Installer transaction."),
    ("ESENT", 326, 4, "svchost The database engine attached a database."),
    ("Windows Error Reporting", 1001, 4, "Fault bucket, type 0"),
    ("Application Error", 1000, 2, "Faulting application name: helper.exe"),
    ("Microsoft-Windows-CertificateServicesClient-AutoEnrollment", 6, 2, "Automatic certificate enrollment failed."),
    ("Microsoft-Windows-User Profiles Service", 1531, 4, "The User Profile Service has started successfully."),
)


def stamp(time: datetime, digits: int = 7) -> str:
    """A time as events have it: UTC, ``digits`` of fractional seconds, ``Z``."""
    utc = time.astimezone(timezone.utc)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond:06d}{'0' * (digits - 6)}Z"


def enrolment_event(  # the keyword arguments are the event's own fields
    event_id: int,
    record: int,
    time: datetime,
    values: Sequence[str | None],
    *,
    computer: str = "CLIENT1",
    user: str | None = "S-1-5-18",
    named: bool = True,
    channel: str = "Application",
    provider: str = PROVIDER,
    binary: str | None = None,
) -> Event:
    """An event of the CertEnroll provider.

    Args:
        event_id: 86, 87 or 88; any other is written too, as an error.
        record: EventRecordID.
        time: when; a time with a zone.
        values: the fields' values in the order of FIELDS, may be fewer; None is an empty element.
        computer: System/Computer.
        user: the SID in Security/@UserID.
        named: whether the Data elements carry their names; without, the event is a classic one.
        channel: the log it was written to.
        provider: another provider's name, for events that only look alike.
        binary: hex of what follows the values of a classic event.
    """
    event: Event = {
        "provider": provider,
        "id": event_id,
        "record": record,
        "time": stamp(time),
        "level": _LEVELS.get(event_id, 2),
        "computer": computer,
        "guid": GUID,
        "sourceName": SOURCE,
        "qualifiers": _QUALIFIERS.get(event_id, 49754),
        "version": 0,
        "task": 0,
        "opcode": 0,
        "keywords": "0x80000000000000",
        "channel": channel,
        "data": [[name if named else None, value] for name, value in zip(FIELDS, values, strict=False)],
    }
    if user is not None:
        event["user"] = user
    if binary is not None:
        event["binary"] = binary
    return event


def event86(
    record: int,
    time: datetime,
    *,
    context: str | None = "WORKGROUP\\CLIENT1$",
    url: str | None = NDES_URL,
    message_text: str | None = "GetCACaps",
    method: str | None = "GET(47ms)",
    stage: str | None = "GetCACaps",
    error_code: str | None = TLS_FAILURE,
    **more: Any,
) -> Event:
    """The enrolment's initialisation failed; ``more`` as in enrolment_event()."""
    return enrolment_event(86, record, time, (context, url, message_text, method, stage, error_code), **more)


def event87(
    record: int,
    time: datetime,
    *,
    context: str | None = "WORKGROUP\\CLIENT1$",
    url: str | None = NDES_URL,
    message_text: str | None = "PkiStatus(2): failure\r\nFailInfo(2): bad request\r\n",
    method: str | None = "POST(120ms)",
    stage: str | None = "ProcessResponseMessage",
    error_code: str | None = "The request is denied 0x80094014 (-2146877420 CERTSRV_E_ADMIN_DENIED_REQUEST)",
    **more: Any,
) -> Event:
    """The server was reached and the request refused; ``more`` as in enrolment_event()."""
    return enrolment_event(87, record, time, (context, url, message_text, method, stage, error_code), **more)


def event88(
    record: int,
    time: datetime,
    *,
    context: str | None = "WORKGROUP\\CLIENT1$",
    url: str | None = NDES_URL,
    message_text: str | None = "PkiStatus(0): success\r\n",
    method: str | None = "POST(95ms)",
    stage: str | None = "ProcessResponseMessage",
    **more: Any,
) -> Event:
    """The enrolment succeeded: five fields; ``more`` as in enrolment_event()."""
    return enrolment_event(88, record, time, (context, url, message_text, method, stage), **more)


def rendered(event: Event, language: str = "en-US") -> str:
    """The event's text in a language; English where there is no other template."""
    values = [value or "" for _unused, value in event["data"]]
    template = _TEMPLATES.get((language, event["id"]), _TEMPLATES["en-US", event["id"]])
    return template.format(*(values + [""] * 6)[:6])


def forwarded(event: Event, log_record: int, *, language: str | None = None) -> Event:
    """The event as a collector's ForwardedEvents holds it: with its source's record number and computer.

    Args:
        event: as the source wrote it.
        log_record: its number in the collector's log.
        language: of the text in RenderingInfo; None for the content format without it.
    """
    copy = {**event, "logRecord": log_record}
    if language is not None:
        levels = _LEVEL_NAMES.get(language, _LEVEL_NAMES["en-US"])
        copy["rendering"] = {
            "culture": language,
            "message": rendered(event, language),
            "level": levels[event["level"]],
            "task": "",
            "opcode": "Info",
            "channel": event["channel"],
            "provider": event["provider"],
            "keywords": ["Classic"],
        }
    return copy


def background_event(index: int, computer: str) -> Event:
    """One of other providers' events, as ``background`` has it at that place; without record and time."""
    provider, event_id, level, text = _BACKGROUND[index * 7 % len(_BACKGROUND)]
    return {
        "provider": provider,
        "id": event_id,
        "record": 0,
        "time": "",
        "level": level,
        "computer": computer,
        "channel": "Application",
        "data": [[None, text]],
    }


def background(
    count: int, first: datetime, last: datetime, *, first_record: int = 1, computer: str = "CLIENT1"
) -> Iterator[str]:
    """Lines of other providers' events, at equal distances from ``first`` to ``last``: what a log is mostly full of."""
    host = json.dumps(computer)
    parts = [
        (
            f'{{"provider":{json.dumps(provider)},"id":{event_id},"record":',
            f'0Z","level":{level},"computer":{host},"channel":"Application","data":[[null,{json.dumps(text)}]]}}',
        )
        for provider, event_id, level, text in _BACKGROUND
    ]
    begin = first.astimezone(timezone.utc).replace(tzinfo=None)
    span = last - first
    for index in range(count):
        head, tail = parts[index * 7 % len(parts)]
        time = (begin + span * index / max(count - 1, 1)).isoformat(timespec="microseconds")
        yield f'{head}{first_record + index},"time":"{time}{tail}'


def line(event: Event | str) -> str:
    """An event as a line of a log file."""
    return event if isinstance(event, str) else json.dumps(event, separators=(",", ":"))


def interleaved(count: int, last: datetime, events: Sequence[Event], *, span: timedelta) -> Iterator[Event | str]:
    """``events`` at equal distances among background events, ``count`` in all, numbered and dated anew.

    For big logs: record 1 is ``span`` before the last, which is at ``last``.
    """
    every = count / len(events) if events else count + 1
    places = {int(every * (index + 0.5)): event for index, event in enumerate(events)}
    first = last - span
    for index, text in enumerate(background(count, first, last)):
        event = places.get(index)
        time = first + span * index / max(count - 1, 1)
        yield text if event is None else {**event, "record": index + 1, "time": stamp(time)}
