# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host's clock is off, and how to say it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.winpki.scep.plugins.plugin_utils.event import time_of

# A clock that is further off is worth a note; Kerberos and most servers bear less than five minutes.
CLOCK_TOLERANCE_SECONDS = 120


def clock_difference(host: Mapping[str, Any]) -> str | None:
    """Returns such as ``2 hours 5 minutes behind``; None if the clock is right, not known, or may be right.

    Args:
        host: what event_info returns as ``host``: ``clock_skew_seconds``, the host's clock minus the controller's, is
            wrong by up to half of ``round_trip_seconds``, which a busy controller can make long.
    """
    skew = _seconds(host.get("clock_skew_seconds"))
    if skew is None or abs(skew) - (_seconds(host.get("round_trip_seconds")) or 0) / 2 <= CLOCK_TOLERANCE_SECONDS:
        return None
    return f"{duration_words(abs(skew))} {'ahead of' if skew > 0 else 'behind'}"


def time_by_controller(host: Mapping[str, Any]) -> datetime | None:
    """Returns the time at which a host with a wrong clock was read, by the controller's; None if its clock is right.

    Args:
        host: as in clock_difference, with ``time``, the host's own.
    """
    skew, read = _seconds(host.get("clock_skew_seconds")), time_of(host.get("time"))
    if skew is None or read is None or clock_difference(host) is None:
        return None
    try:
        return read - timedelta(seconds=skew)
    except OverflowError:
        return None


def duration_words(seconds: float) -> str:
    """Returns the two largest units of a duration in words, such as ``1 day 3 hours``."""
    whole = round(seconds)
    parts = [
        (whole // 86400, "day"),
        (whole // 3600 % 24, "hour"),
        (whole // 60 % 60, "minute"),
        (whole % 60, "second"),
    ]
    said = [f"{number} {unit}{'' if number == 1 else 's'}" for number, unit in parts if number]
    return " ".join(said[:2])


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value
