# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action remediation_report: joins what came of all hosts, prints and writes it, and says whether the run may go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import plain
from ansible_collections.winpki.scep.plugins.plugin_utils.play import version
from ansible_collections.winpki.scep.plugins.plugin_utils.remediation import (
    HostOutcome,
    Limits,
    gated_outcome,
    idle_outcome,
    is_proven,
    render_outcomes,
    stop_reason,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.report_files import WriteError, write_json

_SPEC = {
    "gate": {"type": "str", "required": True},
    "roles": {"type": "dict", "required": True},
    "verified": {"type": "str", "required": True},
    "output": {"type": "path", "default": "remediation/result.json"},
    "begin": {"type": "bool", "default": False},
    "max_fail": {"type": "int", "default": 10},
    "required": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Runs once, on the controller, without a connection."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the result that the module's page describes."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        validate: Callable[..., tuple[Any, dict[str, Any]]] = self.validate_argument_spec
        args, known = validate(argument_spec=_SPEC)[1], task_vars or {}
        limits = Limits(args["max_fail"], args["required"], bool(args["verified"]))
        outcomes = _outcomes(args, known)
        shown: dict[str, Any] = {"changed": False, "written": None, "hosts": {one["host"]: one for one in outcomes}}
        shown["proven"] = is_proven(outcomes, limits)
        if args["begin"]:
            shown["stop"], working = None, list(known["ansible_play_batch"])
        else:
            # The gate has judged the hosts of this batch together, also those that were lost since.
            batch = (known.get(args["gate"]) or {}).get("hosts") or {}
            shown["stop"], working = stop_reason([one for one in outcomes if one["host"] in batch], limits), []
        try:
            shown["written"] = (
                None if self._task.check_mode else _write(args["output"], outcomes, working, shown["stop"])
            )
        except WriteError as error:
            shown |= {"failed": True, "msg": f"output: {error}"}
        if outcomes and not args["begin"]:
            # Goes through the queue to Ansible's main process, so it is plain text in the order of the tasks.
            Display().display(f"\n{render_outcomes(outcomes, shown['written'], shown['stop'])}\n")
        return {**result, **shown}


def _outcomes(args: Mapping[str, Any], task_vars: Mapping[str, Any]) -> list[HostOutcome]:
    """Returns the outcomes of all hosts so far, in this play and in those before, and of those that are yet to come."""
    found: dict[str, HostOutcome] = {}
    planned: set[str] = set()
    passed: set[str] = set()
    gates: set[int] = set()
    for host in task_vars["groups"]["all"]:
        # Unlike the hosts' variables, what is registered holds no templates of ours, so it is not templated.
        known = task_vars["hostvars"].raw_get(host)
        gate = known.get(args["gate"])
        if not gate:
            continue
        passed.add(host)
        # Each host of a batch has what the gate said of all: that is looked at once, then only the host's own part.
        if id(gate) not in gates:
            gates.add(id(gate))
            planned.update(gate.get("planned") or ())
            unread = {one["host"]: str(one["reason"]) for one in plain(gate.get("not_read") or [])}
            found |= {name: idle_outcome(name, "not_read", reason) for name, reason in unread.items()}
        said = (gate.get("hosts") or {}).get(host)
        outcome = gated_outcome(host, plain(said), _registered(args, known)) if said else None
        if outcome is not None:
            found[host] = outcome
    found |= {host: idle_outcome(host, "not_reached") for host in planned - passed}
    return sorted(found.values(), key=lambda one: (one["host"].casefold(), one["host"]))


def _registered(args: Mapping[str, Any], known: Mapping[str, Any]) -> Callable[[str], Any]:
    names = {**args["roles"], "verified": args["verified"]}
    return lambda what: plain(known.get(names[what]))


def _write(output: str, outcomes: list[HostOutcome], working: list[str], stop: str | None) -> str:
    document = {
        "schema": 1,
        "generator": f"winpki.scep {version()}",
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "in_progress": working,
        "stop": stop,
        "hosts": outcomes,
    }
    return write_json(output, document)
