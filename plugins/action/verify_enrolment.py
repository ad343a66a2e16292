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
from ansible_collections.winpki.scep.plugins.plugin_utils.raised_level import RaisedLevel
from ansible_collections.winpki.scep.plugins.plugin_utils.verification import (
    Started,
    Verdict,
    Watch,
    blind_spots,
    check_contexts,
    contexts_of,
    has_aik,
    overall,
    profiles_of,
    quiet_verdict,
    verdict,
)

_SPEC = {
    "urls": {"type": "list", "elements": "str", "default": []},
    "silent_urls": {"type": "list", "elements": "str", "default": []},
    "contexts": {"type": "dict", "default": {}},
    "start": {"type": "bool", "default": True},
    "wait": {"type": "float", "default": 300.0},
    "interval": {"type": "float", "default": 15.0},
    "look_again": {"type": "float", "default": 8.0},
    "log_level": {"type": "int", "choices": [0, 1, 2, 3, 4, 5]},
    "required": {"type": "bool", "default": False},
    "role": {"type": "str"},
}
_LONGEST_WAIT = 3600.0
_SHORTEST_INTERVAL = 1.0
_LONGEST_PAUSE = 15.0
"""Seconds between two tries to put the log level back."""
_AIK_TASK = "\\Microsoft\\Windows\\CertificateServicesClient\\AikCertEnrollTask"
_CHECK = "In check mode no enrolment is started."


class ActionModule(ActionBase):
    """Three round trips for the mark, one for each enrolment started, one or two for each look, two for a level.

    Whatever connection breaks is a failure, never unreachable: the host stays in the play, which says what came of it.
    """

    _supports_check_mode = True
    _is_broken = False

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
        return {**result, **self._verify(args)}

    def _verify(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Marks where the host is, and waits for its enrolments with the log level raised."""
        try:
            read = self._module("log_level")
            mark = read if read.get("failed") else self._module("event_info", max_events=1)
            found = mark if mark.get("failed") else self._module("profile_info")
        except AnsibleConnectionFailure as error:
            return {"failed": True, "msg": f"The host could not be reached, so nothing was verified: {error}"}
        if found.get("failed"):
            return found
        profiles: list[ProfileEvidence] = found["profiles"]
        urls = args["urls"] or ([] if args["silent_urls"] else _device_urls(profiles))
        message = check_contexts(args["contexts"], urls)
        if not urls and not args["silent_urls"]:
            message = (
                "urls: there is nothing to verify, as this host has no SCEP profile of MDM: give the URLs it enrols at."
            )
        if message:
            return {"failed": True, "msg": message}
        level = RaisedLevel(self._module, read["after"], args["log_level"], args["role"])
        shown: dict[str, Any] = {"changed": False, "failed": True}
        try:
            message = level.raise_it()
            if message is None:
                shown = self._wait_for_enrolment(urls, profiles, mark, level.effective, args)
            else:
                shown["msg"] = message
        finally:
            # Also if the task's time is over, or something unforeseen has happened.
            level.put_back(min(args["interval"], _LONGEST_PAUSE))
        became = level.outcome()
        shown |= {"log_level": became, "diff": level.diffs}
        shown["changed"] = shown["changed"] or became["raised_to"] is not None or became["change_id"] is not None
        if became["put_back"] is False:
            shown |= {"failed": True, "msg": f"{shown['msg']} {became['detail']}"}
        return shown

    def _wait_for_enrolment(
        self,
        urls: Sequence[str],
        profiles: Sequence[ProfileEvidence],
        mark: Mapping[str, Any],
        level: int | None,
        args: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Starts what can be started, waits, and returns what was seen."""
        begin = time.monotonic()
        started = self._start(urls, profiles, args) if args["start"] else []
        verdicts, watch = self._wait(urls, profiles, mark, level, args, begin)
        outcome = overall(verdicts)
        shown = {
            "changed": any(one["started"] for one in started),
            "outcome": outcome,
            "verdicts": verdicts,
            "started": started,
            "blind_spots": blind_spots(watch),
            "waited_seconds": round(time.monotonic() - begin, 1),
            "look_again": _look_again(args["look_again"]) if outcome in ("open", "quiet") else None,
        }
        return {**shown, **_told(shown, required=args["required"])}

    def _module(self, name: str, **arguments: Any) -> dict[str, Any]:
        return run_module(self._execute, name, arguments, self._vars)

    def _look(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Runs a module; a broken connection is a failure, as the host may be back before the time is over."""
        try:
            return self._module(name, **arguments)
        except AnsibleConnectionFailure as error:
            self._display.vvv(f"verify_enrolment: the host could not be reached, and is asked again: {error}")
            return {"failed": True, "msg": str(error)}

    def _execute(self, name: str, **given: Any) -> dict[str, Any]:
        """Runs a module, over a new connection if the last one broke."""
        if self._is_broken:
            # The connection plugins go on with a shell that the host, after a restart, does not know any more.
            self._connection.reset()
        self._is_broken = True
        done: dict[str, Any] = self._execute_module(name, **given)
        self._is_broken = False
        return done

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
        level: int | None,
        args: Mapping[str, Any],
        begin: float,
    ) -> tuple[list[Verdict], Watch]:
        """Looks until every URL is decided or the time is over; then also returns how it was watched."""
        wait = 0.0 if self._task.check_mode else args["wait"]
        with_profiles = any(profiles_of(url, profiles) for url in urls)
        watch = Watch(mark, None, None, 0.0, level)
        events: list[Event] = []
        now: Sequence[ProfileEvidence] = profiles
        is_over = False
        while True:
            asked = time.monotonic() - begin
            was_over, is_over = is_over, asked >= wait
            looked = self._look("event_info", after_record_id=mark.get("last_record_id") or 0)
            if looked.get("failed"):
                watch = watch._replace(reason=str(looked.get("msg")).rstrip("."))
            else:
                watch = watch._replace(last=looked, reason=None, seconds=asked)
                events = parse_events(looked["events"])
            if with_profiles and not self._is_broken:
                now = self._look("profile_info").get("profiles") or now
            verdicts = [
                verdict(url, events, profiles, now, contexts=contexts_of(url, args["contexts"])) for url in urls
            ]
            decided = all(one["outcome"] != "open" for one in verdicts) and not args["silent_urls"]
            # A host that is away at the very end gets one more chance to say what it has seen.
            if decided or (is_over and (watch.reason is None or was_over)):
                break
            left = wait - (time.monotonic() - begin)
            time.sleep(args["interval"] if is_over else max(0.0, min(args["interval"], left)))
        watched = watch if wait > 0 else None
        verdicts += [quiet_verdict(url, events, watched) for url in args["silent_urls"]]
        return verdicts, watch


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
        # A silent URL's sentence has them already.
        parts += [spot for spot in shown["blind_spots"] if not any(spot in part for part in parts)]
    if shown["look_again"]:
        parts.append(f"Look again at {shown['look_again']}.")
    failed = shown["outcome"] == "failed" or (required and shown["outcome"] == "open")
    return {"msg": " ".join(parts), **({"failed": True} if failed else {})}
