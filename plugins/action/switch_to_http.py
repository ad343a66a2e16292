# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action switch_to_http: finds the settings of a host that hold an NDES URL, and has each switched to HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import http_url
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import ProfileEvidence
from ansible_collections.winpki.scep.plugins.plugin_utils.host_module import run_module
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import plain
from ansible_collections.winpki.scep.plugins.plugin_utils.verification import same_endpoint

_SPEC = {
    "urls": {"type": "list", "elements": "str", "required": True},
    "files": {"type": "list", "elements": "str", "default": []},
    "registry_values": {"type": "list", "elements": "dict", "default": []},
    "ca_thumbprint": {"type": "str"},
    "http_port": {"type": "int"},
    "proxy": {"type": "str", "default": "winhttp"},
    "timeout": {"type": "float", "default": 15.0},
    "role": {"type": "str"},
}
_SHOWN = ("source", "scope", "sid", "id", "path", "name")


class ActionModule(ActionBase):
    """One round trip to find the settings, and one for each that is to be switched."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the result that the module's page describes."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        validate: Callable[..., tuple[Any, dict[str, Any]]] = self.validate_argument_spec
        args = plain(validate(argument_spec=_SPEC)[1])
        asked = {"files": args["files"], "registry_values": args["registry_values"]}
        found = run_module(self._execute_module, "profile_info", asked, task_vars)
        if found.get("failed"):
            return {**result, **found}
        switches: list[dict[str, Any]] = []
        nowhere: list[str] = []
        diffs: list[Any] = []
        for url in args["urls"]:
            new = http_url(url, args["http_port"])
            held = [each for each in found["profiles"] if holds(each, url)]
            if not held and not any(holds(each, new) for each in found["profiles"]):
                nowhere.append(url)
            for setting in held:
                arguments = {
                    **target(setting),
                    "from_url": url,
                    "url": new,
                    "allow_port": args["http_port"],
                    "ca_thumbprint": args["ca_thumbprint"],
                    "proxy": args["proxy"],
                    "timeout": args["timeout"],
                    "role": args["role"],
                }
                given = {key: value for key, value in arguments.items() if value is not None}
                done = self._switch(given, task_vars)
                diffs += [done["diff"]] if done.get("diff") else []
                switches.append(_switch(setting, url, new, done))
        return {**result, "switches": switches, "nowhere": nowhere, "diff": diffs, **told(switches, nowhere)}

    def _switch(self, arguments: Mapping[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Has one setting switched. A connection that fails keeps nobody from saying what became of the others."""
        try:
            return run_module(self._execute_module, "profile", arguments, task_vars)
        except AnsibleConnectionFailure as error:
            message = f"The connection failed, so it may be switched or not, run this again: {error}"
            return {"failed": True, "msg": message}


def holds(setting: ProfileEvidence, url: str) -> bool:
    """Returns whether a setting holds a URL, in any spelling of its host and port."""
    return any(same_endpoint(url, one) for one in setting["urls"])


def target(setting: ProfileEvidence) -> dict[str, Any]:
    """Returns the options of the module profile that name a setting."""
    if setting["source"] == "file":
        return {"file": setting["path"]}
    if setting["source"] == "registry":
        return {"registry_value": {"path": setting["path"], "name": setting["name"]}}
    return {"profile_id": setting["id"], "scope": setting["scope"], "sid": setting["sid"]}


def told(switches: list[dict[str, Any]], nowhere: list[str]) -> dict[str, Any]:
    """Returns what the task says: whether it changed, failed or was refused, the changes' ids, and the sentence."""
    kept = [one for one in switches if one["message"]]
    said: dict[str, Any] = {
        "changed": any(one["changed"] for one in switches),
        "change_ids": [one["change_id"] for one in switches if one["change_id"]],
    }
    messages = [f"{one['path']}: {one['message']}" for one in kept]
    if nowhere:
        messages.append(
            f"{', '.join(nowhere)}: no setting of this host that was looked at holds it. Name the client's own in "
            "files or registry_values."
        )
    if not messages:
        return said
    reasons = [str(one["reason"]) for one in kept if one["reason"]] + ["url_not_found"] * bool(nowhere)
    refused = {"refused": True, "reason": reasons[0]} if reasons else {}
    return {**said, "failed": True, **refused, "msg": " ".join(messages)}


def _switch(setting: ProfileEvidence, url: str, new: str, done: Mapping[str, Any]) -> dict[str, Any]:
    failed = bool(done.get("failed"))
    return {
        **{key: setting.get(key) for key in _SHOWN},
        "from_url": url,
        "url": new,
        "changed": bool(done.get("changed")),
        "change_id": done.get("change_id"),
        "proof": done.get("proof"),
        "notes": done.get("notes") or [],
        "reason": done.get("reason") if failed else None,
        "message": str(done.get("msg")) if failed else None,
    }
