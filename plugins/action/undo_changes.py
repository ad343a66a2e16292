# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action undo_changes: reads a host's undo records, and has each change taken back by the module that made it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.winpki.scep.plugins.plugin_utils.host_module import run_module
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import plain

MODULES = frozenset({"aik_task", "log_level", "profile", "trust_chain"})
"""The modules that make changes, and take theirs back with their option ``undo``."""
_SPEC = {
    "change_ids": {"type": "list", "elements": "str", "default": []},
    "roles": {"type": "list", "elements": "str", "default": []},
    "all": {"type": "bool", "default": False},
}
_SHOWN = ("change_id", "role", "module", "created")

Record = Mapping[str, Any]


class ActionModule(ActionBase):
    """One round trip for the records, and one for each change."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the result that the module's page describes."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        validate: Callable[..., tuple[Any, dict[str, Any]]] = self.validate_argument_spec
        args = plain(validate(argument_spec=_SPEC)[1])
        if sum(bool(args[name]) for name in _SPEC) != 1:
            message = (
                "Say what to undo, in one way: give change_ids, or roles, or set all for all that was changed here."
            )
            return {**result, "failed": True, "msg": message}
        found = run_module(self._execute_module, "undo_info", {}, task_vars)
        if found.get("failed"):
            return {**result, **found}
        chosen = choose(found["records"], args["change_ids"], args["roles"])
        here = {record["change_id"] for record in [*found["records"], *found["unreadable"]]}
        outcome: dict[str, Any] = {
            "undone": [],
            "already": [_shown(record) for record in chosen if record["state"] == "undone"],
            "not_foreseen": [],
            "kept": [
                {"change_id": one["change_id"], "role": None, "module": None, "created": None}
                | {"reason": "unreadable", "message": one["error"]}
                for one in found["unreadable"]
                if not args["change_ids"] or one["change_id"] in args["change_ids"]
            ],
            "here": [change_id for change_id in args["change_ids"] if change_id in here],
            "not_here": [change_id for change_id in args["change_ids"] if change_id not in here],
            "diff": [],
        }
        for record in chosen:
            if record["state"] != "undone":
                self._undo(record, outcome, task_vars)
        return {**result, **outcome, **told(outcome, check=bool(self._task.check_mode))}

    def _undo(self, record: Record, outcome: dict[str, Any], task_vars: dict[str, Any] | None) -> None:
        """Takes one change back, and puts it where it belongs in ``outcome``."""
        shown = _shown(record)
        if record["module"] not in MODULES:
            message = f"It was made by {record['module']}, which is none of the modules that this version can undo."
            outcome["kept"].append({**shown, "reason": "foreign", "message": message})
            return
        arguments = {"undo": record["change_id"]}
        try:
            done = run_module(self._execute_module, record["module"], arguments, task_vars)
        except AnsibleConnectionFailure as error:
            message = f"The connection failed, so it may be undone or not, run this again: {error}"
            outcome["kept"].append({**shown, "reason": "unreachable", "message": message})
            return
        if done.get("diff"):
            outcome["diff"].append(done["diff"])
        if not done.get("failed"):
            outcome["undone"].append(shown)
            return
        message = str(done.get("msg"))
        newer = [one["change_id"] for one in outcome["undone"] if one["module"] == record["module"]]
        if self._task.check_mode and done.get("refused") and newer:
            message = f"Whether it can be undone shows only when the newer {', '.join(newer)} is undone."
            outcome["not_foreseen"].append({**shown, "reason": str(done.get("reason")), "message": message})
            return
        outcome["kept"].append({**shown, "reason": str(done.get("reason") or "failed"), "message": message})


def choose(records: Sequence[Record], change_ids: Iterable[str], roles: Iterable[str]) -> list[Record]:
    """Returns the records to undo, the newest first; all if neither ids nor roles are given.

    Args:
        records: of one host, oldest first.
        change_ids: those of these changes.
        roles: those that were made for these roles.
    """
    ids, names = set(change_ids), set(roles)
    newest_first = list(reversed(records))
    if ids:
        return [record for record in newest_first if record["change_id"] in ids]
    return [record for record in newest_first if not names or record["role"] in names]


def told(outcome: Mapping[str, Any], *, check: bool) -> dict[str, Any]:
    """Returns what the task says: whether it changed or failed, and the sentence."""
    undone, kept = len(outcome["undone"]), outcome["kept"]
    changed = {"changed": bool(undone or outcome["not_foreseen"])}
    verb = "would be undone" if check else "undone"
    if kept:
        reasons = " ".join(f"{one['change_id']}: {one['message']}" for one in kept)
        return {**changed, "failed": True, "msg": f"{undone} {verb}, {len(kept)} could not be. {reasons}"}
    return {**changed, "msg": f"{undone} {verb}, {len(outcome['already'])} undone before."}


def _shown(record: Record) -> dict[str, Any]:
    return {key: record[key] for key in _SHOWN}
