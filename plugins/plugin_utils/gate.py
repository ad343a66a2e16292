# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate before every change: what of a host's fresh plan may be done in this run. In prose: docs/remediation.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from ansible_collections.winpki.scep.plugins.plugin_utils.cause import Finding
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import (
    Endpoint,
    authority,
    endpoint_key,
    http_url,
    parse_endpoint,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import Action, HostPlan, digest_of
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_file import PlanDocument
from ansible_collections.winpki.scep.plugins.plugin_utils.report import Report

Gate = Literal["none", "check", "plan"]
Reason = Literal["no_plan", "not_in_plan", "drift", "not_read", "same_host"]

ROLE_VARIABLES = frozenset(
    {
        *(
            f"trust_ndes_chain_{name}"
            for name in ("urls", "pins", "files", "server", "expected_issuers", "timeout", "unproven")
        ),
        *(f"use_http_{name}" for name in ("urls", "files", "registry_values", "ca_thumbprint", "port", "timeout")),
        *(f"disable_aik_{name}" for name in ("urls", "isolated_network", "timeout", "force")),
        *(f"verify_{name}" for name in ("urls", "silent_urls", "contexts")),
    }
)
"""What the role remediate gives the roles that it calls, by what the gate let pass."""


class Held(TypedDict):
    """An action that the gate holds back: ``reason`` is a word, ``message`` the sentence."""

    role: str
    reason: Reason
    message: str


class Decision(TypedDict):
    """What may be done on a host.

    Attributes:
        host: inventory name.
        allowed: actions that may be done; in check mode they only show what they would do.
        held: actions that may not.
    """

    host: str
    allowed: list[Action]
    held: list[Held]


class ToVerify(TypedDict):
    """What the role verify is to be asked after the actions: its variables, without its name before them.

    Attributes:
        urls: where the host is to enrol.
        silent_urls: where it is to ask nothing any more.
        contexts: for each of ``urls`` on whose behalf was enrolled when it failed, as the events have it, at most five
            of each finding.
    """

    urls: list[str]
    silent_urls: list[str]
    contexts: dict[str, list[str]]


NO_PLAN = (
    "scep_gate is check and no plan is named (scep_plan), so nothing is written: make a plan in check mode, or set"
    " scep_gate to none"
)


def needs_plan(gate: Gate, plan: PlanDocument | None, *, check_mode: bool) -> bool:
    """Says whether this run can't go on without a plan."""
    return gate == "plan" and plan is None and not check_mode


def with_planned(plans: Sequence[HostPlan], plan: PlanDocument | None, batch: Iterable[str]) -> list[HostPlan]:
    """Returns the fresh plans, and one without any action for each host of the batch that only ``plan`` knows, by name.

    So a host that was planned and has no open failure now is decided on too.
    """
    hosts, fresh = set(batch), {one["host"] for one in plans}
    gone: list[HostPlan] = [
        {**one, "digest": digest_of([]), "actions": [], "skipped": []}
        for one in (plan["hosts"] if plan else ())
        if one["host"] in hosts and one["host"] not in fresh
    ]
    return sorted([*plans, *gone], key=lambda one: (one["host"].casefold(), one["host"]))


def decide(
    gate: Gate,
    plan: PlanDocument | None,
    plans: Iterable[HostPlan],
    *,
    check_mode: bool,
    unread: Mapping[str, str] | None = None,
) -> list[Decision]:
    """Returns what of ``plans`` may be done.

    Args:
        gate: ``none``: all. ``check``: all in check mode, else only what a plan allows. ``plan``: the same, and a plan
            has to be there (needs_plan).
        plan: the plan that was named and may be applied, None for none.
        plans: made from evidence that was taken in this run (with_planned).
        check_mode: nothing is written anyway.
        unread: by inventory name, why a host or its evidence could not be read: half a sentence.
    """
    planned = {one["host"]: one for one in plan["hosts"]} if plan else None
    free = gate == "none" or (planned is None and check_mode)
    return [_pass(one) if free else _by_plan(planned, one, (unread or {}).get(one["host"])) for one in plans]


def hold_twins(decisions: Iterable[Decision], twins: Mapping[str, str]) -> list[Decision]:
    """Returns the decisions, with hosts that are one machine held back.

    Both would act at once, and one would take back the log level that the other needs.

    Args:
        decisions: of decide.
        twins: the sentences of same_machine.
    """
    return [
        _hold(one["host"], one["allowed"], "same_host", twins[one["host"]])
        if one["allowed"] and one["host"] in twins
        else one
        for one in decisions
    ]


def _by_plan(plan: Mapping[str, HostPlan] | None, fresh: HostPlan, unread: str | None) -> Decision:
    host = fresh["host"]
    if plan is None:
        return _hold(host, fresh["actions"], "no_plan", NO_PLAN)
    planned = plan.get(host)
    if planned is None:
        return _hold(host, fresh["actions"], "not_in_plan", "this host is not in the plan")
    if planned["digest"] == fresh["digest"]:
        return _pass(fresh)
    if unread is not None:
        return _hold(host, planned["actions"], "not_read", f"whether it is still as planned is not known: {unread}")
    message = f"the evidence has changed since the plan was made: {_drift(planned, fresh)}"
    return _hold(host, fresh["actions"] or planned["actions"], "drift", message)


def why_unread(report: Report, evidence: Mapping[str, Mapping[str, Any] | None]) -> dict[str, str]:
    """Returns why a host or its evidence could not be read, by inventory name, as half a sentence.

    Args:
        report: of the hosts that were asked.
        evidence: what evidence_info has registered on each, None without; where nothing fails it is not run.
    """
    found: dict[str, str] = {}
    for row in report["hosts"]:
        host, result = row["host"], evidence.get(row["host"])
        if row["log"] is None:
            found[host] = row["reason"] or row["status"]
        elif result is not None and not result.get("skipped") and host not in report["evidence"]:
            found[host] = "; ".join(row["limits"])
    return found


def to_verify(actions: Iterable[Action], findings: Mapping[str, Finding]) -> ToVerify:
    """Returns where the host is to enrol after ``actions``, and where it is to ask nothing any more.

    Args:
        actions: of one host.
        findings: those that the actions are to end, by key; there may be others.
    """
    contexts: dict[str, set[str]] = {}
    silent: set[str] = set()
    for action in actions:
        given = action["module_args"]
        if action["role"] == "disable_aik":
            silent.update(given["urls"])
            continue
        switched = action["role"] == "use_http"
        after = {url: http_url(url, given.get("port")) if switched else url for url in given["urls"]}
        for url in after.values():
            contexts.setdefault(url, set())
        for key in action["findings"]:
            for url in _urls_of(findings[key], given["urls"]):
                contexts[after[url]].update(findings[key]["contexts"])
    return {
        "urls": sorted(contexts),
        "silent_urls": sorted(silent),
        "contexts": {url: sorted(contexts[url]) for url in sorted(contexts)},
    }


def _urls_of(finding: Finding, urls: Sequence[str]) -> list[str]:
    """Returns those of an action's URLs that a finding is about: the same endpoint, else the same server.

    A probe, or a profile, may have another path than the event has.
    """
    key = endpoint_key(finding["endpoint"])
    same = [url for url in urls if endpoint_key(parse_endpoint(url)) == key]
    return same or [url for url in urls if _server(parse_endpoint(url)) == _server(finding["endpoint"])]


def _server(endpoint: Endpoint | None) -> tuple[str, int | None] | None:
    if endpoint is None:
        return None
    return authority(endpoint["scheme"], endpoint["host"], endpoint["port"])[1:]


def _pass(fresh: HostPlan) -> Decision:
    return {"host": fresh["host"], "allowed": fresh["actions"], "held": []}


def _hold(host: str, actions: Sequence[Action], reason: Reason, message: str) -> Decision:
    roles = dict.fromkeys(action["role"] for action in actions)
    held: list[Held] = [{"role": role, "reason": reason, "message": message} for role in roles]
    return {"host": host, "allowed": [], "held": held}


def _drift(planned: HostPlan, fresh: HostPlan) -> str:
    """Returns what differs, in half a sentence."""
    if not fresh["actions"] and not fresh["skipped"]:
        return "no open failure was found on this host"
    before, now = ({action["role"] for action in one["actions"]} for one in (planned, fresh))
    parts = [f"{role} was planned and is not called for now" for role in sorted(before - now)]
    parts += [f"{role} was not planned" for role in sorted(now - before)]
    old, new = ({action["role"]: action for action in one["actions"]} for one in (planned, fresh))
    for role in sorted(before & now):
        if old[role]["module_args"] != new[role]["module_args"]:
            parts.append(f"{role} would be done with other arguments")
            continue
        pairs = list(zip(old[role]["basis"], new[role]["basis"], strict=False))
        keys = {key for a, b in pairs for key in {*a, *b} if a.get(key) != b.get(key)}
        if keys:
            parts.append(f"{role} rests on another {' and '.join(sorted(keys))}")
    return "; ".join(parts) or "its actions are others"
