"""Which events are wanted: by id, time and computer."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection, SinceError, parse_since

NOW = datetime(2026, 3, 10, 12, 30, 15, 250000, tzinfo=timezone.utc)


def event(
    computer: str | None = "PC7.corp.example", time: str | None = "2026-03-02T07:15:00.1234567Z", event_id: int = 86
) -> RawEvent:
    return {
        "record_id": 1,
        "event_id": event_id,
        "log": "Application",
        "computer": computer,
        "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
        "level": 2,
        "time_created": time,
        "user_sid": None,
        "data": {},
        "message": None,
    }


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("7d", "2026-03-03T12:30:15.2500000Z"),
        ("12h30m", "2026-03-10T00:00:15.2500000Z"),
        (" 1W2D ", "2026-03-01T12:30:15.2500000Z"),
        ("90s", "2026-03-10T12:28:45.2500000Z"),
        ("P1DT12H", "2026-03-09T00:30:15.2500000Z"),
        ("PT5M", "2026-03-10T12:25:15.2500000Z"),
        ("999999w", "1601-01-01T00:00:00.0000000Z"),
        ("999999d", "1601-01-01T00:00:00.0000000Z"),
        ("600w", "2014-09-09T12:30:15.2500000Z"),
        ("2026-03-02", "2026-03-02T00:00:00.0000000Z"),
        ("2026-03-02T07:15", "2026-03-02T07:15:00.0000000Z"),
        ("2026-03-02 07:15+02:00", "2026-03-02T05:15:00.0000000Z"),
        ("2026-03-02T07:15:00.1234567Z", "2026-03-02T07:15:00.1234567Z"),
        ("2026-03-02T07:15:00-01:30", "2026-03-02T08:45:00.0000000Z"),
        ("1500-01-01", "1601-01-01T00:00:00.0000000Z"),
        (date(2026, 3, 2), "2026-03-02T00:00:00.0000000Z"),
        (datetime(2026, 3, 2, 7, 15), "2026-03-02T07:15:00.0000000Z"),
        (datetime(2026, 3, 2, 7, 15, tzinfo=timezone(timedelta(hours=1))), "2026-03-02T06:15:00.0000000Z"),
    ],
)
def test_since(value: object, moment: str) -> None:
    assert parse_since(value, NOW) == moment


@pytest.mark.parametrize(
    "value", ["", "yesterday", "d", "P", "7", 7, "2026-13-01", "2026-03-02T25:00:00Z", "7d ago", "-7d", "PT"]
)
def test_a_since_that_is_none(value: object) -> None:
    with pytest.raises(SinceError) as raised:
        parse_since(value, NOW)
    assert str(raised.value) == (f"{value!r} is neither a duration such as 7d or 12h30m nor an ISO 8601 time")


@pytest.mark.parametrize(
    ("time", "wanted"),
    [
        ("2026-03-02T07:15:00.1234567Z", True),
        ("2026-03-02T07:15:00.1234568Z", True),
        ("2026-03-02T07:15:00.1234566Z", False),
        (None, True),
    ],
)
def test_events_since(time: str | None, *, wanted: bool) -> None:
    selection = Selection([86], since="2026-03-02T07:15:00.1234567Z")
    assert selection.wants(event(time=time)) is wanted


@pytest.mark.parametrize(
    ("asked", "computer", "wanted"),
    [
        ([], "anything", True),
        (["pc7"], "PC7.corp.example", True),
        (["PC7"], "pc7", True),
        (["pc7.corp.example"], "PC7.CORP.EXAMPLE", True),
        (["pc7.corp.example"], "PC7", True),
        (["pc7.corp.example"], "pc7.other.example", False),
        (["pc7"], "pc70.corp.example", False),
        (["pc8", "pc7"], "PC7.corp.example", True),
        (["pc7"], None, False),
    ],
)
def test_events_of_computers(asked: list[str], computer: str | None, *, wanted: bool) -> None:
    assert Selection([86], computers=asked).wants(event(computer=computer)) is wanted


def test_events_by_id() -> None:
    assert [event_id for event_id in range(84, 90) if Selection([86, 88]).wants(event(event_id=event_id))] == [86, 88]
