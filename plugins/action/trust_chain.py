# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action trust_chain: only certificates go to the host, whose event log keeps what a module is given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ansible.plugins.action import ActionBase

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY", re.IGNORECASE)
_BEGIN = "-----BEGIN"
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----")


class ActionModule(ActionBase):
    """Refuses private keys on the controller, then runs the module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the module's result, or the refusal."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        given = arguments.get("certificates")
        if given is not None:
            texts = [str(text) for text in (given if isinstance(given, (list, tuple)) else [given])]
            refusal = refuse_private_keys(texts)
            if refusal is not None:
                return {**result, **refusal}
            arguments["certificates"] = [certificates_only(text) for text in texts]
        returned: dict[str, Any] = self._execute_module(
            module_name=self._task.action, module_args=arguments, task_vars=task_vars, wrap_async=self._task.async_val
        )
        return {**result, **returned}


def refuse_private_keys(texts: Sequence[str]) -> dict[str, Any] | None:
    """Returns the failure for the first text that holds a private key, which is never quoted; None if none does."""
    for number, text in enumerate(texts, 1):
        if _PRIVATE_KEY.search(text):
            message = (
                f"certificates entry {number} holds a private key: give the certificates alone, "
                "and treat that key as disclosed."
            )
            return {
                "failed": True,
                "changed": False,
                "refused": True,
                "reason": "private_key",
                "refusals": [{"reason": "private_key", "message": message}],
                "msg": f"Refused, nothing was changed. {message}",
            }
    return None


def certificates_only(text: str) -> str:
    """Returns the PEM blocks of a text, without what stands around them; nothing if any of it is not a whole block."""
    blocks = [match.group() for match in _BLOCK.finditer(text)]
    return "\n".join(blocks) if len(blocks) == text.count(_BEGIN) else ""
