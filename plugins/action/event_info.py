# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module event_info, and compares the host's clock with the controller's. Documentation: the module's."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import date, datetime, timezone
from typing import Any

from ansible.plugins.action import ActionBase

_MODULE = "winpki.scep.event_info"
# Windows counts in steps of 100 ns, datetime in microseconds.
_HOST_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6})\d*Z", re.ASCII)


class ActionModule(ActionBase):
    """One round trip to the host; a failure of the connection or of the module is handed on as it is."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the module's result, with ``host.clock_skew_seconds`` and ``host.round_trip_seconds``."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        # YAML makes a date of an unquoted ISO time, which ansible-core before 2.19 can't send to a PowerShell module.
        args = {
            name: value.isoformat() if isinstance(value, date) else value for name, value in self._task.args.items()
        }
        started = time.time()
        begin = time.monotonic()
        found = self._execute_module(module_name=_MODULE, module_args=args, task_vars=task_vars)
        seconds = time.monotonic() - begin
        result.update(found)
        host = result.get("host")
        if isinstance(host, Mapping):
            result["host"] = {
                **host,
                "clock_skew_seconds": clock_skew(host.get("time"), started, seconds),
                "round_trip_seconds": round(seconds, 3),
            }
        return result


def clock_skew(host_time: object, started: float, seconds: float) -> float | None:
    """How far the host's clock is ahead of this machine's, by Cristian's algorithm.

    Args:
        host_time: the host's time, read while it ran the module.
        started: this machine's time when the round trip began, in seconds since 1970.
        seconds: how long the round trip took.

    Returns:
        Seconds, wrong by at most half the round trip; None if the host did not tell its time.
    """
    match = _HOST_TIME.fullmatch(host_time) if isinstance(host_time, str) else None
    if match is None:
        return None
    try:
        there = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return round(there.timestamp() - (started + seconds / 2), 3)
