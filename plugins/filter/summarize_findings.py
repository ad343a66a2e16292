# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter summarize_findings: the totals of findings, and one row a cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from ansible.errors import AnsibleFilterError
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import Finding
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import as_data, plain_items
from ansible_collections.winpki.scep.plugins.plugin_utils.report import summarize_findings

DOCUMENTATION = r"""
name: summarize_findings
author: winpki.scep contributors (@winpki)
version_added: "0.1.0"
short_description: Counts findings by state, host and cause
description:
  - Counts what P(winpki.scep.classify_events#filter) found, over all hosts, and gives one row a cause.
  - Causes with the most hosts that still fail come first.
options:
  _input:
    description: Findings, as P(winpki.scep.classify_events#filter) returns them, or as they stand in C(findings.json).
    type: list
    elements: dict
    required: true
seealso:
  - plugin: winpki.scep.classify_events
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Say how many hosts still fail, by cause
  ansible.builtin.debug:
    msg: "{{ item.cause }}: {{ item.open_hosts }} hosts ({{ item.certainty }}), {{ item.summary }}"
  loop: "{{ (report.findings | winpki.scep.summarize_findings).causes }}"
  loop_control:
    label: "{{ item.cause }}"
  vars:
    report: "{{ lookup('ansible.builtin.file', 'triage-out/findings.json') | from_json }}"
"""

RETURN = r"""
_value:
  description: The totals.
  type: dict
  contains:
    findings:
      description: Number of findings, those that are over included.
      type: int
    open:
      description: Number of findings that nothing has ended.
      type: int
    resolved:
      description: Number of findings that a later success on the same host and server ended.
      type: int
    transient:
      description: Number of findings that came with a start of the host and not again.
      type: int
    hosts:
      description: Number of hosts with a finding.
      type: int
    open_hosts:
      description: Number of hosts with an open finding.
      type: int
    events:
      description: Number of failures, folded ones counted.
      type: int
    open_events:
      description: Number of failures in open findings.
      type: int
    unknown_events:
      description: Number of failures of which no rule knows the cause.
      type: int
    causes:
      description: One row a cause, with the most hosts that still fail first.
      type: list
      elements: dict
      contains:
        cause:
          description: Id of the cause.
          type: str
        certainty:
          description: V(proven), V(likely) or V(possible), the weakest of the findings.
          type: str
        summary:
          description: What it is, in one sentence.
          type: str
        advice:
          description: What to do next.
          type: str
        references:
          description: Where to read on.
          type: list
          elements: str
        roles:
          description: Roles that can mend it.
          type: list
          elements: str
        findings:
          description: Number of findings.
          type: int
        hosts:
          description: Number of hosts.
          type: int
        events:
          description: Number of failures.
          type: int
        open_findings:
          description: Number of open findings.
          type: int
        open_hosts:
          description: Number of hosts with an open finding.
          type: int
        open_events:
          description: Number of failures in open findings.
          type: int
        last_seen:
          description: Time of the newest failure, ISO 8601 UTC.
          type: str
"""


class _InputError(AnsibleFilterError):
    def __init__(self, element: int | None, reason: str) -> None:
        what = "the input" if element is None else f"element {element} of the input"
        super().__init__(f"summarize_findings: {what} {reason}: it takes findings, as classify_events returns them")


def _summarize(findings: Any) -> Any:
    if not isinstance(findings, list):
        raise _InputError(None, f"is {type(findings).__name__}, not a list")
    return as_data([summarize_findings(_checked(plain_items(findings)))], findings)[0]


def _checked(findings: Iterable[Any]) -> Iterator[Finding]:
    for index, finding in enumerate(findings):
        missing = Finding.__required_keys__ - (finding if isinstance(finding, dict) else {}).keys()
        if missing:
            raise _InputError(index, f"has no {', '.join(sorted(missing))}")
        yield cast("Finding", finding)


class FilterModule:
    """Tells Ansible the filter's name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Returns the filter by its name."""
        return {"summarize_findings": _summarize}
