# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action remediation_gate: plans what may be done on each host, writes or reads plan.json, lets pass what it allows."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any, get_args

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import Finding, Rules
from ansible_collections.winpki.scep.plugins.plugin_utils.chain_file import read_chain_file
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint_chain import RefusedError
from ansible_collections.winpki.scep.plugins.plugin_utils.gate import (
    ROLE_VARIABLES,
    Decision,
    Gate,
    decide,
    hold_twins,
    needs_plan,
    to_verify,
    why_unread,
    with_planned,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.host_address import (
    Address,
    AddressError,
    Locate,
    host_address,
    same_machine,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import HostPlan, plan_remediation, plan_settings
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_action import PlanSettings, SettingsError
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_artifact import from_text, is_text, to_text
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_file import (
    PlanDocument,
    PlanRefusedError,
    not_read,
    plan_document,
    planned_hosts,
    read_plan,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_text import render_gate
from ansible_collections.winpki.scep.plugins.plugin_utils.play import (
    OptionError,
    read_rules,
    refuse_extra,
    registered,
    version,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.report import Report, anything_read, build_report
from ansible_collections.winpki.scep.plugins.plugin_utils.report_files import WriteError, check_folder, write_json
from ansible_collections.winpki.scep.plugins.plugin_utils.rule_expression import MissingLibraryError

_SPEC = {
    "result": {"type": "str"},
    "evidence": {"type": "str"},
    "settings": {"type": "str"},
    "rules": {"type": "raw", "default": []},
    "gate": {"type": "str", "choices": list(get_args(Gate)), "default": "check"},
    "plan": {"type": "str"},
    "output": {"type": "path", "default": "remediation/plan.json"},
    "publish": {"type": "bool", "default": False},
    "max_age": {"type": "int", "default": 86400},
}
_RESULTS = ("result", "evidence", "settings")
_BATCH, _ALL = "ansible_play_batch", "ansible_play_hosts_all"
_PUBLISHED = "scep_plan"
_OVERRULED = (
    "so it would come before what the plan says. Leave it out here: it is for that role's own play, or the inventory"
)


class ActionModule(ActionBase):
    """Runs once for the hosts of a batch, on the controller, without a connection."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the result that the module's page describes."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        validate: Callable[..., tuple[Any, dict[str, Any]]] = self.validate_argument_spec
        args = validate(argument_spec=_SPEC, required_together=[_RESULTS])[1]
        try:
            return {**result, **self._judge(args, task_vars or {})}
        except PlanRefusedError as error:
            named = "the text that was handed on" if is_text(args["plan"]) else args["plan"]
            return {**result, "failed": True, "reason": error.reason, "msg": f"plan: {named}: {error}"}
        except WriteError as error:
            return {**result, "failed": True, "msg": f"output: {error}"}
        except (OptionError, AddressError, MissingLibraryError) as error:
            return {**result, "failed": True, "msg": str(error)}

    def _judge(self, args: Mapping[str, Any], task_vars: Mapping[str, Any]) -> dict[str, Any]:
        now, check_mode, gate = datetime.now(timezone.utc), bool(self._task.check_mode), args["gate"]
        locate = self._locator(task_vars)
        plan, rules = self._look_ahead(args, locate, now)
        if args["result"] is None:
            return {"changed": False}
        evidence = registered(args["evidence"], task_vars, _BATCH)
        report = build_report(
            results=registered(args["result"], task_vars, _BATCH),
            evidence=evidence,
            rules=rules,
            generator=f"winpki.scep {version()}",
            now=now,
        )
        made = self._plans(report, registered(args["settings"], task_vars, _BATCH))
        fresh = with_planned(made, plan, task_vars[_BATCH])
        decisions = decide(gate, plan, fresh, check_mode=check_mode, unread=why_unread(report, evidence))
        planned = planned_hosts(plan["hosts"]) if plan else []
        acting = {one["host"] for one in decisions if one["allowed"]} | set(planned) & set(task_vars[_ALL])
        decisions = hold_twins(decisions, same_machine({host: locate(host) for host in sorted(acting)}))
        unread = not_read(report["hosts"])
        document: PlanDocument | None = None
        if check_mode and plan is None and anything_read(report):
            document = plan_document(
                made,
                unread,
                locate,
                generator=report["generator"],
                created=report["generated"],
                max_age_seconds=args["max_age"],
            )
        written = write_json(args["output"], document) if document else None
        # Goes through the queue to Ansible's main process, so it is plain text in the order of the tasks.
        Display().display(f"\n{render_gate(fresh, decisions, unread, plan, written)}\n")
        if not anything_read(report) and (check_mode or not _read_before(args["result"], task_vars)):
            return {
                "failed": True,
                "msg": "no event log of these hosts could be read: the screen above has the reasons",
            }
        findings = {finding["key"]: finding for finding in report["findings"]}
        shown: dict[str, Any] = {
            "changed": False,
            "written": written,
            "planned": planned,
            "not_read": unread,
            "hosts": {plan["host"]: _shown(plan, one, findings) for plan, one in zip(fresh, decisions, strict=True)},
        }
        return {**shown, **_handed_on(document)} if document and args["publish"] else shown

    def _look_ahead(self, args: Mapping[str, Any], locate: Locate, now: datetime) -> tuple[PlanDocument | None, Rules]:
        """Returns the plan that is applied, and the rules. What can go wrong before a host is read goes wrong here."""
        check_mode, gate = bool(self._task.check_mode), args["gate"]
        refuse_extra(ROLE_VARIABLES, _OVERRULED, self._loader)
        if args["max_age"] <= 0:
            raise OptionError("max_age", f"{args['max_age']} is not possible; it is in seconds and more than 0")
        plan = _read(args["plan"], locate, now, args["max_age"]) if args["plan"] and gate != "none" else None
        if needs_plan(gate, plan, check_mode=check_mode):
            raise OptionError("plan", "the gate is plan, so an apply run needs the plan that an earlier run wrote")
        if check_mode and plan is None:
            check_folder(str(Path(args["output"]).parent))
        return plan, read_rules(args["rules"], self._loader)

    def _plans(self, report: Report, settings: Mapping[str, Any]) -> list[HostPlan]:
        """Returns the plans. A finding of a host that was not asked, in a collector's log, has no evidence here."""
        read = cache(lambda path: read_chain_file(self._find_needle, self._loader, path))
        checked = {host: _settings(host, given or {}, read) for host, given in settings.items()}
        return plan_remediation(report["findings"], report["evidence"], checked, report["generated"])

    def _locator(self, task_vars: Mapping[str, Any]) -> Locate:
        """Returns what tells where Ansible reaches a host; it costs about a millisecond a host that is asked for."""
        hostvars, known = task_vars["hostvars"], frozenset(task_vars["groups"]["all"])
        task: Any = self._task
        of_play = task.get_play().get_vars()
        templar = self._templar.copy_with_new_env()

        @cache
        def locate(host: str) -> Address | None:
            if host not in known:
                return None
            # raw_get leaves out the play's variables and the other hosts', which a template may name too.
            variables = {**of_play, **hostvars.raw_get(host), "hostvars": hostvars}
            templar.available_variables = variables
            return host_address(host, variables, templar.template)

        return locate


def _read_before(result: str, task_vars: Mapping[str, Any]) -> bool:
    """Returns whether a host of an earlier batch was read: then one of hosts that are all off is no wrong password."""
    hostvars = task_vars["hostvars"]
    return any((hostvars.raw_get(host).get(result) or {}).get("log") for host in task_vars[_ALL])


def _settings(host: str, given: Mapping[str, Any], read: Callable[[str], str]) -> PlanSettings:
    try:
        settings = plan_settings(given)
        return replace(settings, chain=[*settings.chain, *map(read, settings.chain_files)])
    except (SettingsError, RefusedError) as error:
        raise OptionError(f"settings of {host}", str(error)) from error


def _shown(plan: HostPlan, decision: Decision, findings: Mapping[str, Finding]) -> dict[str, Any]:
    return {
        "digest": plan["digest"],
        "allowed": decision["allowed"],
        "held": decision["held"],
        "skipped": plan["skipped"],
        "verify": to_verify(decision["allowed"], findings),
    }


def _handed_on(document: PlanDocument) -> dict[str, Any]:
    """Returns what Ansible takes for the run's statistics, as it does what set_stats returns, and AWX for artifacts."""
    stats = {"data": {_PUBLISHED: to_text(document)}, "per_host": False, "aggregate": False}
    # It can be megabytes: with -v nobody wants it on the screen.
    return {"ansible_stats": stats, "_ansible_verbose_override": True}


def _read(plan: str, locate: Locate, now: datetime, max_age: int) -> PlanDocument:
    if is_text(plan):
        return read_plan(from_text(plan), locate, now=now, max_age_seconds=max_age)
    try:
        content = Path(os.path.expandvars(plan)).expanduser().read_bytes()
    except OSError as error:
        raise OptionError("plan", f"{plan} can't be read: {error.strerror}") from error
    return read_plan(content, locate, now=now, max_age_seconds=max_age)
