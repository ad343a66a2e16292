# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a remediation, host by host: the changes that were made, and what the next enrolment said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from ansible_collections.winpki.scep.plugins.plugin_utils.report_text import WIDTH
from ansible_collections.winpki.scep.plugins.plugin_utils.text_layout import plural, short_list, squeeze, visible, wrap

Outcome = Literal["failed", "not_done", "open", "unverified", "quiet", "succeeded"]
Result = Mapping[str, Any]
"""What a task has registered on a host."""


class Change(TypedDict):
    """What a role did on a host.

    Attributes:
        role: the role.
        changed: whether it changed the host; null if it was not seen to its end.
        change_ids: of the undo records that its changes left.
        message: why it failed, null if it did not.
    """

    role: str
    changed: bool | None
    change_ids: list[str]
    message: str | None


class HostOutcome(TypedDict):
    """What came of a host's remedies.

    Attributes:
        host: inventory name.
        outcome: ``not_done`` a remedy was refused, failed, or was not seen to its end; of the next enrolment
            ``failed``, ``succeeded``, ``quiet`` (no failure where none was to come any more) or ``open`` (nothing was
            seen); ``unverified`` it was not waited for, or could not be.
        detail: a sentence.
        changes: one for each role that was to act.
        look_again: when to look at it again, ISO 8601 UTC; null for never.
    """

    host: str
    outcome: Outcome
    detail: str
    changes: list[Change]
    look_again: str | None


_LOST = "It was not seen to its end: look at what this host says above, and run it again."
_UNVERIFIED = "The next enrolment was not waited for: run winpki.scep.verify."
_TITLES: dict[Outcome, tuple[str, str]] = {
    "failed": ("Still fails", "still fail"),
    "not_done": ("Not done", "not done"),
    "open": ("Nothing seen yet", "not seen yet"),
    "unverified": ("Not verified", "not verified"),
    "quiet": ("No failure seen any more, which is no proof", "quiet"),
    "succeeded": ("Enrols again", "enrol again"),
}
_ROWS = 20
_DETAIL = 240


def host_outcome(host: str, roles: Mapping[str, Result | None], verified: Result | None) -> HostOutcome:
    """Returns what came of one host.

    Args:
        host: inventory name.
        roles: what each role that was to act has registered, None where it did not come to that.
        verified: what verify_enrolment returned, None if it did not run.
    """
    changes = [_change(role, result) for role, result in roles.items()]
    undone = [f"{one['role']}: {one['message']}" for one in changes if one["message"]]
    outcome: Outcome = "unverified"
    detail, look_again = _UNVERIFIED, None
    if undone:
        outcome, detail = "not_done", " ".join(undone)
    elif verified is not None and verified.get("outcome") in _TITLES:
        outcome, look_again = verified["outcome"], verified.get("look_again")
        detail = " ".join(str(one.get("detail")) for one in verified.get("verdicts") or ())
    elif verified is not None and verified.get("msg"):
        detail = str(verified["msg"])
    return {"host": host, "outcome": outcome, "detail": detail, "changes": changes, "look_again": look_again}


def _change(role: str, result: Result | None) -> Change:
    if result is None or result.get("skipped"):
        return {"role": role, "changed": None, "change_ids": [], "message": _LOST}
    failed = bool(result.get("failed") or result.get("unreachable"))
    ids = [*(result.get("change_ids") or ()), result.get("change_id")]
    return {
        "role": role,
        # Of a host that fell silent nobody knows.
        "changed": None if result.get("unreachable") else bool(result.get("changed")),
        "change_ids": [str(one) for one in ids if one],
        "message": str(result.get("msg") or _LOST) if failed else None,
    }


def render_outcomes(outcomes: Sequence[HostOutcome], written: str | None) -> str:
    """Returns the screen: lines of at most WIDTH columns, without control characters.

    Args:
        outcomes: of the hosts on which something was to be done.
        written: where they have been written to; one line however long, to be copied.
    """
    counts = Counter(one["outcome"] for one in outcomes)
    said = ", ".join(f"{counts[outcome]:,} {words}" for outcome, (_title, words) in _TITLES.items() if counts[outcome])
    lines = ["SCEP remediation, what came of it", "=" * WIDTH, *wrap(f"{plural(len(outcomes), 'host')}: {said}", WIDTH)]
    for outcome, (title, _words) in _TITLES.items():
        hosts = [one for one in outcomes if one["outcome"] == outcome]
        rows = [(one["host"], _roles(one["changes"]), squeeze(one["detail"], _DETAIL)) for one in hosts]
        if rows:
            lines += ["", title, *short_list(rows, _ROWS, WIDTH)]
    again = min((one["look_again"] for one in outcomes if one["look_again"]), default=None)
    if again:
        lines += ["", f"Look again with winpki.scep.verify from {visible(again)}"]
    if any(change["change_ids"] for one in outcomes for change in one["changes"]):
        lines += ["", "Take changes back with winpki.scep.rollback, by host, role or change id"]
    if written:
        lines += ["", "Result", f"  {visible(written)}"]
    return "\n".join(lines)


def _roles(changes: Sequence[Change]) -> str:
    words = {True: "", False: " (no change)", None: " (not known)"}
    return ", ".join(f"{one['role']}{words[one['changed']]}" for one in changes)
