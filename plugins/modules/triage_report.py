# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of action plugin triage_report: Ansible looks for it in a module of the same name, which never runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: triage_report
version_added: "0.1.0"
short_description: Names the causes of failed SCEP enrolments of a fleet, prints them and writes them to files
description:
  - Joins what M(winpki.scep.event_info) returned for every host of the play, or the events of exported logs, into one
    report.
  - Names the cause of each failure, prints a summary on the terminal, and writes C(findings.json) (complete) and
    C(findings.csv) (one row a finding, safe to open in a spreadsheet).
  - It is an action plugin. It works on the controller alone and connects to no host.
  - A host that could not be reached, that failed or that no task asked is in the report with the reason.
  - An inventory host finds its own events again under its inventory name, also those from before it was renamed.
    Events in a collector's log carry the inventory name of their source if the play asked that one too, else the
    computer name.
options:
  result:
    description:
      - Name of the variable in which M(winpki.scep.event_info) was registered on the hosts.
      - Mutually exclusive with O(files). Without both, the rules and the folder are checked and no report is made,
        which is worth a task before a long reading.
    type: str
  evidence:
    description:
      - Name of the variable in which M(winpki.scep.evidence_info) was registered on the hosts. It makes causes exact,
        and contradictions are noted. Hosts without it are judged by their events alone.
      - Requires O(result).
    type: str
  files:
    description:
      - Exported logs on the controller, as P(winpki.scep.event_file#lookup) reads them. Files, folders and patterns,
        relative to the folder in which the playbook was started, or else to the playbook.
      - Damage, and what is not there, is in the report. An event that is in several files counts once.
    type: list
    elements: path
  encoding:
    description:
      - Encoding of those of O(files) that are XML and do not say it themselves, for example V(cp850) if the output of
        C(wevtutil qe) was sent to a file in a western European command prompt. Without it they are UTF-8.
    type: str
  rules:
    description:
      - Your own rules, which come before those of the collection. A list of rules, or the path of a YAML file that
        holds one, on the controller, relative to the playbook.
    type: raw
    default: []
  since:
    description:
      - What O(result) was asked for, to be shown. It selects nothing.
    type: str
  output:
    description:
      - Folder on the controller for the two files, relative to the folder in which the playbook was started. It is
        made if need be.
      - A file that is there is replaced in one step, so that a reader never sees half of one.
    type: path
    default: triage-out
attributes:
  check_mode:
    description: Prints the summary; the files are not written, and the output says so.
    support: partial
    details: The report itself is not written.
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: none
  bypass_host_loop:
    description: Runs once for all hosts of the play, so not with the strategies C(free) and C(host_pinned).
    support: full
  platform:
    description: Target operating systems.
    support: full
    platforms: all
notes:
  - Give the task C(delegate_to=localhost), so that bad connection variables of the first host are no hindrance, and
    C(run_once=true), so that what it registers is there for all hosts.
  - It fails if no log could be read at all, after it has printed and written what is known. It does not fail for some
    hosts that could not be read, nor for what it finds. Use RV(summary) and RV(status) to decide on that.
seealso:
  - module: winpki.scep.event_info
  - module: winpki.scep.evidence_info
  - plugin: winpki.scep.event_file
    plugin_type: lookup
  - plugin: winpki.scep.classify_events
    plugin_type: filter
  - plugin: winpki.scep.summarize_findings
    plugin_type: filter
author:
  - winpki.scep contributors (@winpki)
"""

EXAMPLES = r"""
- name: Read the enrolment events of each host
  winpki.scep.event_info:
    since: 7d
    group: true
  register: enrolment
  ignore_errors: true
  ignore_unreachable: true

- name: Report
  winpki.scep.triage_report:
    result: enrolment
    since: 7d
  delegate_to: localhost
  run_once: true
  register: report

- name: Let the play fail while a host can't enrol
  ansible.builtin.assert:
    that: report.summary.open == 0
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
summary:
  description: The totals, as P(winpki.scep.summarize_findings#filter) returns them.
  returned: if a report was made and at least one log could be read
  type: dict
  sample:
    findings: 12
    open: 9
    resolved: 2
    transient: 1
    hosts: 8
    open_hosts: 6
    events: 340
    open_events: 311
    unknown_events: 0
    causes: []
status:
  description: Number of hosts by what became of them.
  returned: if a report was made
  type: dict
  contains:
    ok:
      description: Hosts whose enrolment events were read.
      type: int
      returned: always
    quiet:
      description: Hosts whose log was read and holds no enrolment event.
      type: int
      returned: always
    failed:
      description: Hosts that failed.
      type: int
      returned: always
    unreachable:
      description: Hosts that could not be reached.
      type: int
      returned: always
    not_read:
      description: Hosts that nobody asked, as they had left the play before or were skipped.
      type: int
      returned: always
  sample: {ok: 8, quiet: 9, failed: 1, unreachable: 1, not_read: 0}
files:
  description: Absolute paths of the files on the controller; empty in check mode.
  returned: if a report was made
  type: dict
  sample:
    findings.csv: /srv/triage/triage-out/findings.csv
    findings.json: /srv/triage/triage-out/findings.json
"""
