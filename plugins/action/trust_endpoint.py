# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action trust_endpoint: decides on the controller whether a host lacks a chain, then has trust_chain add it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.winpki.scep.plugins.action.trust_chain import certificates_only, refuse_private_keys
from ansible_collections.winpki.scep.plugins.plugin_utils.chain_file import read_chain_file
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint_chain import (
    HAS_CRYPTOGRAPHY,
    Evidence,
    RefusedError,
    chain_of_endpoint,
    chain_of_server,
    check_fit,
    judge,
    lacking,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import plain

_SPEC = {
    "endpoints": {"type": "list", "elements": "dict", "required": True},
    "files": {"type": "list", "elements": "path", "default": []},
    "pins": {"type": "list", "elements": "str", "required": True},
    "role": {"type": "str"},
    "server": {"type": "str", "default": ""},
    "server_results": {"type": "list", "elements": "dict", "default": []},
    "unproven": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """One round trip, and none to a host that needs nothing."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the result that the module's page describes."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        validate: Callable[..., tuple[Any, dict[str, Any]]] = self.validate_argument_spec
        args = plain(validate(argument_spec=_SPEC)[1])
        if not HAS_CRYPTOGRAPHY:
            message = "The Python library cryptography is needed on the controller: pip install cryptography"
            return {**result, "failed": True, "msg": message}
        shown: dict[str, Any] = {"changed": False, "change_id": None, "undo": None, "source": None, "certificates": []}
        shown["endpoints"] = [judge(endpoint) for endpoint in args["endpoints"]]
        try:
            wanted = _wanted(args)
            if not wanted:
                return {**result, **shown, "needed": False, "msg": "The host lacks no chain: nothing is to be done."}
            source, texts = self._chain(args, wanted)
            for endpoint in wanted:
                if judge(endpoint)["judgement"] == "lacking":
                    check_fit(endpoint, texts)
        except RefusedError as error:
            return {**result, **shown, **_refusal(error)}
        shown |= {"needed": True, "source": source}
        refused = refuse_private_keys(texts)
        if refused is not None:
            return {**result, **shown, **refused}
        arguments = {
            "certificates": [certificates_only(text) for text in texts],
            "pins": args["pins"],
            "role": args["role"],
        }
        done: dict[str, Any] = self._execute_module(
            module_name="winpki.scep.trust_chain", module_args=arguments, task_vars=task_vars
        )
        return {**result, **shown, **done}

    def _chain(self, args: Mapping[str, Any], wanted: Sequence[Evidence]) -> tuple[str, list[str]]:
        """Returns where the chain comes from, and its PEM texts, each once."""
        if args["files"]:
            return "files", [read_chain_file(self._find_needle, self._loader, path) for path in args["files"]]
        texts: list[str] = []
        for endpoint in wanted:
            if args["server"]:
                texts += chain_of_server(endpoint, args["server"], args["server_results"])
            else:
                texts += chain_of_endpoint(endpoint, args["pins"])
        return "server" if args["server"] else "endpoint", list(dict.fromkeys(texts))


def _wanted(args: Mapping[str, Any]) -> list[Evidence]:
    """Returns the endpoints whose chain is to be trusted."""
    if not any(pin.strip() for pin in args["pins"]):
        raise RefusedError(
            "no_pins",
            "pins is empty: give the SHA-256 of each root that this host may trust, as its CA's people say it.",
        )
    return lacking(args["endpoints"], unproven=args["unproven"])


def _refusal(error: RefusedError) -> dict[str, Any]:
    """Returns the failure in the shape that the changing modules have."""
    return {
        "failed": True,
        "refused": True,
        "reason": error.reason,
        "refusals": [{"reason": error.reason, "message": str(error)}],
        "msg": f"Refused, nothing was changed. {error}",
    }
