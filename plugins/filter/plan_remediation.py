# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plan_remediation: findings and evidence to a plan for each host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import Finding
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import EvidenceError, check_evidence
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import as_data, plain, type_name
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import plan_remediation, plan_settings
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_action import SettingsError

DOCUMENTATION = r"""
name: plan_remediation
author: winpki.scep contributors (@winpki)
version_added: "0.1.0"
short_description: Plans which role may mend what on which host
description:
  - Gives for each host with open findings the actions that its evidence and your settings justify, and for every other
    open finding the reason why nothing is done about it.
  - Never plans on a guess. Trust is planned only if a probe from the host showed that trust alone is lacking, plain
    HTTP only if TLS is what fails and a profile with the URL was found, and the AIK task only if you have declared the
    network isolated, the service was not reached, and no AIK certificate was had.
  - Of a finding's remedies the first that is justified is planned.
  - A plan is no permission. The gate, M(winpki.scep.remediation_gate), and each role on the host look again.
options:
  _input:
    description: Findings, as P(winpki.scep.classify_events#filter) returns them when it is given the evidence.
    type: list
    elements: dict
    required: true
  evidence:
    description: What RV(winpki.scep.evidence_info#module:evidence) is, by inventory name.
    type: dict
    default: {}
  settings:
    description: What you allow and supply, for all hosts.
    type: dict
    default: {}
    suboptions:
      pins:
        description: SHA-256 fingerprints of the roots that may be trusted. Without one, no trust is planned.
        type: list
        elements: str
        default: []
      chain_files:
        description: Files on the controller with the CA certificates of the NDES server's chain.
        type: list
        elements: path
        default: []
      chain:
        description: >-
          The PEM texts of O(settings.chain_files). With them trust is planned only if they hold the certificate that
          the host lacks, and another content is another plan. M(winpki.scep.remediation_gate) reads the files itself.
        type: list
        elements: str
        default: []
      chain_server:
        description: >-
          Inventory name of the NDES server, to read its chain there. Without this and O(settings.chain_files) the chain
          is taken as the endpoint presents it, if its root is pinned.
        type: str
        default: ''
      use_http:
        description: Whether profiles may be switched to plain HTTP where trust is not what mends it.
        type: bool
        default: false
      http_port:
        description: The port of plain HTTP, for URLs that have a port of their own. Without it these are left alone.
        type: int
        default: 0
      ca_thumbprint:
        description: SHA-1 thumbprint of the CA, for settings of clients that do not name one themselves.
        type: str
        default: ''
      isolated_network:
        description: >-
          Your word that the hosts have no internet access on purpose, and that nothing on them needs key attestation by
          Microsoft.
        type: bool
        default: false
seealso:
  - plugin: winpki.scep.classify_events
    plugin_type: filter
  - module: winpki.scep.evidence_info
  - module: winpki.scep.remediation_gate
"""

EXAMPLES = r"""
- name: Show what could be done on this host
  ansible.builtin.debug:
    msg: "{{ findings | winpki.scep.plan_remediation({inventory_hostname: found.evidence}, settings) }}"
  vars:
    settings:
      pins: ["{{ root_sha256 }}"]
      chain_server: ndes01
"""

RETURN = r"""
_value:
  description: One plan for each host with an open finding, by name.
  type: list
  elements: dict
  contains:
    host:
      description: Inventory name.
      type: str
    digest:
      description: SHA-256 of the actions and of the evidence that they rest on.
      type: str
    created:
      description: Time of the plan, ISO 8601 UTC.
      type: str
    actions:
      description: What is to be done, one at most for each role.
      type: list
      elements: dict
      contains:
        role:
          description: The role.
          type: str
        module_args:
          description: What it is to be done with, named as the role's variables without the role's name before them.
          type: dict
        needs:
          description: What the role looks at again on the host, right before it writes.
          type: list
          elements: str
        undo:
          description: The role that takes it back, with its variables.
          type: dict
        basis:
          description: The evidence that it rests on.
          type: list
          elements: dict
        findings:
          description: Keys of the findings that it is to end.
          type: list
          elements: str
    skipped:
      description: The other open findings.
      type: list
      elements: dict
      contains:
        finding:
          description: Key of the finding.
          type: str
        cause:
          description: Its cause.
          type: str
        reason:
          description: Why nothing is done about it.
          type: str
"""


def _plan(findings: Any, evidence: Any = None, settings: Any = None) -> Any:
    if not isinstance(findings, (list, tuple)):
        raise AnsibleFilterError(f"plan_remediation: the input must be a list of findings, not {type_name(findings)}")
    for name, value in (("evidence", evidence), ("settings", settings)):
        if value is not None and not isinstance(value, Mapping):
            raise AnsibleFilterError(f"plan_remediation: {name} must be a dict, not {type_name(value)}")
    found, taken = plain(findings), plain(evidence or {})
    for index, finding in enumerate(found):
        if not isinstance(finding, dict) or not Finding.__required_keys__ <= finding.keys():
            raise AnsibleFilterError(
                f"plan_remediation: element {index} of the input is no finding, as classify_events returns them"
            )
    try:
        for host, one in taken.items():
            check_evidence(host, one or {})
        allowed = plan_settings(plain(settings or {}))
    except (EvidenceError, SettingsError) as error:
        raise AnsibleFilterError(f"plan_remediation: {error}") from error
    created = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return as_data(plan_remediation(found, taken, allowed, created), findings)


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Returns the filter by its name."""
        return {"plan_remediation": _plan}
