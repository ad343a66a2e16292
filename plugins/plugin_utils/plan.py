# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings to plans: which role may mend what on which host, what that rests on, and why the rest is left alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from ansible_collections.winpki.scep.plugins.plugin_utils.cause import Finding
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import HostEvidence, endpoint_evidence
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_action import (
    Draft,
    PlanSettings,
    draft_disable_aik,
    draft_trust,
    draft_use_http,
    plan_settings,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.rule import Need, Role

__all__ = ["Action", "HostPlan", "PlanSettings", "Skipped", "digest_of", "plan_remediation", "plan_settings"]


class Undo(TypedDict):
    """How an action is taken back: a role of this collection and its variables."""

    role: str
    variables: dict[str, Any]


class Action(TypedDict):
    """What a role is to do on a host; there is one at most for each role.

    Attributes:
        role: the role.
        module_args: what it is to be done with: the role's variables, without the role's name before them.
        needs: what the role looks at again on the host right before it writes.
        undo: how it is taken back.
        basis: the evidence that it rests on, without what differs from run to run.
        findings: keys of the findings that it is to end.
    """

    role: Role
    module_args: dict[str, Any]
    needs: list[Need]
    undo: Undo
    basis: list[dict[str, Any]]
    findings: list[str]


class Skipped(TypedDict):
    """An open finding that no action is for, and why."""

    finding: str
    cause: str
    reason: str


class HostPlan(TypedDict):
    """What is to be done on a host; each of its open findings is in exactly one of ``actions`` and ``skipped``.

    Attributes:
        host: inventory name.
        digest: SHA-256 of the actions and of what they rest on, in lower hex.
        created: ISO 8601 UTC.
    """

    host: str
    digest: str
    created: str
    actions: list[Action]
    skipped: list[Skipped]


NO_REMEDY = "no role of this collection mends this cause: do what its advice says"


def plan_remediation(
    findings: Iterable[Finding],
    evidence: Mapping[str, HostEvidence | None],
    settings: PlanSettings | Mapping[str, PlanSettings],
    created: str,
) -> list[HostPlan]:
    """Returns a plan for each host that has an open finding, by name.

    Args:
        findings: of any number of hosts; what is not open is passed over.
        evidence: what evidence_info found, by inventory name. Without it nothing is done.
        settings: what the operator allows and supplies, for all hosts or by inventory name.
        created: the time, ISO 8601 UTC.
    """
    by_host: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding["state"] == "open":
            by_host.setdefault(finding["host"] or finding["computer"] or "", []).append(finding)
    plans: list[HostPlan] = []
    for host in sorted(by_host, key=lambda name: (name.casefold(), name)):
        own = settings if isinstance(settings, PlanSettings) else settings.get(host, PlanSettings())
        actions, skipped = _plan_host(by_host[host], evidence.get(host) or {}, own)
        plans.append(
            {"host": host, "digest": digest_of(actions), "created": created, "actions": actions, "skipped": skipped}
        )
    return plans


def _plan_host(
    findings: Sequence[Finding], evidence: HostEvidence, settings: PlanSettings
) -> tuple[list[Action], list[Skipped]]:
    actions: dict[Role, Action] = {}
    skipped: list[Skipped] = []
    for finding in sorted(findings, key=lambda one: one["key"]):
        found, reasons = _draft(finding, evidence, settings)
        if found is None:
            reason = "; ".join(reasons) or NO_REMEDY
            skipped.append({"finding": finding["key"], "cause": finding["cause"], "reason": reason})
            continue
        role, needs, draft = found
        action = actions.setdefault(
            role,
            {
                "role": role,
                "module_args": {},
                "needs": needs,
                "undo": {"role": "rollback", "variables": {"rollback_roles": [role]}},
                "basis": [],
                "findings": [],
            },
        )
        action["findings"].append(finding["key"])
        _join(action, draft)
    return [actions[role] for role in sorted(actions)], skipped


def _join(action: Action, draft: Draft) -> None:
    """Puts what another finding needs into the one action that a host has of a role."""
    for name, value in draft.module_args.items():
        known = action["module_args"].get(name)
        new = value
        if isinstance(value, list) and known is not None:
            new = known + [item for item in value if item not in known]
        action["module_args"][name] = sorted(new) if name == "urls" else new
    if draft.basis not in action["basis"]:
        action["basis"] = sorted([*action["basis"], draft.basis], key=_canonical)


def _draft(
    finding: Finding, evidence: HostEvidence, settings: PlanSettings
) -> tuple[tuple[Role, list[Need], Draft] | None, list[str]]:
    """Returns what the first remedy that can be justified does, and why those before it can't be."""
    probe = endpoint_evidence(evidence, finding["endpoint"])
    reasons: list[str] = []
    for remedy in finding["remedies"]:
        role = remedy["role"]
        if probe is None:
            found: Draft | str = "no probe from this host tells what it meets at this server"
        elif role == "trust_ndes_chain":
            found = draft_trust(probe, settings)
        elif role == "use_http":
            found = draft_use_http(probe, evidence, settings)
        else:
            found = draft_disable_aik(probe, evidence.get("aik"), settings)
        if not isinstance(found, str):
            return (role, list(remedy["needs"]), found), reasons
        reasons.append(f"{role}: {found}")
    return None, reasons


def digest_of(actions: Iterable[Action]) -> str:
    """Returns the SHA-256 of actions and of what they rest on, in lower hex; which findings they end does not count."""
    content = [{key: value for key, value in action.items() if key != "findings"} for action in actions]
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
