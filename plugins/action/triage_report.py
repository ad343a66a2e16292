# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action triage_report: joins all hosts' events on the controller, prints the summary, writes the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.winpki.scep.plugins.plugin_utils.play import OptionError, read_rules, registered, version
from ansible_collections.winpki.scep.plugins.plugin_utils.report import Report, anything_read, build_report
from ansible_collections.winpki.scep.plugins.plugin_utils.report_files import (
    WriteError,
    check_folder,
    to_csv,
    to_json,
    write_files,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.report_input import HostStatus, read_files
from ansible_collections.winpki.scep.plugins.plugin_utils.report_text import render
from ansible_collections.winpki.scep.plugins.plugin_utils.rule_expression import MissingLibraryError

JSON_FILE, CSV_FILE = "findings.json", "findings.csv"
_SPEC = {
    "result": {"type": "str"},
    "evidence": {"type": "str"},
    "files": {"type": "list", "elements": "path"},
    "encoding": {"type": "str"},
    "rules": {"type": "raw", "default": []},
    "since": {"type": "str"},
    "output": {"type": "path", "default": "triage-out"},
}


class ActionModule(ActionBase):
    """Runs once for the whole play, on the controller, without a connection."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the result that the module's page describes."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        validate: Callable[..., tuple[Any, dict[str, Any]]] = self.validate_argument_spec
        args = validate(
            argument_spec=_SPEC,
            mutually_exclusive=[("result", "files")],
            required_by={"evidence": ["result"]},
        )[1]
        try:
            rules = read_rules(args["rules"], self._loader)
            if args["result"] is None and args["files"] is None:
                check_folder(args["output"])
                return {**result, "changed": False}
            report = build_report(
                results=registered(args["result"], task_vars or {}) if args["result"] else {},
                evidence=registered(args["evidence"], task_vars or {}) if args["evidence"] else {},
                files=read_files(
                    args["files"] or [], [str(Path.cwd()), self._loader.get_basedir()], args["encoding"] or None
                ),
                rules=rules,
                since=args["since"],
                generator=f"winpki.scep {version()}",
                now=datetime.now(timezone.utc),
            )
        except WriteError as error:
            return {**result, "failed": True, "msg": f"output: {error}"}
        except (OptionError, MissingLibraryError) as error:
            return {**result, "failed": True, "msg": str(error)}
        return {**result, **self._show(report, args["output"])}

    def _show(self, report: Report, output: str) -> dict[str, Any]:
        """Writes the files, prints the screen, and returns what the task says of it."""
        problem = _nothing_read(report)
        files: dict[str, str] = {}
        if self._task.check_mode:
            told = [f"{JSON_FILE} and {CSV_FILE} are not written to {output}: this is check mode"]
        else:
            try:
                files = write_files(output, {JSON_FILE: to_json(report), CSV_FILE: to_csv(report["findings"])})
                told = list(files.values())
            except WriteError as error:
                problem, told = f"output: {error}", [str(error)]
        # Goes through the queue to Ansible's main process, so it is plain text in the order of the tasks.
        Display().display(f"\n{render(report, told)}\n")
        status = Counter(row["status"] for row in report["hosts"])
        counts = {key: status[key] for key in get_args(HostStatus)}
        shown: dict[str, Any] = {"changed": False, "files": files, "status": counts}
        # A failed task's result is printed in full, and the screen has said all of that.
        return {**shown, "failed": True, "msg": problem} if problem else {**shown, "summary": report["summary"]}


def _nothing_read(report: Report) -> str | None:
    if anything_read(report):
        return None
    return "no event log could be read: the summary above has the reasons"
