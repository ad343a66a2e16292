# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action remediation_gate: plans what may be done on each host, writes or reads plan.json, lets pass what it allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any, get_args

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.winpki.scep.plugins.plugin_utils.chain_file import read_chain_file
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint_chain import RefusedError
from ansible_collections.winpki.scep.plugins.plugin_utils.gate import Decision, Gate, decide, needs_plan, to_verify
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import HostPlan, plan_remediation, plan_settings
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_action import PlanSettings, SettingsError
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_file import (
    PlanDocument,
    PlanRefusedError,
    plan_document,
    read_plan,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_text import render_gate
from ansible_collections.winpki.scep.plugins.plugin_utils.play import OptionError, read_rules, registered, version
from ansible_collections.winpki.scep.plugins.plugin_utils.report import Report, build_report
from ansible_collections.winpki.scep.plugins.plugin_utils.report_files import WriteError, write_json
from ansible_collections.winpki.scep.plugins.plugin_utils.rule_expression import MissingLibraryError

_SPEC = {
    "result": {"type": "str", "required": True},
    "evidence": {"type": "str", "required": True},
    "settings": {"type": "str", "required": True},
    "rules": {"type": "raw", "default": []},
    "gate": {"type": "str", "choices": list(get_args(Gate)), "default": "check"},
    "plan": {"type": "path"},
    "output": {"type": "path", "default": "remediation/plan.json"},
    "max_age": {"type": "int", "default": 86400},
}
_BATCH = "ansible_play_batch"


class ActionModule(ActionBase):
    """Runs once for the hosts of a batch, on the controller, without a connection."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the result that the module's page describes."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        validate: Callable[..., tuple[Any, dict[str, Any]]] = self.validate_argument_spec
        args = validate(argument_spec=_SPEC)[1]
        try:
            return {**result, **self._judge(args, task_vars or {})}
        except PlanRefusedError as error:
            return {**result, "failed": True, "reason": error.reason, "msg": f"plan: {args['plan']}: {error}"}
        except WriteError as error:
            return {**result, "failed": True, "msg": f"output: {error}"}
        except (OptionError, MissingLibraryError) as error:
            return {**result, "failed": True, "msg": str(error)}

    def _judge(self, args: Mapping[str, Any], task_vars: Mapping[str, Any]) -> dict[str, Any]:
        if args["max_age"] <= 0:
            raise OptionError("max_age", f"{args['max_age']} is not possible; it is in seconds and more than 0")
        now, check_mode, gate = datetime.now(timezone.utc), bool(self._task.check_mode), args["gate"]
        addresses = _addresses(task_vars)
        plan = _read(args["plan"], addresses, now, args["max_age"]) if args["plan"] and gate != "none" else None
        if needs_plan(gate, plan, check_mode=check_mode):
            raise OptionError("plan", "the gate is plan, so an apply run needs the plan that an earlier run wrote")
        report = build_report(
            results=registered(args["result"], task_vars, _BATCH),
            evidence=registered(args["evidence"], task_vars, _BATCH),
            rules=read_rules(args["rules"], self._loader),
            generator=f"winpki.scep {version()}",
            now=now,
        )
        fresh = self._plans(report, registered(args["settings"], task_vars, _BATCH))
        decisions = [decide(gate, plan, one, check_mode=check_mode) for one in fresh]
        written: str | None = None
        if check_mode and plan is None:
            document = plan_document(
                fresh,
                addresses,
                generator=report["generator"],
                created=report["generated"],
                max_age_seconds=args["max_age"],
            )
            written = write_json(args["output"], document)
        # Goes through the queue to Ansible's main process, so it is plain text in the order of the tasks.
        Display().display(f"\n{render_gate(fresh, decisions, report['hosts'], plan, written)}\n")
        return {
            "changed": False,
            "written": written,
            "hosts": {plan["host"]: _shown(plan, one) for plan, one in zip(fresh, decisions, strict=True)},
        }

    def _plans(self, report: Report, settings: Mapping[str, Any]) -> list[HostPlan]:
        """Returns the plans. A finding of a host that was not asked, in a collector's log, has no evidence here."""
        read = cache(lambda path: read_chain_file(self._find_needle, self._loader, path))
        checked = {host: _settings(host, given or {}, read) for host, given in settings.items()}
        return plan_remediation(report["findings"], report["evidence"], checked, report["generated"])


def _settings(host: str, given: Mapping[str, Any], read: Callable[[str], str]) -> PlanSettings:
    try:
        settings = plan_settings(given)
        return replace(settings, chain=[*settings.chain, *map(read, settings.chain_files)])
    except (SettingsError, RefusedError) as error:
        raise OptionError(f"settings of {host}", str(error)) from error


def _shown(plan: HostPlan, decision: Decision) -> dict[str, Any]:
    return {
        "digest": plan["digest"],
        "allowed": decision["allowed"],
        "held": decision["held"],
        "skipped": plan["skipped"],
        "verify": to_verify(decision["allowed"]),
    }


def _addresses(task_vars: Mapping[str, Any]) -> dict[str, str]:
    """Returns where Ansible reaches each host of the inventory, as the inventory says it."""
    hostvars = task_vars["hostvars"]
    return {host: str(hostvars.raw_get(host).get("ansible_host") or host) for host in task_vars["groups"]["all"]}


def _read(path: str, addresses: Mapping[str, str], now: datetime, max_age: int) -> PlanDocument:
    try:
        content = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise OptionError("plan", f"{path} can't be read: {error.strerror}") from error
    return read_plan(content, addresses, now=now, max_age_seconds=max_age)
