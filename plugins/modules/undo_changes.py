# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of action plugin undo_changes: Ansible looks for it in a module of that name, which never runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: undo_changes
version_added: "0.1.0"
short_description: Takes back changes that this collection made on a Windows host
description:
  - Reads the host's undo records, and has each change taken back by the module that made it, the newest first.
  - A module takes a change back only where the host is still as that change left it. One that can't be taken back is no
    hindrance to the others. It is in RV(kept) with the reason, and the task fails after all were tried.
  - It is an action plugin. It needs one round trip for the records, and one for each change.
  - Exactly one of O(change_ids), O(roles) and O(all) has to be given.
options:
  change_ids:
    description:
      - The ids of the changes to undo.
      - One that this host has no record of is in RV(not_here) and is no failure, as the same ids are asked for on all
        hosts of a play.
    type: list
    elements: str
    default: []
  roles:
    description: Undo all changes that were made on behalf of these roles, by their short names.
    type: list
    elements: str
    default: []
  all:
    description: Undo all changes that there are records of on this host.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: partial
    details: For a change under a newer one of the same module it can't be foreseen, see RV(not_foreseen).
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: full
  platform:
    description: Target operating systems.
    support: full
    platforms: windows
seealso:
  - module: winpki.scep.undo_info
author:
  - winpki.scep contributors (@winpki)
"""

EXAMPLES = r"""
- name: Take back what was changed for the NDES chain
  winpki.scep.undo_changes:
    roles: [trust_ndes_chain]

- name: Take one change back
  winpki.scep.undo_changes:
    change_ids: [20260131T080000Z-0a1b2c3d]
"""

RETURN = r"""
undone:
  description: What was undone, or would be in check mode.
  returned: if the records could be read
  type: list
  elements: dict
  contains: &change
    change_id:
      description: The id of the change.
      type: str
      returned: always
      sample: 20260131T080000Z-0a1b2c3d
    role:
      description: The role that it was made for, or null.
      type: str
      returned: always
      sample: trust_ndes_chain
    module:
      description: The module that made it. Null if the record can't be read.
      type: str
      returned: always
      sample: trust_chain
    created:
      description: When it was made, ISO 8601 in UTC, by the host's clock. Null if the record can't be read.
      type: str
      returned: always
      sample: "2026-01-31T08:00:00.1234567Z"
already:
  description: What had been undone before.
  returned: if the records could be read
  type: list
  elements: dict
  contains: *change
kept:
  description:
    - What could not be undone. Besides what is in RV(undone), each has C(reason) and C(message).
    - C(reason) is V(foreign) for a record of a module that is not known, V(unreadable) for a damaged record,
      V(unreachable) if the connection failed, the word of the module that refused, else V(failed).
  returned: if the records could be read
  type: list
  elements: dict
  contains: *change
not_foreseen:
  description: In check mode, what lies under a newer change that would be undone first. As RV(kept).
  returned: if the records could be read
  type: list
  elements: dict
  contains: *change
here:
  description: Those of O(change_ids) that this host has a record of, whatever became of them.
  returned: if the records could be read
  type: list
  elements: str
  sample: [20260131T080000Z-0a1b2c3d]
not_here:
  description: Those of O(change_ids) that this host has no record of.
  returned: if the records could be read
  type: list
  elements: str
  sample: []
"""
