# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate before every change: what of a host's fresh plan may be done in this run. In prose: docs/remediation.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypedDict

from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import http_url
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import Action, HostPlan
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_file import PlanDocument

Gate = Literal["none", "check", "plan"]
Reason = Literal["no_plan", "not_in_plan", "drift"]


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
    """What the role verify is to be asked after the actions: its variables, without its name before them."""

    urls: list[str]
    silent_urls: list[str]


NO_PLAN = (
    "scep_gate is check and no plan is named (scep_plan), so nothing is written: make a plan in check mode, or set"
    " scep_gate to none"
)


def needs_plan(gate: Gate, plan: PlanDocument | None, *, check_mode: bool) -> bool:
    """Says whether this run can't go on without a plan."""
    return gate == "plan" and plan is None and not check_mode


def decide(gate: Gate, plan: PlanDocument | None, fresh: HostPlan, *, check_mode: bool) -> Decision:
    """Returns what of ``fresh`` may be done.

    Args:
        gate: ``none``: all. ``check``: all in check mode, else only what a plan allows. ``plan``: the same, and a plan
            has to be there (needs_plan).
        plan: the plan that was named and may be applied, None for none.
        fresh: made from evidence that was taken in this run.
        check_mode: nothing is written anyway.
    """
    if gate == "none" or (plan is None and check_mode):
        return {"host": fresh["host"], "allowed": fresh["actions"], "held": []}
    if plan is None:
        return _hold(fresh, fresh["actions"], "no_plan", NO_PLAN)
    planned = next((one for one in plan["hosts"] if one["host"] == fresh["host"]), None)
    if planned is None:
        return _hold(fresh, fresh["actions"], "not_in_plan", "this host is not in the plan")
    if planned["digest"] == fresh["digest"]:
        return {"host": fresh["host"], "allowed": fresh["actions"], "held": []}
    message = f"the evidence has changed since the plan was made: {_drift(planned['actions'], fresh['actions'])}"
    return _hold(fresh, fresh["actions"] or planned["actions"], "drift", message)


def to_verify(actions: Iterable[Action]) -> ToVerify:
    """Returns where the host is to enrol after ``actions``, and where it is to ask nothing any more."""
    urls: set[str] = set()
    silent: set[str] = set()
    for action in actions:
        given = action["module_args"]
        if action["role"] == "disable_aik":
            silent.update(given["urls"])
        elif action["role"] == "use_http":
            urls.update(http_url(url, given.get("port")) for url in given["urls"])
        else:
            urls.update(given["urls"])
    return {"urls": sorted(urls), "silent_urls": sorted(silent)}


def _hold(fresh: HostPlan, actions: Sequence[Action], reason: Reason, message: str) -> Decision:
    roles = dict.fromkeys(action["role"] for action in actions)
    held: list[Held] = [{"role": role, "reason": reason, "message": message} for role in roles]
    return {"host": fresh["host"], "allowed": [], "held": held}


def _drift(planned: Sequence[Action], fresh: Sequence[Action]) -> str:
    """Returns what differs, in half a sentence."""
    before, now = {action["role"] for action in planned}, {action["role"] for action in fresh}
    parts = [f"{role} was planned and is not called for now" for role in sorted(before - now)]
    parts += [f"{role} was not planned" for role in sorted(now - before)]
    old, new = ({action["role"]: action for action in actions} for actions in (planned, fresh))
    for role in sorted(before & now):
        if old[role]["module_args"] != new[role]["module_args"]:
            parts.append(f"{role} would be done with other arguments")
            continue
        pairs = list(zip(old[role]["basis"], new[role]["basis"], strict=False))
        keys = {key for a, b in pairs for key in a if a[key] != b.get(key)}
        if keys:
            parts.append(f"{role} rests on another {' and '.join(sorted(keys))}")
    return "; ".join(parts) or "its actions are others"
