# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter failing_urls: the URLs that enrolment on a host still fails with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.winpki.scep.plugins.plugin_utils.failing_urls import failing_urls, with_http
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import as_data, plain, type_name

DOCUMENTATION = r"""
name: failing_urls
author: winpki.scep contributors (@winpki)
version_added: "0.1.0"
short_description: Gives the URLs that enrolment on a host still fails with
description:
  - Gives each URL whose last failure no success (event 88) followed, for M(winpki.scep.evidence_info) or
    M(winpki.scep.endpoint_info) to ask from the same host.
  - Only events of the log that was read itself count. Events that a collector was sent failed on other hosts, and what
    the collector meets at their URLs says nothing about them.
options:
  _input:
    description:
      - What M(winpki.scep.event_info) returned for the host. If it failed, or was skipped, there are no URLs.
    type: dict
    required: true
  http:
    description:
      - Give the HTTP URL of each NDES server's HTTPS URL too, so that the host finds out whether it could enrol over
        plain HTTP. P(winpki.scep.plan_remediation#filter) plans that only with such a probe.
    type: bool
    default: false
  http_port:
    description: The port of plain HTTP. V(0) for 80.
    type: int
    default: 0
seealso:
  - module: winpki.scep.event_info
  - module: winpki.scep.evidence_info
"""

EXAMPLES = r"""
- name: Read the enrolment events
  winpki.scep.event_info:
    since: 7d
  register: enrolment

- name: Take the evidence about what still fails
  winpki.scep.evidence_info:
    urls: "{{ enrolment | winpki.scep.failing_urls }}"
"""

RETURN = r"""
_value:
  description: >-
    The URLs as they stand in the events, that of the newest failure first, then those with HTTP. At most 100.
  type: list
  elements: str
"""


def _failing_urls(result: Any, http: Any = False, http_port: Any = 0) -> Any:
    if not isinstance(result, Mapping):
        raise AnsibleFilterError(f"failing_urls: the input must be a result of event_info, not {type_name(result)}")
    to_bool: Callable[[Any], bool] = boolean
    try:
        asked, port = to_bool(http), int(http_port)
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(
            f"failing_urls: http must be true or false, and http_port a number: {error}"
        ) from error
    urls = failing_urls(plain(result))
    return as_data(with_http(urls, port) if asked else urls, [])


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Returns the filter by its name."""
        return {"failing_urls": _failing_urls}
