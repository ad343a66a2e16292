"""What may be said of an enrolment, by what was seen of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.event import Event, parse_events
from ansible_collections.winpki.scep.plugins.plugin_utils.verification import (
    Verdict,
    blind_spots,
    overall,
    quiet_verdict,
    verdict,
)

from tests.unit.evidence_data import profile

URL = "https://ndes01.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"
TLS = "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"


def event(event_id: int, *, context: str = "LAB\\CLIENT1$", url: str = URL) -> dict[str, Any]:
    data = {"Context": context, "Url": url, "MessageText": "GetCACaps", "Method": "GET(9ms)", "Stage": "GetCACaps"}
    error = {} if event_id == 88 else {"ErrorCode": TLS}
    time = "2026-11-20T08:00:00.0000000Z"
    return {"record_id": 7, "event_id": event_id, "time_created": time, "data": {**data, **error}, "message": None}


def events(*raw: Any) -> list[Event]:
    return parse_events(raw)


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        ([], "open"),
        ([event(88)], "succeeded"),
        ([event(86)], "failed"),
        ([event(87)], "failed"),
        ([event(86), event(88)], "succeeded"),
        ([event(88), event(86)], "failed"),
        ([event(86), event(88, context="LAB\\anna")], "failed"),
        ([event(88, url="https://NDES01.lab.example:443/CertSrv/mscep/mscep.dll/pkiclient.exe")], "succeeded"),
        ([event(88, url=URL.replace("https", "http"))], "open"),
        ([event(88, url="https://ndes02.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe")], "open"),
        ([event(88, url="")], "open"),
    ],
)
def test_events(raw: list[dict[str, Any]], outcome: str) -> None:
    assert verdict(URL, events(*raw), [], [])["outcome"] == outcome


def test_what_a_failure_rests_on() -> None:
    assert verdict(URL, events(event(86)), [], []) == {
        "url": URL,
        "outcome": "failed",
        "seen": {
            "kind": "event",
            "event_id": 86,
            "record_id": 7,
            "time_created": "2026-11-20T08:00:00.0000000Z",
            "context": "LAB\\CLIENT1$",
            "stage": "GetCACaps",
            "hresult": "0x80072f8f",
        },
        "detail": "Event 86 of 2026-11-20T08:00:00.0000000Z says that an enrolment failed with 0x80072f8f.",
    }


OLD, NEW = "0B7C1E5D2A94F8360E1D7A55C08B3F6692D4EE17", "5D2A94F8360E1D7A55C08B3F6692D4EE170B7C1E"


@pytest.mark.parametrize(
    ("before", "now", "outcome"),
    [
        ({"certificate_thumbprint": None}, {"certificate_thumbprint": NEW}, "succeeded"),
        ({"certificate_thumbprint": OLD}, {"certificate_thumbprint": NEW}, "succeeded"),
        ({"certificate_thumbprint": OLD}, {"certificate_thumbprint": OLD, "status": 1, "error_code": None}, "open"),
        ({"certificate_thumbprint": OLD}, {"certificate_thumbprint": None}, "open"),
        ({"certificate_thumbprint": OLD}, {"certificate_thumbprint": NEW, "urls": ["https://other.example/"]}, "open"),
        ({"certificate_thumbprint": OLD}, {"certificate_thumbprint": NEW, "source": "registry"}, "open"),
    ],
)
def test_certificates(before: dict[str, Any], now: dict[str, Any], outcome: str) -> None:
    assert verdict(URL, [], [profile(URL, **before)], [profile(URL, **now)])["outcome"] == outcome


@pytest.mark.parametrize(("raw", "outcome"), [([], "quiet"), ([event(86)], "failed"), ([event(88)], "succeeded")])
def test_silence_is_no_success(raw: list[dict[str, Any]], outcome: str) -> None:
    found = quiet_verdict(URL, events(*raw), 30.0)
    assert found["outcome"] == outcome
    assert (found["seen"] is None) == (outcome == "quiet")


@pytest.mark.parametrize(
    ("outcomes", "worst"),
    [
        (["succeeded", "quiet"], "succeeded"),
        (["succeeded", "open"], "open"),
        (["open", "failed", "succeeded"], "failed"),
        (["quiet"], "quiet"),
        ([], "open"),
    ],
)
def test_the_worst_counts(outcomes: list[Any], worst: str) -> None:
    verdicts: list[Verdict] = [{"url": URL, "outcome": one, "seen": None, "detail": ""} for one in outcomes]
    assert overall(verdicts) == worst


@pytest.mark.parametrize(
    ("answer", "level", "spots"),
    [
        ({"log": {"name": "Application", "enabled": True, "rolled_over": False}}, 4, []),
        ({"log": {"name": "Application", "enabled": None, "rolled_over": None}}, None, []),
        (None, 5, ["The event log could not be read."]),
        (
            {"log": {"name": "Application", "enabled": False, "rolled_over": True}},
            3,
            [
                "The log Application is disabled, so no event is written to it.",
                "The log Application has overwritten events meanwhile.",
                "At log level 3 Windows writes no successes.",
            ],
        ),
    ],
)
def test_blind_spots(answer: dict[str, Any] | None, level: int | None, spots: list[str]) -> None:
    assert blind_spots(answer, level) == spots
