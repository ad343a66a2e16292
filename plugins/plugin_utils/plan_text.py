# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of the gate: what may be done where, what is held back, and what is left alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.winpki.scep.plugins.plugin_utils.gate import Decision
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import HostPlan
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_file import NotRead, PlanDocument
from ansible_collections.winpki.scep.plugins.plugin_utils.report_text import WIDTH
from ansible_collections.winpki.scep.plugins.plugin_utils.text_layout import plural, short_list, squeeze, visible, wrap

_ROWS = 10
_REASON = 240


def render_gate(
    plans: Sequence[HostPlan],
    decisions: Sequence[Decision],
    hosts: Iterable[NotRead],
    plan: PlanDocument | None,
    written: str | None,
) -> str:
    """Returns the screen: lines of at most WIDTH columns, without control characters.

    Args:
        plans: of this run.
        decisions: on them.
        hosts: those that could not be read.
        plan: the plan that this run was given.
        written: where this run has written a plan; one line however long, to be copied.
    """
    allowed = [(one["host"], action["role"]) for one in decisions for action in one["allowed"]]
    held = [(one["host"], item["role"], squeeze(item["message"], _REASON)) for one in decisions for item in one["held"]]
    left = [(one["host"], item["cause"], squeeze(item["reason"], _REASON)) for one in plans for item in one["skipped"]]
    unread = [(one["host"], one["status"], squeeze(one["reason"], _REASON)) for one in hosts]
    said = f"{plural(len(allowed), 'action')} may be done, {len(held)} held back, {plural(len(left), 'failure')} left"
    lines = ["SCEP remediation", "=" * WIDTH, *wrap(f"{said} alone", WIDTH)]
    if plan is not None:
        lines.append(f"By the plan of {visible(plan['created'])}")
    lines.append("")
    for title, rows in (("May be done", allowed), ("Held back", held), ("Left alone", left), ("Not read", unread)):
        lines += _section(title, rows)
    if written:
        lines += ["Plan", f"  {visible(written)}"]
    return "\n".join(lines).rstrip()


def _section(title: str, rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return [title, *short_list(rows, _ROWS, WIDTH), ""]
