# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action remediation_report: joins what the remedies and the verification of all hosts gave, prints and writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import plain
from ansible_collections.winpki.scep.plugins.plugin_utils.play import version
from ansible_collections.winpki.scep.plugins.plugin_utils.remediation import HostOutcome, host_outcome, render_outcomes
from ansible_collections.winpki.scep.plugins.plugin_utils.report_files import WriteError, write_json

_SPEC = {
    "gate": {"type": "str", "required": True},
    "roles": {"type": "dict", "required": True},
    "verified": {"type": "str", "required": True},
    "output": {"type": "path", "default": "remediation/result.json"},
}


class ActionModule(ActionBase):
    """Runs once, on the controller, without a connection."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the result that the module's page describes."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        validate: Callable[..., tuple[Any, dict[str, Any]]] = self.validate_argument_spec
        args = validate(argument_spec=_SPEC)[1]
        outcomes = _outcomes(args, task_vars or {})
        shown: dict[str, Any] = {"changed": False, "written": None, "hosts": {one["host"]: one for one in outcomes}}
        if not outcomes:
            return {**result, **shown}
        try:
            shown["written"] = None if self._task.check_mode else _write(args["output"], outcomes)
        except WriteError as error:
            shown |= {"failed": True, "msg": f"output: {error}"}
        # Goes through the queue to Ansible's main process, so it is plain text in the order of the tasks.
        Display().display(f"\n{render_outcomes(outcomes, shown['written'])}\n")
        return {**result, **shown}


def _outcomes(args: Mapping[str, Any], task_vars: Mapping[str, Any]) -> list[HostOutcome]:
    """Returns the outcomes of all hosts on which something was to be done so far, in this play and in those before."""
    found = []
    for host in task_vars["groups"]["all"]:
        # Unlike the hosts' variables, what is registered holds no templates of ours, so it is not templated.
        known = task_vars["hostvars"].raw_get(host)
        # Each host of a batch has what the gate said of all: only its own part is looked at.
        allowed = (((known.get(args["gate"]) or {}).get("hosts") or {}).get(host) or {}).get("allowed") or []
        roles = {role: plain(known.get(args["roles"][role])) for role in (action["role"] for action in plain(allowed))}
        if roles:
            found.append(host_outcome(host, roles, plain(known.get(args["verified"]))))
    return sorted(found, key=lambda one: (one["host"].casefold(), one["host"]))


def _write(output: str, outcomes: list[HostOutcome]) -> str:
    document = {
        "schema": 1,
        "generator": f"winpki.scep {version()}",
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "hosts": outcomes,
    }
    return write_json(output, document)
