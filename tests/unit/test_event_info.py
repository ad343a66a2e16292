"""The controller's part of event_info: what a host's clock differs by."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from ansible_collections.winpki.scep.plugins.action.event_info import clock_skew

STARTED = datetime(2026, 11, 20, 8, 0, 0, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("host_time", "skew"),
    [
        ("2026-11-20T08:00:01.0000000Z", 0.0),
        ("2026-11-20T08:00:01.2344999Z", 0.234),
        ("2026-11-20T08:00:00.5000000Z", -0.5),
        ("2026-11-20T10:00:01.0000000Z", 7200.0),
        ("2026-11-19T08:00:01.0Z", -86400.0),
        ("2026-11-31T08:00:01.0000000Z", None),
        ("2026-11-20T08:00:01Z", None),
        ("2026-11-20T08:00:01.0000000", None),
        ("yesterday", None),
        (1763625601, None),
        (None, None),
    ],
)
def test_clock_skew_is_against_the_middle_of_the_round_trip(host_time: object, skew: float | None) -> None:
    assert clock_skew(host_time, STARTED, 2.0) == skew
