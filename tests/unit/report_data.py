"""Findings and results of event_info, for tests of the report."""

from __future__ import annotations

from typing import Any, cast
from xml.sax.saxutils import escape

from ansible_collections.winpki.scep.plugins.plugin_utils.cause import Finding
from ansible_collections.winpki.scep.plugins.plugin_utils.report_input import FileRow

NDES = "https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe"
TLS = "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"
RULES: list[dict[str, Any]] = [
    {
        "id": "tls",
        "when": "event.error.hresult == '0x80072f8f'",
        "certainty": "likely",
        "summary": "The TLS connection failed.",
        "advice": "Look at the server's certificate.",
        "references": ["https://tls.example/"],
        "remedies": [{"role": "trust_ndes_chain", "needs": ["pins"], "reason": "the root is not trusted"}],
    },
    {
        "id": "not_found",
        "when": "event.error.hresult == '0x80190194'",
        "certainty": "proven",
        "summary": "The server has no such page.",
        "advice": "Correct the URL.",
    },
]


def raw_event(record_id: int = 1, computer: str = "CLIENT1", **changes: Any) -> dict[str, Any]:
    """An event 86 as event_info returns it: the article's first example."""
    event: dict[str, Any] = {
        "record_id": record_id,
        "event_id": 86,
        "log": "Application",
        "computer": computer,
        "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
        "level": 2,
        "time_created": "2026-11-24T10:00:00.0000000Z",
        "user_sid": "S-1-5-18",
        "data": {
            "Context": "INTRA\\rudi",
            "Url": NDES,
            "MessageText": "GetCACaps",
            "Method": "GET(47ms)",
            "Stage": "GetCACaps",
            "ErrorCode": TLS,
        },
        "message": None,
    }
    data = {**event["data"], **changes.pop("data", {})}
    return {**event, "data": data, **changes}


def success(record_id: int, time: str, **changes: Any) -> dict[str, Any]:
    """An event 88 for the same endpoint."""
    event = raw_event(record_id, event_id=88, level=4, time_created=time, **changes)
    del event["data"]["ErrorCode"]
    return event


def result(
    *events: dict[str, Any],
    name: str = "CLIENT1",
    log: dict[str, Any] | None = None,
    host: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """What event_info registers."""
    return {
        "changed": False,
        "failed": False,
        "events": list(events),
        "truncated": False,
        "last_record_id": None,
        "log": {
            "name": "Application",
            "exists": True,
            "enabled": True,
            "rolled_over": False,
            "oldest_time": "2026-11-01T00:00:00.0000000Z",
            **(log or {}),
        },
        "host": {
            "name": name,
            "time": "2026-11-24T14:20:00.0000000Z",
            "start_time": "2026-11-20T06:00:00.0000000Z",
            "clock_skew_seconds": 0.2,
            "round_trip_seconds": 1.5,
            **(host or {}),
        },
        **changes,
    }


def exported_xml(*events: dict[str, Any]) -> str:
    """The events as ``wevtutil qe /f:xml /e:Events`` writes them."""
    return f"<Events>{''.join(map(_event_xml, events))}</Events>"


def _event_xml(event: dict[str, Any]) -> str:
    data = "".join(f"<Data Name='{name}'>{escape(value)}</Data>" for name, value in event["data"].items())
    return (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
        f"<Provider Name='{event['provider']}'/><EventID Qualifiers='49754'>{event['event_id']}</EventID>"
        f"<Level>{event['level']}</Level><TimeCreated SystemTime='{event['time_created']}'/>"
        f"<EventRecordID>{event['record_id']}</EventRecordID><Channel>{event['log']}</Channel>"
        f"<Computer>{event['computer']}</Computer><Security UserID='{event['user_sid']}'/></System>"
        f"<EventData>{data}</EventData></Event>"
    )


def file_row(path: str, events: int, *problems: str) -> FileRow:
    """An exported log that was read."""
    return {"path": path, "status": "ok" if events else "quiet", "events": events, "problems": list(problems)}


def finding(**changes: Any) -> Finding:
    """An open finding."""
    base: Finding = {
        "host": "client1",
        "computer": "CLIENT1",
        "key": "0123456789abcdef",
        "cause": "tls_failure",
        "certainty": "possible",
        "state": "open",
        "summary": "The TLS connection failed.",
        "advice": "Probe the server.",
        "references": [],
        "remedies": [],
        "endpoint": {
            "kind": "ndes",
            "scheme": "https",
            "host": "ndes01.intra.adcslabor.de",
            "port": None,
            "path": "/certsrv/mscep/mscep.dll/pkiclient.exe",
            "tpm_vendor": None,
            "key_id": None,
        },
        "error": {
            "hresult": "0x80072f8f",
            "name": "ERROR_WINHTTP_SECURE_FAILURE",
            "family": "winhttp",
            "code": 12175,
            "text": "A security error occurred",
        },
        "message": "GetCACaps",
        "count": 1,
        "first_seen": "2026-11-24T09:00:00.0000000Z",
        "last_seen": "2026-11-24T10:00:00.0000000Z",
        "event_ids": [86],
        "contexts": ["INTRA\\rudi"],
        "resolved_by": None,
        "evidence": [],
        "notes": [],
    }
    return cast("Finding", {**base, **changes})
