# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter classify_events: parsed SCEP enrolment events to findings with a cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import (
    NotParsedError,
    RuleError,
    classify_events,
    load_rules,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import (
    as_data,
    no_garbage_collection,
    plain,
    plain_items,
    type_name,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.rule_expression import MissingLibraryError

DOCUMENTATION = r"""
name: classify_events
author: winpki.scep contributors
version_added: "0.1.0"
short_description: Names the causes of failed SCEP enrolments
description:
  - Groups parsed events by host, server and cause into findings, of any number of hosts at once.
  - The first rule that an event hits names its cause. The built-in rules and what each cause means are described in
    C(docs/causes.md). A code that fits several causes does not make one of them up, it is told as what it is.
  - Successes (event 88) give no finding. They end the failures before them on the same host and server.
positional: _input, rules, hosts, evidence
options:
  _input:
    description: Events, as P(winpki.scep.parse_events#filter) returns them.
    type: list
    elements: dict
    required: true
  rules:
    description:
      - Rules of your own, tried in this order before the built-in ones.
      - A rule that can't be used is refused with its id and the reason.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description:
          - Name of the cause, of lower-case letters, digits and underscores.
          - With the id of a built-in rule, the built-in one is still tried for what yours does not hit.
        type: str
        required: true
      when:
        description:
          - JMESPath expression over C({event, evidence}); the rule is hit where its value is not null, false or empty.
          - What is not in the event is null, and a function that is given null where it can't bear it counts as false.
        type: str
        required: true
      certainty:
        description: How sure the cause is for an event that hits the rule.
        type: str
        choices: [proven, likely, possible]
        required: true
      summary:
        description: The cause in one sentence.
        type: str
        required: true
      advice:
        description: What an administrator should do.
        type: str
        default: ''
      references:
        description: Where to read on.
        type: list
        elements: str
        default: []
      remedies:
        description: Roles of this collection that can mend it.
        type: list
        elements: dict
        default: []
        suboptions:
          role:
            description: The role.
            type: str
            choices: [trust_ndes_chain, use_http, disable_aik]
            required: true
          needs:
            description: What the role has to see before it writes, of the needs that C(docs/causes.md) lists.
            type: list
            elements: str
            required: true
          reason:
            description: Why it is proposed.
            type: str
            required: true
          when:
            description: JMESPath expression like that of the rule; the remedy is left out where it is not true.
            type: str
      probe:
        description: What a probe of the event's endpoint has to find for this cause.
        type: dict
        suboptions:
          failures:
            description: The words of M(winpki.scep.endpoint_info) that stand for it.
            type: list
            elements: str
            required: true
          certainty:
            description: How sure the cause is then.
            type: str
            choices: [proven, likely, possible]
            default: proven
          refines:
            description: Ids of the rules whose cause becomes this one when a probe finds it.
            type: list
            elements: str
            default: []
      transient_after_start:
        description: >-
          Whether a failure in the first ten minutes after the host's start that has not come again is V(transient).
        type: bool
        default: false
  hosts:
    description:
      - What is known of each host, by inventory name. Each value is the C(host) that M(winpki.scep.event_info) returns.
      - C(name) leads from an event's computer to the inventory name, C(start_time) tells failures that came with a
        start, and a C(clock_skew_seconds) of more than 120 is said in the host's findings.
    type: dict
    default: {}
  evidence:
    description:
      - What modules have found out about each host, by inventory name. Each value is a dict of C(endpoints), as
        M(winpki.scep.endpoint_info) returns them, C(profiles) and C(aik), any of which may be missing.
      - What was found at the endpoint of an event makes a vague cause an exact one, or a likely one V(proven). Where it
        contradicts the event, a note says so.
      - A rule sees its host's as C(evidence), with C(evidence.endpoint) for the event's own endpoint.
    type: dict
    default: {}
seealso:
  - plugin: winpki.scep.parse_events
    plugin_type: filter
  - plugin: winpki.scep.summarize_findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Name the causes of what an exported log holds
  ansible.builtin.set_fact:
    findings: "{{ query('winpki.scep.event_file', 'client1.evtx') | winpki.scep.parse_events
      | winpki.scep.classify_events }}"

- name: Read the events of all hosts
  winpki.scep.event_info:
    since: 7d
  register: events

- name: The same for a fleet, with a rule of your own in front
  ansible.builtin.debug:
    msg: "{{ raw | winpki.scep.parse_events | winpki.scep.classify_events(rules=my_rules, hosts=known) }}"
  run_once: true
  delegate_to: localhost
  vars:
    raw: "{{ ansible_play_hosts | map('extract', hostvars, ['events', 'events']) | flatten(levels=1) }}"
    known: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, ['events', 'host']))) }}"
    my_rules:
      - id: old_ndes_name
        when: event.endpoint.host == 'ndes-old.intra.example' && event.error.family == 'winhttp'
        certainty: proven
        summary: The profile still names the NDES server that was switched off.
        advice: Assign the new SCEP profile to this host.
"""

RETURN = r"""
_value:
  description: Findings, by host, server and order of the rules.
  type: list
  elements: dict
  contains:
    host:
      description: Inventory name where it is known, else the computer's name as in the event.
      type: str
    computer:
      description: The computer's name as in the newest event.
      type: str
    key:
      description: 16 hex digits for host, server and cause, equal in every run.
      type: str
    cause:
      description: Id of the rule.
      type: str
    certainty:
      description: V(proven), V(likely) or V(possible).
      type: str
    state:
      description: >-
        V(resolved) if a success on the same host and server followed, V(transient) if the failure came with the host's
        start and has not come again, else V(open).
      type: str
    summary:
      description: The cause in one sentence.
      type: str
    advice:
      description: What to do.
      type: str
    references:
      description: Where to read on.
      type: list
      elements: str
    remedies:
      description: Roles that can mend it, with what each needs and why; those that do not fit the server are left out.
      type: list
      elements: dict
    endpoint:
      description: The server, as in P(winpki.scep.parse_events#filter).
      type: dict
    error:
      description: The newest failure's error, as in P(winpki.scep.parse_events#filter).
      type: dict
    message:
      description: The newest failure's text, at most 2,000 characters.
      type: str
    count:
      description: Number of failures.
      type: int
    first_seen:
      description: Time of the oldest failure.
      type: str
    last_seen:
      description: Time of the newest failure.
      type: str
    event_ids:
      description: Event ids among the failures.
      type: list
      elements: int
    contexts:
      description: On whose behalf was enrolled, at most five.
      type: list
      elements: str
    resolved_by:
      description: Event id, record id and time of the success that ended it.
      type: dict
    evidence:
      description: What the cause rests on.
      type: list
      elements: dict
    notes:
      description: What else is worth knowing, such as that the host's clock is off.
      type: list
      elements: str
"""


def _classify_events(
    events: Iterable[Any],
    rules: Sequence[Mapping[str, Any]] = (),
    hosts: Mapping[str, Any] | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Any:
    if not isinstance(events, (list, tuple)):
        raise AnsibleFilterError(f"classify_events: the input must be a list of events, not {type_name(events)}")
    for name, value in (("hosts", hosts), ("evidence", evidence)):
        if value is not None and not isinstance(value, Mapping):
            raise AnsibleFilterError(f"classify_events: {name} must be a dict by host, not {type_name(value)}")
    try:
        loaded = load_rules(plain(rules))
        known, probed = plain(hosts or {}), plain(evidence or {})
        with no_garbage_collection():
            return as_data(classify_events(plain_items(events), loaded, known, probed), events)
    except (RuleError, NotParsedError, EvidenceError, MissingLibraryError) as error:
        raise AnsibleFilterError(f"classify_events: {error}") from error


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Returns the filter by its name."""
        return {"classify_events": _classify_events}
