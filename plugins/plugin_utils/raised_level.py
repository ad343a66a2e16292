# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's enrolment log level: raised for a while, and put back in any case, or else said to be raised still."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from ansible.errors import AnsibleConnectionFailure

Ask = Callable[..., dict[str, Any]]
"""Returns the result of a module of this collection: its name, and its options by name.

Raises AnsibleConnectionFailure if the connection broke.
"""
_TRIES = 3


class LevelOutcome(TypedDict):
    """What became of the level.

    Attributes:
        before: the level that was in effect, null if Windows does not say what it does with the value that is there.
        raised_to: the level that it was raised to, or would be in check mode; null if it was not raised.
        put_back: true if it was put back, false if it may be raised still, null if there was nothing to put back.
        change_id: that of the undo record, null if there is none or it is not known.
        detail: a sentence.
    """

    before: int | None
    raised_to: int | None
    put_back: bool | None
    change_id: str | None
    detail: str


class RaisedLevel:
    """The level of one host: raise_it(), then put_back() whatever happened in between, then outcome().

    Attributes:
        diffs: those of the changes, where a diff was asked for.
        effective: the level that is in effect, None if unknown.
    """

    def __init__(self, ask: Ask, found: Mapping[str, Any], level: int | None, role: str | None) -> None:
        """Does nothing yet.

        Args:
            ask: runs a module on the host.
            found: the level as the module log_level has read it.
            level: to raise it to, None to leave it.
            role: for the undo record.
        """
        self.diffs: list[dict[str, Any]] = []
        self.effective: int | None = found["effective"]
        self._ask = ask
        self._found = found
        self._level = level
        self._role = role
        self._raised_to: int | None = None
        self._change_id: str | None = None
        self._is_unheard = False
        self._put_back: bool | None = None
        self._reason = ""

    def raise_it(self) -> str | None:
        """Raises the level if it is lower. Returns why that failed, in a sentence; None if it did not."""
        if self._level is None or self.effective is None or self.effective >= self._level:
            return None
        try:
            done = self._ask("log_level", level=self._level, role=self._role)
        except AnsibleConnectionFailure as error:
            self._is_unheard = True
            return f"The connection failed while the log level was raised, so nothing was verified: {error}"
        self._note(done)
        # It is there also where the change failed half-way.
        self._change_id = done.get("change_id")
        if done.get("failed"):
            return f"The log level could not be raised, so nothing was verified: {done.get('msg')}"
        self.effective = self._level
        self._raised_to = self._level if done.get("changed") else None
        return None

    def put_back(self, pause: float) -> None:
        """Puts back what was raised, as often as it takes, within limits. Never raises an error of the connection.

        Args:
            pause: seconds between two tries.
        """
        if self._change_id is None and not self._is_unheard:
            return
        self._put_back = False
        if self._is_unheard:
            # The host may be just about to raise it.
            time.sleep(pause)
        for number in range(_TRIES):
            if number:
                time.sleep(pause)
            try:
                self._try_to_put_back()
            except AnsibleConnectionFailure as error:
                self._reason = f"the connection failed ({error})"
            else:
                return

    def outcome(self) -> LevelOutcome:
        """Returns what became of the level."""
        return {
            "before": self._found["effective"],
            "raised_to": self._raised_to,
            "put_back": self._put_back,
            "change_id": self._change_id,
            "detail": self._detail(),
        }

    def _try_to_put_back(self) -> None:
        if self._change_id is None:
            self._change_id = self._find()
            if self._change_id is None:
                return
            self._raised_to = self._level
        done = self._ask("log_level", undo=self._change_id)
        self._note(done)
        self._put_back = not done.get("failed")
        self._reason = str(done.get("msg") or "")

    def _find(self) -> str | None:
        """Returns the id of the change whose answer was lost; None if there is none, or the reason is noted."""
        found = self._ask("undo_info")
        if found.get("failed"):
            self._reason = str(found.get("msg"))
            return None
        mine = [
            record["change_id"]
            for record in found["records"]
            if (record["module"], record["role"]) == ("log_level", self._role)
            and record["state"] != "undone"
            and record["before"] == self._found
        ]
        if not mine:
            self._reason = "no change of it is found on the host, so most likely it was never raised"
        return mine[-1] if mine else None

    def _note(self, done: Mapping[str, Any]) -> None:
        self.diffs += [done["diff"]] if done.get("diff") else []

    def _detail(self) -> str:
        before = self._found["effective"]
        if self._put_back is False:
            role = f"rollback_roles: [{self._role}]" if self._role else "rollback_change_ids"
            return (
                f"The log level may still be raised from {before} to {self._level}: {self._reason.rstrip('.')}. "
                f"Take it back with winpki.scep.rollback and {role}."
            )
        if before is None:
            return "The log level is a value that Windows does not document, and was left as it is."
        if self._put_back:
            return f"The log level was raised from {before} to {self._level}, and put back."
        if self._raised_to is not None:
            return f"The log level would be raised from {before} to {self._level} meanwhile."
        return f"The log level is {before}, and was left as it is."
