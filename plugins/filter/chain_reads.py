# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter chain_reads: what an NDES server is to be asked for, for the sake of one host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint_chain import Read, reads
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import plain

DOCUMENTATION = r"""
name: chain_reads
version_added: "0.1.0"
short_description: Says what an NDES server is to be asked for, so that a host can trust its chain
description:
  - Takes what M(winpki.scep.endpoint_info) found out on a host, and returns what M(winpki.scep.ndes_chain_info) has to
    be asked for on the NDES server. Nothing, if that host does not lack a chain.
  - With the results of several hosts, each server is read once, whatever number of hosts needs it.
options:
  _input:
    description: The C(endpoints) that M(winpki.scep.endpoint_info) returned.
    type: list
    elements: dict
    required: true
  server:
    description: The NDES server's name in the inventory. Empty for none, which returns an empty list.
    type: str
    required: true
  unproven:
    description: As O(winpki.scep.trust_endpoint#module:unproven).
    type: bool
    default: false
seealso:
  - module: winpki.scep.trust_endpoint
  - module: winpki.scep.ndes_chain_info
author:
  - winpki.scep contributors (@winpki)
"""

EXAMPLES = r"""
- name: Keep what the NDES server is to be asked for
  ansible.builtin.set_fact:
    ndes_reads: "{{ probe.endpoints | winpki.scep.chain_reads('ndes01') }}"
"""

RETURN = r"""
_value:
  description: One element for each server, name and port.
  type: list
  elements: dict
  contains:
    server:
      description: O(server).
      type: str
    host_name:
      description: The name in the clients' URL, for O(winpki.scep.ndes_chain_info#module:host_name).
      type: str
    port:
      description: The port of the clients' URL, for O(winpki.scep.ndes_chain_info#module:port).
      type: int
  sample:
    - {server: ndes01, host_name: ndes01.intra.example.com, port: 443}
"""


def chain_reads(endpoints: Any, server: str, unproven: bool = False) -> list[Read]:
    """Returns what to read, as the page above says.

    Raises:
        AnsibleFilterError: the input is not what endpoint_info returned.
    """
    found = plain(endpoints)
    if not isinstance(found, list) or not all(isinstance(one, Mapping) and "url" in one for one in found):
        raise AnsibleFilterError("chain_reads: its input must be the endpoints that endpoint_info returned")
    return reads(found, plain(server), unproven=bool(unproven))


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Returns the filter."""
        return {"chain_reads": chain_reads}
