# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a remediation, host by host, and whether the run may go on to further hosts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

from ansible_collections.winpki.scep.plugins.plugin_utils.report_text import WIDTH
from ansible_collections.winpki.scep.plugins.plugin_utils.text_layout import plural, short_list, squeeze, visible, wrap

Outcome = Literal[
    "failed",
    "not_done",
    "held",
    "not_read",
    "open",
    "unverified",
    "quiet",
    "succeeded",
    "left_alone",
    "not_reached",
]
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
    """What came of a host.

    Attributes:
        host: inventory name.
        outcome: ``not_done`` a remedy was refused, failed, or was not seen to its end; ``held`` the gate let nothing
            pass; ``not_read`` its events were not read; ``left_alone`` none of its failures has a remedy that is
            justified; ``not_reached`` the plan has actions for it, and its turn did not come yet; of the next enrolment
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


class Limits(NamedTuple):
    """When a run has to end.

    Attributes:
        max_fail: percentage of the batch's hosts with a remedy that may end ``not_done`` or ``unverified``.
        required: an enrolment has to be seen wherever something was to be done, as on canary hosts.
        verified: enrolments are waited for at all.
    """

    max_fail: int
    required: bool
    verified: bool


_LOST = "It was not seen to its end: look at what this host says above, and run it again."
_UNVERIFIED = "The next enrolment was not waited for: run winpki.scep.verify."
_NOT_REACHED = "The plan has something to be done here, and its turn has not come in this run."
_NO_FURTHER = (
    "No further host is changed. Take back what was changed with winpki.scep.rollback, or mend what is left and run it "
    "again."
)
_NO_CANARY = "Nothing was changed on it, and nothing is on others. Name another in remediate_canary, or leave it out."
_TITLES: dict[Outcome, tuple[str, str]] = {
    "failed": ("Still fails", "still fail"),
    "not_done": ("Not done", "not done"),
    "held": ("Held back by the gate", "held back"),
    "not_read": ("Not read", "not read"),
    "open": ("Nothing seen yet", "not seen yet"),
    "unverified": ("Not verified", "not verified"),
    "quiet": ("No failure seen any more, which is no proof", "quiet"),
    "succeeded": ("Enrols again", "enrol again"),
    "left_alone": ("Left alone", "left alone"),
    "not_reached": ("Not reached yet", "not reached yet"),
}
_GOOD: frozenset[Outcome] = frozenset({"succeeded", "quiet"})
# Nothing was to be done on these, or nothing yet: they neither prove anything nor speak against it, and the screen only
# counts them.
_IDLE: frozenset[Outcome] = frozenset({"left_alone", "not_reached"})
# On these nothing was done, though something was to be, or may have been.
_NOT_TOUCHED: frozenset[Outcome] = frozenset({"held", "not_read"})
_ROWS = 20
_DETAIL = 240


def host_outcome(host: str, roles: Mapping[str, Result | None], verified: Result | None) -> HostOutcome:
    """Returns what came of a host on which something was to be done.

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
    level = (verified or {}).get("log_level") or {}
    # A failure of the verification itself says it in its own sentence.
    if level.get("put_back") is False and str(level["detail"]) not in detail:
        detail = f"{detail} {level['detail']}"
    return {"host": host, "outcome": outcome, "detail": detail, "changes": changes, "look_again": look_again}


def idle_outcome(host: str, outcome: Outcome, detail: str = _NOT_REACHED) -> HostOutcome:
    """Returns what is said of a host on which nothing was to be done, or nothing yet."""
    return {"host": host, "outcome": outcome, "detail": detail, "changes": [], "look_again": None}


def gated_outcome(host: str, said: Mapping[str, Any], result_of: Callable[[str], Result | None]) -> HostOutcome | None:
    """Returns what came of a host that the gate has judged, None if nothing of it fails.

    Args:
        host: inventory name.
        said: the host's part of what remediation_gate returned.
        result_of: by a role, or ``verified``, what it registered on the host.
    """
    roles = [action["role"] for action in said.get("allowed") or ()]
    if roles:
        return host_outcome(host, {role: result_of(role) for role in roles}, result_of("verified"))
    if said.get("held"):
        return idle_outcome(host, "held", "; ".join(f"{one['role']}: {one['message']}" for one in said["held"]))
    if said.get("skipped"):
        return idle_outcome(
            host, "left_alone", "; ".join(f"{one['cause']}: {one['reason']}" for one in said["skipped"])
        )
    return None


def is_proven(outcomes: Iterable[HostOutcome], limits: Limits) -> bool:
    """Returns whether a remedy has been seen to work: on one of these hosts at least."""
    return any(_is_good(one, limits) for one in outcomes)


def stop_reason(batch: Sequence[HostOutcome], limits: Limits) -> str | None:
    """Returns why no further host may be changed after these, None if the run may go on.

    Args:
        batch: the hosts that had their turn together.
        limits: what the operator bears.
    """
    failed = [one for one in batch if one["outcome"] == "failed"]
    if failed:
        return f"{_first(failed, 'the enrolment still fails after the remedy')} {_NO_FURTHER}"
    if limits.required:
        bad = [one for one in batch if one["outcome"] not in _IDLE and not _is_good(one, limits)]
        if bad:
            words = _TITLES[bad[0]["outcome"]][1]
            after = _NO_CANARY if bad[0]["outcome"] in _NOT_TOUCHED else _NO_FURTHER
            return f"{_first(bad, f'a canary host has to enrol again, and this one is {words}')} {after}"
    acted = [one for one in batch if one["outcome"] not in _IDLE | _NOT_TOUCHED]
    lost = [
        one for one in acted if one["outcome"] == "not_done" or (limits.verified and one["outcome"] == "unverified")
    ]
    if len(lost) * 100 > limits.max_fail * len(acted):
        share = (
            f"Of {plural(len(acted), 'host')} with a remedy in this batch {len(lost)} were not mended or not verified"
        )
        allowed = f"at most {limits.max_fail} % may be (remediate_max_fail)"
        return f"{share}, and {allowed}. {_first(lost, 'one of them')} {_NO_FURTHER}"
    return None


def _is_good(one: HostOutcome, limits: Limits) -> bool:
    return one["outcome"] in _GOOD or (one["outcome"] == "unverified" and not limits.verified)


def _first(bad: Sequence[HostOutcome], what: str) -> str:
    more = f" (and so {plural(len(bad) - 1, 'other host')})" if len(bad) > 1 else ""
    return f"{bad[0]['host']}: {what}{more}: {bad[0]['detail']}"


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


def render_outcomes(outcomes: Sequence[HostOutcome], written: str | None, stop: str | None = None) -> str:
    """Returns the screen: lines of at most WIDTH columns, without control characters.

    Args:
        outcomes: of all hosts so far of which there is something to tell.
        written: where they have been written to; one line however long, to be copied.
        stop: why the run ends here.
    """
    counts = Counter(one["outcome"] for one in outcomes)
    said = ", ".join(f"{counts[outcome]:,} {words}" for outcome, (_title, words) in _TITLES.items() if counts[outcome])
    lines = ["SCEP remediation, what came of it", "=" * WIDTH, *wrap(f"{plural(len(outcomes), 'host')}: {said}", WIDTH)]
    for outcome, (title, _words) in _TITLES.items():
        hosts = [one for one in outcomes if one["outcome"] == outcome and outcome not in _IDLE]
        rows = [(one["host"], _roles(one["changes"]), squeeze(one["detail"], _DETAIL)) for one in hosts]
        if rows:
            lines += ["", title, *short_list(rows, _ROWS, WIDTH)]
    again = min((one["look_again"] for one in outcomes if one["look_again"]), default=None)
    if again:
        lines += ["", f"Look again with winpki.scep.verify from {visible(again)}"]
    if any(change["change_ids"] for one in outcomes for change in one["changes"]):
        lines += ["", "Take changes back with winpki.scep.rollback, by host, role or change id"]
    if stop:
        lines += ["", "The run ends here", *(f"  {line}" for line in wrap(visible(stop), WIDTH - 2))]
    if written:
        lines += ["", "Result", f"  {visible(written)}"]
    return "\n".join(lines)


def _roles(changes: Sequence[Change]) -> str:
    words = {True: "", False: " (no change)", None: " (not known)"}
    return ", ".join(f"{one['role']}{words[one['changed']]}" for one in changes)
