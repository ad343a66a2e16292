# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of action plugin trust_endpoint: Ansible looks for it in a module of that name, which never runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trust_endpoint
version_added: "0.1.0"
short_description: Trust the TLS chain of a SCEP service, if that is what a Windows host lacks
description:
  - Judges by what M(winpki.scep.endpoint_info) found whether the host lacks the chain and nothing else is wrong, gets
    the chain, makes sure that it is the one that is lacking, and has M(winpki.scep.trust_chain) add it.
  - It is an action plugin. A host that lacks nothing is not connected to.
  - The chain comes from O(files), else from O(server), else from what the endpoint presents.
options:
  endpoints:
    description: The C(endpoints) that M(winpki.scep.endpoint_info) returned for this host.
    type: list
    elements: dict
    required: true
  files:
    description:
      - Files on the controller with the CA certificates of the chain, as PEM. They are looked for in the C(files)
        folders of role and playbook, and may be encrypted with the vault.
    type: list
    elements: path
    default: []
  pins:
    description:
      - The SHA-256 fingerprints of the roots that may be trusted, as O(winpki.scep.trust_chain#module:pins). At least
        one, wherever the chain comes from.
    type: list
    elements: str
    required: true
  role:
    description: The role on whose behalf this is done. It is kept in the undo record.
    type: str
  server:
    description: The inventory name of the NDES server that O(server_results) were read on. Empty for none.
    type: str
    default: ""
  server_results:
    description:
      - The C(results) of a task M(winpki.scep.ndes_chain_info) that looped over what P(winpki.scep.chain_reads#filter)
        returned.
    type: list
    elements: dict
    default: []
  unproven:
    description:
      - Go on also where the host could not find out what is wrong, or where nothing is wrong yet.
      - Where it found another cause, that is refused all the same, as no chain would mend it.
    type: bool
    default: false
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
  - module: winpki.scep.endpoint_info
  - module: winpki.scep.ndes_chain_info
  - module: winpki.scep.trust_chain
  - plugin: winpki.scep.chain_reads
    plugin_type: filter
author:
  - winpki.scep contributors (@winpki)
"""

EXAMPLES = r"""
- name: Find out what is wrong
  winpki.scep.endpoint_info:
    urls:
      - https://ndes01.intra.example.com/certsrv/mscep/mscep.dll/pkiclient.exe
  register: probe

- name: Trust the chain, if it is what this host lacks
  winpki.scep.trust_endpoint:
    endpoints: "{{ probe.endpoints }}"
    files: [ndes-chain.pem]
    pins: "{{ scep_root_pins }}"
  register: trusted
"""

RETURN = r"""
needed:
  description: Whether the host lacked the chain, or O(unproven) had it trusted.
  returned: if nothing refused it
  type: bool
  sample: true
change_id:
  description: The id of the change. Null in check mode and if nothing changed.
  returned: always
  type: str
  sample: 20260131T080000Z-0a1b2c3d
source:
  description: Where the chain came from, V(files), V(server) or V(endpoint). Null if it did not come to that.
  returned: always
  type: str
  sample: server
endpoints:
  description: What each endpoint was judged to be.
  returned: always
  type: list
  elements: dict
  contains:
    url:
      description: The URL.
      type: str
      returned: always
      sample: https://ndes01.intra.example.com/certsrv/mscep/mscep.dll/pkiclient.exe
    judgement:
      description:
        - V(lacking), only the chain is missing. V(trusted), the handshake passes. V(no_tls), the URL is HTTP.
          V(other_cause), the handshake fails for a cause that no chain mends. V(unknown), it did not come to that.
      type: str
      returned: always
      sample: lacking
    detail:
      description: Why.
      type: str
      returned: always
      sample: The host trusts the endpoint's chain.
certificates:
  description: As M(winpki.scep.trust_chain) returns them. Empty if nothing was to be done.
  returned: always
  type: list
  elements: dict
  sample: []
undo:
  description: The undo record, as M(winpki.scep.trust_chain) returns it. Null in check mode and if nothing changed.
  returned: always
  type: dict
  sample: null
refused:
  description: That a rule of safety refused the change. Nothing was written.
  returned: when refused
  type: bool
  sample: true
reason:
  description:
    - Why, V(no_pins), V(other_cause), V(not_proven), V(file_not_read), V(server_not_read), V(server_has_no_chain),
      V(root_not_presented), V(chain_does_not_fit), or a word of M(winpki.scep.trust_chain).
  returned: when refused
  type: str
  sample: other_cause
refusals:
  description: All refusals.
  returned: when refused
  type: list
  elements: dict
  contains:
    reason:
      description: The word.
      type: str
      returned: always
      sample: no_pins
    message:
      description: The sentence.
      type: str
      returned: always
      sample: "pins is empty: give the SHA-256 of each root that this host may trust, as its CA's people say it."
"""
