# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action verify_enrolment: marks where the host's log is, starts an enrolment where it can, and waits for its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.winpki.scep.plugins.plugin_utils.event import Event, parse_events
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import ProfileEvidence
from ansible_collections.winpki.scep.plugins.plugin_utils.host_module import run_module
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import plain
from ansible_collections.winpki.scep.plugins.plugin_utils.verification import (
    Started,
    Verdict,
    blind_spots,
    has_aik,
    overall,
    profiles_of,
    quiet_verdict,
    verdict,
)

_SPEC = {
    "urls": {"type": "list", "elements": "str", "default": []},
    "silent_urls": {"type": "list", "elements": "str", "default": []},
    "start": {"type": "bool", "default": True},
    "wait": {"type": "float", "default": 300.0},
    "interval": {"type": "float", "default": 15.0},
    "look_again": {"type": "float", "default": 8.0},
    "log_level": {"type": "int"},
    "required": {"type": "bool", "default": False},
    "role": {"type": "str"},
}
_LONGEST_WAIT = 3600.0
_SHORTEST_INTERVAL = 1.0
_AIK_TASK = "\\Microsoft\\Windows\\CertificateServicesClient\\AikCertEnrollTask"
_CHECK = "In check mode no enrolment is started."


class ActionModule(ActionBase):
    """Two round trips for the mark, one for each enrolment that is started, and one or two for each look."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the result that the module's page describes."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        validate: Callable[..., tuple[Any, dict[str, Any]]] = self.validate_argument_spec
        args = plain(validate(argument_spec=_SPEC)[1])
        if not (0 <= args["wait"] <= _LONGEST_WAIT and args["interval"] >= _SHORTEST_INTERVAL):
            message = (
                f"wait has to be from 0 to {_LONGEST_WAIT:.0f} seconds, and interval at least {_SHORTEST_INTERVAL:.0f}."
            )
            return {**result, "failed": True, "msg": message}
        self._vars = task_vars
        try:
            mark = self._module("event_info", max_events=1)
            found = mark if mark.get("failed") else self._module("profile_info")
        except AnsibleConnectionFailure as error:
            # Not unreachable but failed: the host stays in the play, whose next task puts its log level back.
            return {**result, "failed": True, "msg": f"The host could not be reached, so nothing was verified: {error}"}
        if found.get("failed"):
            return {**result, **found}
        profiles: list[ProfileEvidence] = found["profiles"]
        urls = args["urls"] or ([] if args["silent_urls"] else _device_urls(profiles))
        if not urls and not args["silent_urls"]:
            message = (
                "urls: there is nothing to verify, as this host has no SCEP profile of MDM: give the URLs it enrols at."
            )
            return {**result, "failed": True, "msg": message}
        begin = time.monotonic()
        started = self._start(urls, profiles, args) if args["start"] else []
        verdicts, spots, seconds = self._wait(urls, profiles, mark, args, begin)
        outcome = overall(verdicts)
        shown = {
            "changed": any(one["started"] for one in started),
            "outcome": outcome,
            "verdicts": verdicts,
            "started": started,
            "blind_spots": spots,
            "waited_seconds": round(seconds, 1),
            "look_again": _look_again(args["look_again"]) if outcome in ("open", "quiet") else None,
        }
        return {**result, **shown, **_told(shown, required=args["required"])}

    def _module(self, name: str, **arguments: Any) -> dict[str, Any]:
        return run_module(self._execute_module, name, arguments, self._vars)

    def _start(
        self, urls: Sequence[str], profiles: Sequence[ProfileEvidence], args: Mapping[str, Any]
    ) -> list[Started]:
        """Starts what enrols at the URLs, each once, and returns what came of it."""
        started: list[Started] = []
        # The task is not waited for, so it runs while the profiles enrol.
        if has_aik(urls):
            started.append(self._start_one("aik_task", {"state": "started"}, task=_AIK_TASK))
        chosen = {profile["path"]: profile for url in urls for profile in profiles_of(url, profiles)}
        for profile in chosen.values():
            if profile["scope"] != "device":
                detail = "It is a user's profile, whose enrolment only that user's own session can start."
                started.append({"profile_id": profile["id"], "task": None, "started": False, "detail": detail})
                continue
            timeout = max(args["wait"], 1.0)
            options = {"profile_id": profile["id"], "enroll": True, "enroll_timeout": timeout, "role": args["role"]}
            started.append(self._start_one("profile", options, profile_id=profile["id"]))
        return started

    def _start_one(
        self, module: str, options: Mapping[str, Any], *, profile_id: str | None = None, task: str | None = None
    ) -> Started:
        """Starts an enrolment with a module that returns ``enrollment``; that it can't be started is no failure."""
        one: Started = {"profile_id": profile_id, "task": task, "started": False, "detail": _CHECK}
        if self._task.check_mode:
            return one
        try:
            done = self._module(module, **options)
        except AnsibleConnectionFailure as error:
            return {**one, "detail": f"The connection failed, so it may be started or not: {error}"}
        enrolment = done.get("enrollment") or {}
        one["started"] = bool(enrolment.get("started"))
        one["detail"] = str(enrolment.get("detail") or done.get("msg") or "")
        return one

    def _wait(
        self,
        urls: Sequence[str],
        profiles: Sequence[ProfileEvidence],
        mark: Mapping[str, Any],
        args: Mapping[str, Any],
        begin: float,
    ) -> tuple[list[Verdict], list[str], float]:
        """Looks until every URL is decided or the time is over; then also returns what may have happened unseen."""
        wait = 0.0 if self._task.check_mode else args["wait"]
        with_profiles = any(profiles_of(url, profiles) for url in urls)
        answer: dict[str, Any] | None = None
        events: list[Event] = []
        now: Sequence[ProfileEvidence] = profiles
        while True:
            try:
                looked = self._module("event_info", after_record_id=mark.get("last_record_id") or 0)
                if not looked.get("failed"):
                    answer, events = looked, parse_events(looked["events"])
                if with_profiles:
                    now = self._module("profile_info").get("profiles") or now
            except AnsibleConnectionFailure:
                # The host may be back before the time is over, and its log level has to be put back afterwards.
                self._display.vvv("verify_enrolment: the host could not be reached, and is asked again")
            seconds = time.monotonic() - begin
            verdicts = [verdict(url, events, profiles, now) for url in urls]
            decided = all(one["outcome"] != "open" for one in verdicts) and not args["silent_urls"]
            if decided or seconds >= wait:
                break
            time.sleep(min(args["interval"], wait - seconds))
        verdicts += [quiet_verdict(url, events, seconds) for url in args["silent_urls"]]
        return verdicts, blind_spots(answer, args["log_level"]), seconds


def _device_urls(profiles: Sequence[ProfileEvidence]) -> list[str]:
    urls = [url for profile in profiles if profile["source"] == "mdm" for url in profile["urls"]]
    return list(dict.fromkeys(urls))


def _look_again(hours: float) -> str:
    """Returns when to look again, by this machine's clock, in UTC."""
    return (datetime.now(timezone.utc) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _told(shown: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    """Returns the sentence, and the failure where there is one."""
    parts = [f"{one['url']} {one['outcome']}: {one['detail']}" for one in shown["verdicts"]]
    if shown["outcome"] == "open":
        parts += shown["blind_spots"]
    if shown["look_again"]:
        parts.append(f"Look again at {shown['look_again']}.")
    failed = shown["outcome"] == "failed" or (required and shown["outcome"] == "open")
    return {"msg": " ".join(parts), **({"failed": True} if failed else {})}
