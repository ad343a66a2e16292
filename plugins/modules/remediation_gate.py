# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of action plugin remediation_gate: Ansible looks for it in a module of that name, which never runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remediation_gate
version_added: "0.1.0"
short_description: Plans the remediation of a fleet, and lets pass what an earlier plan allows
description:
  - Plans from what M(winpki.scep.event_info) and M(winpki.scep.evidence_info) found in this run what may be done on
    each host, as P(winpki.scep.plan_remediation#filter) does.
  - In check mode it writes the plan to a file, for a person to look at. A later run that is given the file lets pass
    only what it allows. A host whose evidence has changed since in what an action rests on is held back with the
    reason, and so is a planned host on which nothing fails any more, or which can't be read.
  - Where no host of the batch, or of one before it, could be read, with a wrong password for example, it fails, and
    writes no plan.
  - Without O(result), O(evidence) and O(settings) it only looks whether the options can be used, the plan is not
    refused, and the folder of O(output) can be written to. So that is known before any host is read.
  - It is an action plugin. It works on the controller alone, connects to no host and changes none. What passes is for
    the roles to do, which look again before they write.
options:
  result:
    description: Name of the variable in which M(winpki.scep.event_info) was registered on the hosts.
    type: str
  evidence:
    description: Name of the variable in which M(winpki.scep.evidence_info) was registered on the hosts.
    type: str
  settings:
    description:
      - Name of the variable that each host has its settings in, as O(winpki.scep.plan_remediation#filter:settings). So
        an isolated network can be declared for some hosts. A host without it is left alone.
      - O(result), O(evidence) and O(settings) are given together or not at all.
    type: str
  rules:
    description:
      - Your own rules, which come before those of the collection. A list of rules, or the path of a YAML file that
        holds one, on the controller, relative to the playbook.
    type: raw
    default: []
  gate:
    description:
      - V(check) lets pass what the plan allows. Without a plan nothing passes, except in check mode, where nothing is
        written.
      - V(plan) is the same, and it is an error if an apply run has no plan.
      - V(none) lets pass all that the evidence of this run justifies.
    type: str
    choices: [none, check, plan]
    default: check
  plan:
    description:
      - A plan that an earlier run wrote, on the controller, relative to the folder in which the playbook was started;
        or the plan itself, as the text that O(publish) gives.
      - Not read with O(gate=none).
      - It is refused if it is no plan, was edited, is too old or from the future, or was made for another inventory.
    type: str
  output:
    description:
      - Where the plan is written in check mode without O(plan), relative to the folder in which the playbook was
        started. The folder is made if need be, and a file that is there is replaced in one step.
    type: path
    default: remediation/plan.json
  publish:
    description:
      - Whether a plan that is written is also set as the statistic C(scep_plan) of the run, as
        C(ansible.builtin.set_stats) does. AWX hands it to the next job of a workflow as an extra variable, where the
        file is gone with the container of the job that wrote it.
      - It is the plan in gzip and base64, behind C(scep-plan:1:). So no text that came from a host is ever taken for a
        template.
    type: bool
    default: false
  max_age:
    description:
      - Seconds. A plan that is written may be applied for so long, one that is read may be no older. The shorter of
        the two holds.
    type: int
    default: 86400
attributes:
  check_mode:
    description: In check mode, and only there, the plan is written, on the controller.
    support: full
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: none
  bypass_host_loop:
    description: Runs once for all hosts of a batch, so not with the strategies C(free) and C(host_pinned).
    support: full
  platform:
    description: Target operating systems.
    support: full
    platforms: all
notes:
  - It fails where a variable that the role P(winpki.scep.remediate#role) gives the roles below it, such as
    C(trust_ndes_chain_pins) or C(verify_urls), is given as an extra variable. That would come before what was planned.
  - Give the task C(delegate_to=localhost), so that bad connection variables of the first host are no hindrance, and
    C(run_once=true), so that what it registers is there for all hosts.
  - With C(serial), a plan that is written holds the last batch only. Plan without it.
seealso:
  - plugin: winpki.scep.plan_remediation
    plugin_type: filter
  - module: winpki.scep.evidence_info
author:
  - winpki.scep contributors (@winpki)
"""

EXAMPLES = r"""
- name: See that the plan can be written or applied, before any host is read
  winpki.scep.remediation_gate:
    plan: "{{ omit if ansible_check_mode else 'remediation/plan.json' }}"
  delegate_to: localhost
  run_once: true

- name: Read the enrolment events
  winpki.scep.event_info:
    since: 7d
    group: true
  register: enrolment

- name: Take the evidence about what still fails
  winpki.scep.evidence_info:
    urls: "{{ enrolment | winpki.scep.failing_urls }}"
  register: found

- name: Say what is allowed on this host
  ansible.builtin.set_fact:
    allowed:
      pins: ["{{ root_sha256 }}"]
      chain_server: ndes01

- name: Plan in check mode, and let pass what the plan allows otherwise
  winpki.scep.remediation_gate:
    result: enrolment
    evidence: found
    settings: allowed
    plan: "{{ omit if ansible_check_mode else 'remediation/plan.json' }}"
  register: gate
  delegate_to: localhost
  run_once: true

- name: Show what may be done on this host
  ansible.builtin.debug:
    msg: "{{ gate.hosts[inventory_hostname].allowed | default([]) }}"
"""

RETURN = r"""
hosts:
  description: >-
    By inventory name, the hosts that have an open finding, and those of this batch that are in the plan.
  returned: if O(result) is given, and a host could be read
  type: dict
  contains:
    digest:
      description: That of the host's plan.
      type: str
      returned: always
    allowed:
      description: The actions that may be done, as P(winpki.scep.plan_remediation#filter) returns them.
      type: list
      elements: dict
      returned: always
    held:
      description: >-
        The roles that are held back, each with C(role), C(reason) (V(no_plan), V(not_in_plan), V(drift), V(not_read)
        or V(same_host)) and C(message).
      type: list
      elements: dict
      returned: always
    skipped:
      description: The findings that nothing is done about, each with C(finding), C(cause) and C(reason).
      type: list
      elements: dict
      returned: always
    verify:
      description: >-
        What the role P(winpki.scep.verify#role) is to be asked after what is allowed, C(urls) and C(silent_urls). The
        URL of a profile that is switched is the one with HTTP. C(contexts) has for each of C(urls) on whose behalf was
        enrolled when it failed, as the events have it, at most five of each finding.
      type: dict
      returned: always
  sample:
    client1:
      digest: 9344c52f0bf5e4aabe3d13b9daf33c6677267931f5673819ea0d8a743a13132b
      allowed: []
      held:
        - role: trust_ndes_chain
          reason: not_in_plan
          message: this host is not in the plan
      skipped: []
      verify: {urls: [], silent_urls: [], contexts: {}}
planned:
  description: The hosts for which the plan that is applied has actions, sorted. Empty without a plan.
  returned: if RV(hosts) is
  type: list
  elements: str
  sample: [client1, kiosk1]
not_read:
  description: The hosts of this batch whose log could not be read, so that nothing is said of them.
  returned: if RV(hosts) is
  type: list
  elements: dict
  contains:
    host:
      description: Inventory name.
      type: str
      returned: always
    status:
      description: V(failed), V(unreachable) or V(not_read), which is for hosts that were not asked.
      type: str
      returned: always
    reason:
      description: Why.
      type: str
      returned: always
  sample: [{host: down1, status: unreachable, reason: timed out}]
written:
  description: Absolute path of the plan that was written, null if none was.
  returned: if RV(hosts) is
  type: str
  sample: /srv/pki/remediation/plan.json
ansible_stats:
  description: The plan as a statistic of the run. Ansible shows nothing of this result on the screen then.
  returned: if a plan was written and O(publish=true)
  type: dict
  sample: {data: {scep_plan: "scep-plan:1:H4sI"}, per_host: false, aggregate: false}
reason:
  description: >-
    Why the plan was refused, V(unreadable), V(schema), V(edited), V(future), V(too_old) or V(other_inventory).
  returned: if it was refused
  type: str
  sample: too_old
"""
