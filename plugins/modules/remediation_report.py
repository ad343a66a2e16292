# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of action plugin remediation_report: Ansible looks for it in a module of that name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remediation_report
version_added: "0.1.0"
short_description: Says what came of the remediation of a fleet
description:
  - Joins what the gate let pass on each host, what the roles did there and what the next enrolment gave, prints it, and
    writes it to a file with the ids of the changes. It also says whether further hosts may be changed after that.
  - It tells of all hosts so far in this run of Ansible, so each batch of a play with C(serial) tells of those before it
    too. Hosts on which nothing fails are left out, no others.
  - It is an action plugin. It works on the controller alone, connects to no host and changes none.
options:
  gate:
    description: Name of the variable in which M(winpki.scep.remediation_gate) was registered on the hosts.
    type: str
    required: true
  roles:
    description: By role, the name of the variable in which the role registers its result on the hosts.
    type: dict
    required: true
  verified:
    description:
      - Name of the variable in which M(winpki.scep.verify_enrolment) was registered on the hosts. A host without it
        counts as not verified.
    type: str
    required: true
  output:
    description:
      - Where the result is written, relative to the folder in which the playbook was started. The folder is made if
        need be, and a file that is there is replaced in one step.
    type: path
    default: remediation/result.json
  begin:
    description:
      - Only write down that the hosts of this batch are being worked on, before anything is changed. So an older file
        is never taken for that of this run, and a file that can't be written ends the run here.
    type: bool
    default: false
  max_fail:
    description:
      - How many of the hosts of a batch that were let pass may end V(not_done) or V(unverified), in percent of them.
        With more of them, RV(stop) is set.
    type: int
    default: 10
  required:
    description:
      - Whether the hosts of this batch are canary hosts. RV(stop) is then set where one was not read, was held back, or
        was not seen to enrol again.
    type: bool
    default: false
attributes:
  check_mode:
    description: Prints what is known. The file is not written.
    support: full
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: none
  bypass_host_loop:
    description: Runs once for all hosts, so not with the strategies C(free) and C(host_pinned).
    support: full
  platform:
    description: Target operating systems.
    support: full
    platforms: all
notes:
  - Give the task C(delegate_to=localhost), so that bad connection variables of the first host are no hindrance, and
    C(run_once=true). In C(always) it runs for failed hosts too.
seealso:
  - module: winpki.scep.remediation_gate
  - module: winpki.scep.verify_enrolment
author:
  - winpki.scep contributors (@winpki)
"""

EXAMPLES = r"""
- name: Say what came of it
  winpki.scep.remediation_report:
    gate: remediate_result
    roles:
      trust_ndes_chain: trust_ndes_chain_result
      use_http: use_http_result
      disable_aik: disable_aik_result
    verified: verify_result
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
hosts:
  description: By inventory name, the hosts so far on which something fails or was not read, and those that are planned.
  returned: always
  type: dict
  contains:
    host:
      description: Inventory name.
      type: str
      returned: always
    outcome:
      description:
        - V(not_read) if the host's events were not read, V(held) if the gate let nothing pass, V(left_alone) if no
          remedy is justified for what fails, V(not_reached) if the plan has something for it and its turn has not come.
        - V(not_done) if a remedy was refused, failed, or was not seen to its end.
        - Else what the next enrolment gave, as RV(winpki.scep.verify_enrolment#module:outcome), or V(unverified) if it
          was not waited for.
      type: str
      returned: always
    detail:
      description: A sentence.
      type: str
      returned: always
    changes:
      description: >-
        One for each role that was to act, with C(role), C(changed) (null if it was not seen to its end), C(change_ids)
        (of the undo records on the host) and C(message) (why it failed, or null).
      type: list
      elements: dict
      returned: always
    look_again:
      description: When to look at it again, ISO 8601 UTC. Null for never.
      type: str
      returned: always
  sample:
    client1:
      host: client1
      outcome: succeeded
      detail: Event 88 of 2026-11-24T14:20:11.5123456Z says that a certificate was enrolled.
      changes:
        - role: trust_ndes_chain
          changed: true
          change_ids: [20261124T142004Z-5f0c19ab]
          message: null
      look_again: null
proven:
  description:
    - Whether a host was seen to enrol again, or to fail no more, or was changed where enrolments are not waited for.
  returned: always
  type: bool
  sample: true
stop:
  description:
    - Why no further host may be changed, a sentence. Null if the run may go on. It is so at the first enrolment that
      still fails, by O(max_fail), and by O(required).
  returned: always
  type: str
  sample: null
written:
  description: Absolute path of the file, null if none was written.
  returned: always
  type: str
  sample: /srv/pki/remediation/result.json
"""
