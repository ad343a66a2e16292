# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of action plugin switch_to_http: Ansible looks for it in a module of that name, which never runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: switch_to_http
version_added: "0.1.0"
short_description: Switches NDES URLs to HTTP in all settings of a Windows host that hold them
description:
  - Finds the settings with M(winpki.scep.profile_info), and has M(winpki.scep.profile) switch each of them, which
    proves first that NDES answers over HTTP as the CA that is pinned.
  - It is an action plugin. It needs one round trip to find the settings, and one for each that is switched.
  - A setting that is refused is no hindrance to the others. The task fails after all were tried.
options:
  urls:
    description: The HTTPS URLs to switch. Other spellings of host and port are found too.
    type: list
    elements: str
    required: true
  files:
    description: Whole paths of files on the host, as O(winpki.scep.profile_info#module:files).
    type: list
    elements: str
    default: []
  registry_values:
    description: Registry values on the host, as O(winpki.scep.profile_info#module:registry_values).
    type: list
    elements: dict
    default: []
  ca_thumbprint:
    description:
      - The SHA-1 thumbprint of the CA. Needed for files and registry values, as profiles of MDM have their own.
    type: str
  http_port:
    description:
      - The port that NDES answers HTTP on. Needed where it is not 80, or where the HTTPS URL has another port than 443.
    type: int
  proxy:
    description: How the host finds its proxy, as O(winpki.scep.endpoint_info#module:proxy).
    type: str
    default: winhttp
  timeout:
    description: Seconds for the proof over HTTP.
    type: float
    default: 15
  role:
    description: The role on whose behalf this is done. It is kept in the undo records.
    type: str
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: full
  platform:
    description: Target operating systems.
    support: full
    platforms: windows
seealso:
  - module: winpki.scep.profile_info
  - module: winpki.scep.profile
author:
  - winpki.scep contributors (@winpki)
"""

EXAMPLES = r"""
- name: Enrol over HTTP
  winpki.scep.switch_to_http:
    urls:
      - https://ndes01.intra.example.com/certsrv/mscep/mscep.dll/pkiclient.exe
"""

RETURN = r"""
switches:
  description: The settings that held one of O(urls).
  returned: if the settings could be read
  type: list
  elements: dict
  contains:
    source:
      description: V(mdm), V(registry) or V(file).
      type: str
      returned: always
      sample: mdm
    path:
      description: The registry key, or the file.
      type: str
      returned: always
      sample: HKLM\SOFTWARE\Microsoft\SCEP\MS DM Server\ScepDevice\Install
    from_url:
      description: The URL that it held.
      type: str
      returned: always
      sample: https://ndes01.intra.example.com/certsrv/mscep/mscep.dll/pkiclient.exe
    url:
      description: The URL that it is to hold.
      type: str
      returned: always
      sample: http://ndes01.intra.example.com/certsrv/mscep/mscep.dll/pkiclient.exe
    changed:
      description: Whether it was switched, or would be in check mode.
      type: bool
      returned: always
      sample: true
    change_id:
      description: The id of the change. Null in check mode, and if nothing changed.
      type: str
      returned: always
      sample: 20260131T080000Z-0a1b2c3d
    proof:
      description: What NDES answered over HTTP, as M(winpki.scep.profile) returns it. Null if it was not asked.
      type: dict
      returned: always
      sample: null
    notes:
      description: What else is to be known of it.
      type: list
      elements: str
      returned: always
      sample: []
    reason:
      description: Why it was refused, as a word of M(winpki.scep.profile), else null.
      type: str
      returned: always
      sample: http_not_proven
    message:
      description: Why it was refused or failed, as a sentence, else null.
      type: str
      returned: always
      sample: null
change_ids:
  description: The ids of all changes.
  returned: if the settings could be read
  type: list
  elements: str
  sample: [20260131T080000Z-0a1b2c3d]
nowhere:
  description: Those of O(urls) that no setting holds, neither with HTTPS nor with HTTP. The task fails for these.
  returned: if the settings could be read
  type: list
  elements: str
  sample: []
refused:
  description: That a rule of safety refused at least one of them.
  returned: when refused
  type: bool
  sample: true
reason:
  description: The word of the first, V(url_not_found) or one of M(winpki.scep.profile).
  returned: when refused
  type: str
  sample: http_not_proven
"""
