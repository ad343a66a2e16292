# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of action plugin verify_enrolment: Ansible looks for it in a module of that name, which never runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_enrolment
version_added: "0.1.0"
short_description: Starts a SCEP enrolment on a Windows host, waits for its end, and says what was seen
description:
  - Marks where the host's event log and its SCEP profiles are, starts the enrolment of the device's profiles of MDM and
    that of the AIK, and waits for an event 86, 87 or 88, or for a new certificate in a profile. A certificate of the
    AIK is seen by its event only.
  - Says of each URL what was seen, and no more. What is not decided when the time is over is open.
  - Windows writes the event 88 only at log level 4 or higher. With O(log_level) the level is raised meanwhile and put
    back in any case. Where that fails, RV(log_level) says that it may still be raised, and the task fails.
  - It is an action plugin. It runs M(winpki.scep.event_info), M(winpki.scep.profile_info), M(winpki.scep.profile),
    M(winpki.scep.aik_task), M(winpki.scep.log_level) and, to find a change whose answer was lost,
    M(winpki.scep.undo_info).
options:
  urls:
    description:
      - The URLs whose next enrolment is to succeed. If empty, and O(silent_urls) too, those of the host's profiles of
        MDM.
    type: list
    elements: str
    default: []
  silent_urls:
    description:
      - URLs that nothing is to be asked of any more, such as that of the AIK service after its task was disabled. The
        whole O(wait) is spent on these.
    type: list
    elements: str
    default: []
  contexts:
    description:
      - The accounts that have to succeed, for those of O(urls) where that matters, each URL with a list of accounts as
        the events have them, such as C(INTRA\rudi).
      - While one of them has no success, the URL is V(open), whoever else enrols there. An account that fails makes
        it V(failed), whether it is listed or not. Without accounts, anybody's success counts.
      - Accounts are compared without regard to case. C(Local system) and every name that ends with C($) are the machine
        itself, also under a name or in a domain that it had before. Managed service accounts, whose names end so too,
        are not told apart from it.
      - A new certificate in a device's profile counts for the machine only, one in a user's profile for no account.
    type: dict
    default: {}
  start:
    description:
      - Start the enrolment of the device's profiles of MDM that have one of O(urls), and the scheduled task that enrols
        the AIK if one of O(urls) is that of the AIK service. A disabled task stays disabled.
      - Without it, or where there is nothing to start, the client's own next try is waited for.
    type: bool
    default: true
  wait:
    description:
      - How many seconds to wait at most, up to 3600. The last look may take a little longer, and if it was not
        answered, there is one more after O(interval).
    type: float
    default: 300
  interval:
    description: Seconds between two looks, at least 1.
    type: float
    default: 15
  look_again:
    description:
      - In how many hours to look again at what is open. Clients of Intune ask for their profiles every 8 hours.
    type: float
    default: 8
  log_level:
    description:
      - The enrolment log level to have meanwhile. A higher one that is there stays. Below V(4) Windows writes no
        successes, below V(2) no failures.
      - Without it the level is only read, to say what may have happened unseen.
    type: int
    choices: [0, 1, 2, 3, 4, 5]
  required:
    description: Fail also if something is still open.
    type: bool
    default: false
  role:
    description: The role on whose behalf this is done. It is kept in the undo record of the log level.
    type: str
attributes:
  check_mode:
    description: Nothing is raised, started or waited for, so all is open.
    support: partial
    details: A verification needs an enrolment. That the log level would be raised is told, and counts as a change.
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: partial
    details: Shows how the log level is raised and put back.
  platform:
    description: Target operating systems.
    support: full
    platforms: windows
notes:
  - Of several accounts that enrol at one URL, each one's newest event counts, and one failure makes the URL failed.
  - While a host can't be reached, it is asked again until the time is over. A connection that breaks is a failure of
    the task, never an unreachable host, so that the play can go on to say what came of it.
  - A run that is killed leaves the level raised. P(winpki.scep.rollback#role) puts it back by its undo record.
  - The log Application is read. A host that forwards its events still writes them there.
seealso:
  - module: winpki.scep.event_info
  - module: winpki.scep.profile
  - module: winpki.scep.aik_task
  - module: winpki.scep.log_level
author:
  - winpki.scep contributors (@winpki)
"""

EXAMPLES = r"""
- name: See whether the host enrols again
  winpki.scep.verify_enrolment:
    urls:
      - https://ndes01.intra.example.com/certsrv/mscep/mscep.dll/pkiclient.exe
    wait: 120
    log_level: 4
  register: verified

- name: See whether the user whose enrolment failed enrols again, and not only the machine
  winpki.scep.verify_enrolment:
    urls:
      - https://ndes01.intra.example.com/certsrv/mscep/mscep.dll/pkiclient.exe
    contexts:
      https://ndes01.intra.example.com/certsrv/mscep/mscep.dll/pkiclient.exe: ['INTRA\rudi']
    log_level: 4
    wait: 3600
"""

RETURN = r"""
outcome:
  description:
    - The worst of RV(verdicts[].outcome), with V(failed) before V(open) before V(quiet) before V(succeeded). V(failed)
      fails the task.
  returned: if the host could be asked
  type: str
  sample: succeeded
verdicts:
  description: What was seen of each URL.
  returned: if the host could be asked
  type: list
  elements: dict
  contains:
    url:
      description: The URL.
      type: str
      returned: always
      sample: https://ndes01.intra.example.com/certsrv/mscep/mscep.dll/pkiclient.exe
    outcome:
      description:
        - V(succeeded) for an event 88 or a new certificate, for each of its O(contexts) if there are any. A certificate
          counts only in a profile that was there before and enrols at no other URL.
        - V(failed) for an event 86 or 87.
        - V(quiet) if nothing was seen of one of O(silent_urls), and the log was read at the end of the wait, is
          enabled and has lost no events, at a level that writes failures.
        - V(open) for all else.
      type: str
      returned: always
      sample: succeeded
    seen:
      description:
        - What that rests on. With C(kind) V(event), C(event_id), C(record_id), C(time_created), C(context), C(stage)
          and C(hresult). With C(kind) V(certificate), C(profile_id) and C(thumbprint). Null if nothing was seen.
      type: dict
      returned: always
      sample: {kind: certificate, profile_id: ScepDevice, thumbprint: 5D2A94F8360E1D7A55C08B3F6692D4EE170B7C1E}
    detail:
      description: A sentence.
      type: str
      returned: always
      sample: Event 88 of 2026-01-31T08:00:00.1234567Z says that a certificate was enrolled.
started:
  description: The enrolments that were to be started, that of the AIK first. That one can't be started is no failure.
  returned: if the host could be asked
  type: list
  elements: dict
  contains:
    profile_id:
      description: The profile's id. Null for the AIK.
      type: str
      returned: always
      sample: ScepDevice
    task:
      description: The path of the scheduled task that enrols the AIK. Null for a profile.
      type: str
      returned: always
      sample: null
    started:
      description: Whether it was started.
      type: bool
      returned: always
      sample: true
    detail:
      description: What came of it, or why it was not started.
      type: str
      returned: always
      sample: In check mode no enrolment is started.
log_level:
  description: What became of the enrolment log level.
  returned: if it came to that
  type: dict
  contains:
    before:
      description: The level that was in effect. Null if it is a value that Windows does not document, which is left.
      type: int
      returned: always
      sample: 3
    raised_to:
      description: The level that it was raised to, or would be in check mode. Null if it was not raised.
      type: int
      returned: always
      sample: 4
    put_back:
      description:
        - Whether it was put back. If not, it may still be raised, and the task fails. Null if there was nothing to put
          back.
      type: bool
      returned: always
      sample: true
    change_id:
      description: The id of the change, for P(winpki.scep.rollback#role). Null if there was none, or it is not known.
      type: str
      returned: always
      sample: 20260131T080000Z-0a1b2c3d
    detail:
      description: A sentence. Where the level may still be raised it says why, and how to take that back.
      type: str
      returned: always
      sample: The log level was raised from 3 to 4, and put back.
blind_spots:
  description: Why something may have happened unseen, such as a disabled log or a log level without successes.
  returned: if the host could be asked
  type: list
  elements: str
  sample: []
waited_seconds:
  description: How long was waited.
  returned: if the host could be asked
  type: float
  sample: 16.3
look_again:
  description: When to look again, ISO 8601 in UTC by the controller's clock. Null if nothing is open or quiet.
  returned: if the host could be asked
  type: str
  sample: null
"""
