# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which events of a log file are wanted, in the terms of module event_info."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone

from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent, normal_time

PROVIDER = "Microsoft-Windows-CertificateServicesClient-CertEnroll"
FIELD_NAMES = ("Context", "Url", "MessageText", "Method", "Stage", "ErrorCode")

_DURATION = re.compile(
    r"""
    (?=.*[0-9])
    (?:
        (?:(?P<w>[0-9]{1,6})w)? (?:(?P<d>[0-9]{1,6})d)? (?:(?P<h>[0-9]{1,8})h)? (?:(?P<m>[0-9]{1,9})m)?
        (?:(?P<s>[0-9]{1,9})s)?
      | P (?:(?P<iso_w>[0-9]{1,6})W)? (?:(?P<iso_d>[0-9]{1,6})D)?
        (?:T(?=[0-9]) (?:(?P<iso_h>[0-9]{1,8})H)? (?:(?P<iso_m>[0-9]{1,9})M)? (?:(?P<iso_s>[0-9]{1,9})S)?)?
    )
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_WITHOUT_SECONDS = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ](?P<minutes>[0-9]{2}:[0-9]{2})(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.ASCII | re.IGNORECASE,
)
# A Windows file time can't be older.
_EARLIEST = "1601-01-01T00:00:00.0000000Z"


class SinceError(ValueError):
    """The value is neither a duration nor a time."""

    def __init__(self, value: object) -> None:
        """Says what the value is, and what it can be."""
        super().__init__(f"{value!r} is neither a duration such as 7d or 12h30m nor an ISO 8601 time")


def parse_since(value: object, now: datetime) -> str:
    """Returns the moment as event times are written (UTC, seven decimals): a duration goes back from now.

    A time without a zone is UTC, as everywhere in this collection; YAML may have made a date of it already.

    Raises:
        SinceError: it is neither a duration nor a time.
    """
    text = (value.isoformat() if isinstance(value, date) else str(value)).strip()
    duration = _DURATION.fullmatch(text)
    if duration is not None:
        amounts = {unit: int(duration[key] or duration[f"iso_{key}"] or 0) for key, unit in _UNITS.items()}
        try:
            moment = now.astimezone(timezone.utc) - timedelta(**amounts)
        except OverflowError:
            return _EARLIEST
        text = moment.isoformat()
    short = _WITHOUT_SECONDS.fullmatch(text)
    if short is not None:
        text = f"{short['day']}T{short['minutes'] or '00:00'}:00{short['zone'] or ''}"
    time = normal_time(text)
    if time is None:
        raise SinceError(value)
    return max(_EARLIEST, time)


class Selection:
    """The wanted events: by id, by time (None: any) and by computer (none named: any).

    A name without a domain stands for that name in any domain, and an event may have its computer without one.
    """

    def __init__(self, event_ids: Iterable[int], since: str | None = None, computers: Iterable[str] = ()) -> None:
        """`since` is a time with seven decimals, as `parse_since` returns it."""
        self.event_ids = frozenset(event_ids)
        self.since = since
        self.computers = frozenset(name.lower() for name in computers)
        self._labels = frozenset(name.partition(".")[0] for name in self.computers)

    def wants(self, event: RawEvent) -> bool:
        """Says whether the event is of the provider and wanted. Its time has seven decimals, or is None: then it is."""
        if event["provider"] != PROVIDER or event["event_id"] not in self.event_ids:
            return False
        if self.since is not None and (event["time_created"] or self.since) < self.since:
            return False
        if not self.computers:
            return True
        computer = (event["computer"] or "").lower()
        label = computer.partition(".")[0]
        return computer in self.computers or label in (self._labels if label == computer else self.computers)
