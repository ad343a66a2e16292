"""parse_events: raw events to parsed ones, with literal expectations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from ansible_collections.winpki.scep.plugins.plugin_utils.event import (
    NotAnEventError,
    RawEvent,
    normal_time,
    parse_context,
    parse_event,
    parse_events,
    time_of,
)

from tests.unit.event_data import (
    AIK,
    DENIED,
    ENGLISH_86,
    ENGLISH_87,
    ENGLISH_88,
    GERMAN_86,
    GERMAN_87,
    GERMAN_88,
    KEY_LENGTH,
    NDES,
    SECURE_FAILURE,
    UNKNOWN_AUTHORITY,
    raw,
    text,
)

# The two examples of the article, as they stand there.
ARTICLE_NDES = (
    "SCEP Certificate enrollment initialization for INTRA\\rudi via"
    " https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe failed: GetCACaps Method: GET(47ms)"
    " Stage: GetCACaps A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"
)
ARTICLE_AIK = (
    "SCEP Certificate enrollment initialization for WORKGROUP\\CLIENT1$ via"
    " https://IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net/templates/Aik/scep failed:\n"
    "\nGetCACaps\nMethod: GET(15ms)\nStage: GetCACaps\n"
    "The server name or address could not be resolved 0x80072ee7 (WinHttp: 12007 ERROR_WINHTTP_NAME_NOT_RESOLVED)"
)
ARTICLE_AIK_GERMAN = (
    "Fehler bei der Initialisierung der SCEP-Zertifikatregistrierung für WORKGROUP\\CLIENT1$ über"
    " https://IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net/templates/Aik/scep:\n"
    " GetCACaps\n Methode: GET(15ms)\n Phase: GetCACaps\n Der Servername oder die Adresse konnte nicht"
    " verarbeitet werden. 0x80072ee7 (WinHttp: 12007 ERROR_WINHTTP_NAME_NOT_RESOLVED)"
)


def parse(event: dict[str, Any]) -> dict[str, Any]:
    """The parsed event; a test may give any raw one."""
    return cast(dict[str, Any], parse_event(cast(RawEvent, event)))


def without(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in names}


NDES_ENDPOINT = {
    "kind": "ndes",
    "scheme": "https",
    "host": "ndes01.intra.adcslabor.de",
    "port": None,
    "path": "/certsrv/mscep/mscep.dll/pkiclient.exe",
    "tpm_vendor": None,
    "key_id": None,
}
AIK_ENDPOINT = {
    "kind": "aik",
    "scheme": "https",
    "host": "ifx-keyid-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net",
    "port": None,
    "path": "/templates/Aik/scep",
    "tpm_vendor": "IFX",
    "key_id": "18b1af70b93f991972f362556a9a3fbf4bb24e0d",
}
SECURE_FAILURE_ERROR = {
    "hresult": "0x80072f8f",
    "name": "ERROR_WINHTTP_SECURE_FAILURE",
    "family": "winhttp",
    "code": 12175,
    "text": "A security error occurred",
}
NOT_RESOLVED_ERROR = {
    "hresult": "0x80072ee7",
    "name": "ERROR_WINHTTP_NAME_NOT_RESOLVED",
    "family": "winhttp",
    "code": 12007,
    "text": "The server name or address could not be resolved",
}
USER = {"raw": "INTRA\\rudi", "kind": "user", "domain": "INTRA", "name": "rudi"}
MACHINE = {"raw": "WORKGROUP\\CLIENT1$", "kind": "machine", "domain": "WORKGROUP", "name": "CLIENT1$"}


def test_the_fields_of_an_event() -> None:
    assert parse(raw()) == {
        "record_id": 4711,
        "event_id": 86,
        "log": "Application",
        "computer": "CLIENT1.intra.adcslabor.de",
        "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
        "level": 2,
        "time_created": "2026-11-03T10:15:30.1234567Z",
        "user_sid": "S-1-5-21-1-2-3-1104",
        "context": USER,
        "url": NDES,
        "endpoint": NDES_ENDPOINT,
        "stage": "GetCACaps",
        "method": "GET",
        "duration_ms": 47,
        "text": "GetCACaps",
        "http": None,
        "scep": None,
        "error": SECURE_FAILURE_ERROR,
        "language": "structured",
        "count": 1,
        "first_seen": "2026-11-03T10:15:30.1234567Z",
    }


@pytest.mark.parametrize(
    ("message", "language", "context", "endpoint", "duration", "error"),
    [
        (ARTICLE_NDES, "en", USER, NDES_ENDPOINT, 47, SECURE_FAILURE_ERROR),
        (ARTICLE_AIK, "en", MACHINE, AIK_ENDPOINT, 15, NOT_RESOLVED_ERROR),
        (
            ARTICLE_AIK_GERMAN,
            "de",
            MACHINE,
            AIK_ENDPOINT,
            15,
            {**NOT_RESOLVED_ERROR, "text": "Der Servername oder die Adresse konnte nicht verarbeitet werden."},
        ),
    ],
)
def test_the_examples_of_the_article(
    message: str,
    language: str,
    context: dict[str, Any],
    endpoint: dict[str, Any],
    duration: int,
    error: dict[str, Any],
) -> None:
    """From their text alone: not even the event's id is given."""
    event = parse({"message": message})
    assert (event["event_id"], event["language"], event["stage"]) == (86, language, "GetCACaps")
    assert (event["text"], event["method"], event["duration_ms"]) == ("GetCACaps", "GET", duration)
    assert (event["context"], event["endpoint"], event["error"]) == (context, endpoint, error)


@pytest.mark.parametrize(
    ("template", "language", "event_id"),
    [
        (ENGLISH_86, "en", 86),
        (ENGLISH_87, "en", 87),
        (ENGLISH_88, "en", 88),
        (GERMAN_86, "de", 86),
        (GERMAN_87, "de", 87),
        (GERMAN_88, "de", 88),
    ],
)
@pytest.mark.parametrize("context", ["INTRA\\rudi", "HOME GROUP\\PC$", "Local system", "INTRA\\over via and über"])
@pytest.mark.parametrize("message_text", ["GetCACaps\r\n", DENIED, UNKNOWN_AUTHORITY, ""])
def test_a_template_gives_what_the_fields_give(
    template: str, language: str, event_id: int, context: str, message_text: str
) -> None:
    fields = [context, NDES, message_text, "POST(120ms)", "Submit", "" if event_id == 88 else SECURE_FAILURE]
    names = ("Context", "Url", "MessageText", "Method", "Stage", "ErrorCode")
    from_fields = parse(raw(event_id, **dict(zip(names, fields, strict=True))))
    message = raw(None, data={}, message=text(template, *fields))
    assert parse(message) == {**from_fields, "language": language, "level": 2}


def test_a_template_gives_the_id_only_where_there_is_none() -> None:
    assert parse({"event_id": 87, "message": ARTICLE_NDES})["event_id"] == 87


@pytest.mark.parametrize(
    "case",
    yaml.safe_load(Path(__file__).with_name("event_texts.yml").read_text("utf-8")),
    ids=lambda case: case["language"],
)
def test_other_languages(case: dict[str, Any]) -> None:
    event = parse({"event_id": 86, "message": case["message"]})
    assert event["language"] == "other"
    assert event["context"]["raw"] == case["context"]
    assert {name: event[name] for name in ("url", "text", "method", "duration_ms", "stage")} == {
        name: case[name] for name in ("url", "text", "method", "duration_ms", "stage")
    }
    assert (event["error"]["hresult"], event["error"]["text"]) == (case["hresult"], case["error_text"])


SIX = ["INTRA\\CLIENT1$", NDES, DENIED, "POST(120ms)", "Submit", KEY_LENGTH]


@pytest.mark.parametrize(
    ("event_id", "values", "empty"),
    [
        (87, SIX, []),
        (87, [*SIX[:2], "", *SIX[3:]], ["text", "scep", "http"]),
        (87, SIX[1:], ["context"]),
        (87, [SIX[0], *SIX[2:]], ["url", "endpoint"]),
        (87, [*SIX[:2], *SIX[3:]], ["text", "scep", "http"]),
        (87, [*SIX[:3], *SIX[4:]], ["method", "duration_ms"]),
        (87, [*SIX[:4], SIX[5]], ["stage"]),
        (87, SIX[:5], ["error"]),
        (88, SIX[:5], ["error"]),
        (88, SIX[1:5], ["context", "error"]),
        (None, [SIX[1], SIX[5]], ["context", "text", "scep", "http", "method", "duration_ms", "stage"]),
        (87, [SIX[0]], ["url", "endpoint", "text", "scep", "http", "method", "duration_ms", "stage", "error"]),
    ],
)
def test_values_without_names(event_id: int | None, values: list[str], empty: list[str]) -> None:
    """Six by position (five of 88), fewer by their form: an empty one was left out and the rest moved up."""
    full = parse(
        raw(event_id, **dict(zip(("Context", "Url", "MessageText", "Method", "Stage", "ErrorCode"), SIX, strict=True)))
    )
    expected = {**full, **dict.fromkeys(empty)}
    assert parse(raw(event_id, data={}, values=values)) == expected


def test_the_fields_come_first() -> None:
    event = raw(values=["INTRA\\someone", AIK], message=ARTICLE_AIK)
    assert parse(event) == parse(raw())


def test_values_come_before_the_text() -> None:
    event = raw(data={}, values=SIX, message=ARTICLE_AIK)
    assert parse(event)["url"] == NDES


@pytest.mark.parametrize(
    ("event", "kept", "language"),
    [
        ({"event_id": 86, "message": "something else"}, "something else", "other"),
        ({"event_id": 86, "data": {"Other": "a", "param2": "b"}}, "Other: a\nparam2: b", "structured"),
        ({"event_id": 86, "values": ["one", "two", "three!"]}, "one\ntwo\nthree!", "structured"),
        ({}, None, None),
        ({"message": None, "data": None, "values": None, "event_id": "86x", "computer": 5}, None, None),
    ],
)
def test_an_event_that_can_not_be_read_is_kept(event: dict[str, Any], kept: str | None, language: str | None) -> None:
    parsed = parse(event)
    assert (parsed["text"], parsed["language"]) == (kept, language)
    assert [parsed[name] for name in ("error", "endpoint", "context", "url", "method", "stage", "http", "scep")] == [
        None
    ] * 8


def test_a_truncated_text_gives_what_it_has() -> None:
    event = parse({"message": ARTICLE_AIK.partition("\nMethod")[0]})
    assert (event["event_id"], event["context"], event["endpoint"]) == (86, MACHINE, AIK_ENDPOINT)
    assert (event["text"], event["stage"], event["error"]) == ("GetCACaps", None, None)


def test_the_last_labels_of_a_text_count() -> None:
    """A hostile answer may hold the template's own lines."""
    hostile = "GetCACaps\r\n%s GET(1ms)\r\n%s GetCACert\r\nfine 0x80072ee7 (WinHttp: 12007 X_Y_Z)\r\n"
    for template, labels in ((ENGLISH_86, ("Method:", "Stage:")), (GERMAN_86, ("Methode:", "Phase:"))):
        fields = ("INTRA\\rudi", NDES, hostile % labels, "GET(47ms)", "GetCACaps", SECURE_FAILURE)
        event = parse({"message": text(template, *fields)})
        assert (event["method"], event["duration_ms"], event["stage"]) == ("GET", 47, "GetCACaps")
        assert event["error"] == SECURE_FAILURE_ERROR
        assert event["text"] == (hostile % labels).strip()


def test_the_answer_of_a_server() -> None:
    event = parse(raw(MessageText=UNKNOWN_AUTHORITY, Url=AIK))
    assert event["http"] == {
        "status": 404,
        "reason": "Not Found",
        "headers": {
            "date": "Tue, 03 Nov 2026 10:15:30 GMT",
            "content-length": "121",
            "content-type": "application/json; charset=utf-8",
            "set-cookie": "a=1, b=2",
        },
    }
    assert event["scep"] is None


def test_the_verdict_of_a_scep_server() -> None:
    event = parse(raw(87, MessageText=DENIED, ErrorCode=KEY_LENGTH, Stage="ProcessResponseMessage"))
    assert event["scep"] == {"pki_status": 2, "fail_info": 2, "enroll_status": 256}
    assert event["http"]["status"] == 200
    assert event["error"] == {
        "hresult": "0x80094811",
        "name": "CERTSRV_E_KEY_LENGTH",
        "family": "certsrv",
        "code": 0x4811,
        "text": "The public key does not meet the minimum size required by the specified certificate template.",
    }


def test_a_folded_event_stands_for_many() -> None:
    event = parse(raw(count=17, first_seen="2026-11-01T00:00:00Z", last_seen="2026-11-03T10:15:30.1234567Z"))
    assert (event["count"], event["first_seen"]) == (17, "2026-11-01T00:00:00.0000000Z")
    assert event["time_created"] == "2026-11-03T10:15:30.1234567Z"


@pytest.mark.parametrize("count", [0, -3, None, "many", True, 1.5])
def test_a_count_that_is_none_is_one(count: object) -> None:
    assert parse(raw(count=count))["count"] == 1


def test_the_inventory_name_goes_through() -> None:
    assert parse(raw(host="client1"))["host"] == "client1"
    assert "host" not in parse(raw())


@pytest.mark.parametrize(
    ("context", "kind", "domain", "name"),
    [
        ("INTRA\\rudi", "user", "INTRA", "rudi"),
        ("INTRA\\CLIENT1$", "machine", "INTRA", "CLIENT1$"),
        ("HOME GROUP\\PC$", "machine", "HOME GROUP", "PC$"),
        ("Local system", "system", None, None),
        ("LOCAL SYSTEM", "system", None, None),
        ("rudi", "user", None, "rudi"),
        ("NT AUTHORITY\\", "user", "NT AUTHORITY", None),
        ("AzureAD\\rudi", "user", "AzureAD", "rudi"),
    ],
)
def test_contexts(context: str, kind: str, domain: str | None, name: str | None) -> None:
    assert parse_context(context) == {"raw": context, "kind": kind, "domain": domain, "name": name}


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("2026-11-03T10:15:30.1234567Z", "2026-11-03T10:15:30.1234567Z"),
        ("2026-11-03T10:15:30Z", "2026-11-03T10:15:30.0000000Z"),
        ("2026-11-03T10:15:30.5Z", "2026-11-03T10:15:30.5000000Z"),
        ("2026-11-03T10:15:30.123456789Z", "2026-11-03T10:15:30.1234567Z"),
        ("2026-11-03 10:15:30", "2026-11-03T10:15:30.0000000Z"),
        ("2026-11-03t10:15:30,25z", "2026-11-03T10:15:30.2500000Z"),
        ("2026-11-03T00:15:30+01:00", "2026-11-02T23:15:30.0000000Z"),
        ("2026-11-03T10:15:30.1-0230", "2026-11-03T12:45:30.1000000Z"),
        ("1601-01-01T00:00:00Z", "1601-01-01T00:00:00.0000000Z"),
        ("0001-01-01T00:00:00+01:00", None),
        ("2026-13-03T10:15:30.1234567Z", None),
        ("2026-02-30T10:15:30Z", None),
        ("2026-W01-1T10:15:30.1234567Z", None),
        ("\u0662026-11-03T10:15:30.123456Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (20261103, None),
    ],
)
def test_times(given: object, normal: str | None) -> None:
    assert normal_time(given) == normal


def test_a_time_as_a_datetime() -> None:
    moment = time_of("2026-11-03T10:15:30.1234567Z")
    assert moment is not None
    assert moment.isoformat() == "2026-11-03T10:15:30.123456+00:00"
    assert time_of("soon") is None


def test_what_is_no_event_is_named() -> None:
    with pytest.raises(NotAnEventError, match=r"^element 1 is not an event \(a dict\) but of type str$"):
        parse_events(cast(list[RawEvent], [raw(), "86"]))


def test_a_parsed_event_is_json() -> None:
    event = parse(raw(87, MessageText=DENIED))
    assert json.loads(json.dumps(event)) == event
