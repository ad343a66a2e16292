# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The URLs that enrolment on a host still fails with: those worth asking from that host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.winpki.scep.plugins.plugin_utils.cause import SUCCESS
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import endpoint_key, http_url, parse_endpoint
from ansible_collections.winpki.scep.plugins.plugin_utils.event import parse_events
from ansible_collections.winpki.scep.plugins.plugin_utils.report_input import host_row, own_events

# What evidence_info takes at a time.
LIMIT = 100


def with_http(urls: Sequence[str], port: int) -> list[str]:
    """Returns ``urls`` and, behind them, the HTTP URL of each NDES server's HTTPS URL, at most LIMIT of all.

    Args:
        urls: such as failing_urls returns.
        port: of HTTP, where the server has one of its own; 0 for 80.
    """
    ndes = [url for url in urls if (endpoint := parse_endpoint(url)) and endpoint["kind"] == "ndes"]
    return list(dict.fromkeys([*urls, *(http_url(url, port or None) for url in ndes)]))[:LIMIT]


def failing_urls(result: Mapping[str, Any] | None) -> list[str]:
    """Returns each URL whose last failure no success followed, the newest failure first, at most LIMIT.

    Only events of the host's own log count: those that a collector was sent failed on other hosts.

    Args:
        result: what event_info returned, of any success; None if it did not run.
    """
    row = host_row("host", result)
    if row["log"] is None or result is None:
        return []
    own = (event for event in own_events(row, result["events"]) if event.get("host") == row["host"])
    failures: dict[str, tuple[str, int, str]] = {}
    successes: dict[str, tuple[str, int]] = {}
    for event in parse_events(own):
        endpoint, record_id = event["endpoint"], event["record_id"]
        if endpoint is None or not endpoint["host"] or not event["url"]:
            continue
        place = endpoint_key(endpoint)
        moment = event["time_created"] or "", -1 if record_id is None else record_id
        if event["event_id"] == SUCCESS:
            successes[place] = max(successes.get(place, moment), moment)
        else:
            failures[place] = max(failures.get(place, (*moment, event["url"])), (*moment, event["url"]))
    still = [last for place, last in failures.items() if place not in successes or successes[place] < last[:2]]
    return [url for *_moment, url in sorted(still, reverse=True)[:LIMIT]]
