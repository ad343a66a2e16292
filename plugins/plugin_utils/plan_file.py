# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file plan.json between the run that plans and the run that applies. Its keys: docs/remediation.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict, cast

from ansible_collections.winpki.scep.plugins.plugin_utils.event import time_of
from ansible_collections.winpki.scep.plugins.plugin_utils.host_address import Address, Locate
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import HostPlan, digest_of
from ansible_collections.winpki.scep.plugins.plugin_utils.report_input import HostRow

SCHEMA = 1
# A plan from the future comes from a clock that is off; this much of it is borne.
_FUTURE = timedelta(minutes=5)
Refusal = Literal["unreadable", "schema", "edited", "future", "too_old", "other_inventory"]


class NotRead(TypedDict):
    """A host that could not be read, so nothing is said of it: ``status`` and ``reason`` as in findings.json."""

    host: str
    status: str
    reason: str


class PlanDocument(TypedDict):
    """plan.json.

    Attributes:
        schema: version of this shape.
        generator: the collection and its version.
        created: ISO 8601 UTC.
        max_age_seconds: how long after that it may be applied.
        inventory: fingerprint of the names and addresses of the hosts that have actions.
        hosts: the plans.
        not_read: the hosts that were asked and could not be read.
        digest: SHA-256 of all the rest, in lower hex. It tells an edited file, it is no signature.
    """

    schema: int
    generator: str
    created: str
    max_age_seconds: int
    inventory: str
    hosts: list[HostPlan]
    not_read: list[NotRead]
    digest: str


class PlanRefusedError(Exception):
    """A plan that must not be applied.

    Attributes:
        reason: the word for it.
    """

    def __init__(self, reason: Refusal, message: str) -> None:
        """Takes the word for programs and the sentence for people."""
        super().__init__(message)
        self.reason = reason


def not_read(rows: Iterable[HostRow]) -> list[NotRead]:
    """Returns those of the hosts that were asked whose log was not read."""
    return [
        {"host": row["host"], "status": row["status"], "reason": row["reason"] or ""}
        for row in rows
        if row["log"] is None
    ]


def plan_document(
    plans: Sequence[HostPlan],
    unread: Sequence[NotRead],
    locate: Locate,
    *,
    generator: str,
    created: str,
    max_age_seconds: int,
) -> PlanDocument:
    """Returns the document for plans that were made at one time.

    Args:
        plans: of the hosts.
        unread: the hosts that could not be read.
        locate: tells where Ansible reaches a host of the inventory.
        generator: the collection and its version.
        created: ISO 8601 UTC.
        max_age_seconds: how long it may be applied.

    Raises:
        AddressError: where a host is reached is not known.
    """
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "generator": generator,
        "created": created,
        "max_age_seconds": max_age_seconds,
        "inventory": inventory_fingerprint(addresses_of(plans, locate)),
        "hosts": list(plans),
        "not_read": list(unread),
    }
    return cast("PlanDocument", {**document, "digest": _digest(document)})


def planned_hosts(plans: Iterable[HostPlan]) -> list[str]:
    """Returns the names of the hosts that have actions, sorted."""
    return sorted(plan["host"] for plan in plans if plan["actions"])


def addresses_of(plans: Iterable[HostPlan], locate: Locate) -> dict[str, Address | None]:
    """Returns where the hosts that have actions are reached, by name; nothing is done on the others."""
    return {host: locate(host) for host in planned_hosts(plans)}


def inventory_fingerprint(addresses: Mapping[str, Address | None]) -> str:
    """Returns the SHA-256 of names and addresses; a host that the inventory lacks has none."""
    return _digest({host: address and dict(address) for host, address in addresses.items()})


def read_plan(content: bytes, locate: Locate, *, now: datetime, max_age_seconds: int | None = None) -> PlanDocument:
    """Returns the plan if it may be applied.

    Args:
        content: of the file.
        locate: tells where Ansible reaches a host of this inventory.
        now: UTC.
        max_age_seconds: a shorter life than the plan's own, None for that.

    Raises:
        PlanRefusedError: it may not.
        AddressError: where a host is reached is not known.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PlanRefusedError("unreadable", f"it is not JSON ({error}): make a new plan") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise PlanRefusedError(
            "schema", f"it is not a plan of the version that this collection reads ({SCHEMA}): make a new plan"
        )
    if document.get("digest") != _digest({key: value for key, value in document.items() if key != "digest"}):
        raise PlanRefusedError("edited", "it was edited after it was made, its digest does not fit: make a new plan")
    if not _is_plan(document):
        raise PlanRefusedError("unreadable", "it does not have the keys of a plan: make a new plan")
    plan = cast("PlanDocument", document)
    if any(one["digest"] != digest_of(one["actions"]) for one in plan["hosts"]):
        raise PlanRefusedError("edited", "a host's actions do not fit their digest: make a new plan")
    _check_age(plan, now, max_age_seconds)
    addresses = addresses_of(plan["hosts"], locate)
    if plan["inventory"] != inventory_fingerprint(addresses):
        unknown = [host for host, address in addresses.items() if address is None]
        what = f"which lacks {', '.join(unknown[:3])}" if unknown else "which has its hosts at other addresses"
        raise PlanRefusedError("other_inventory", f"it was made for another inventory than this one, {what}")
    return plan


def _is_plan(document: Mapping[str, Any]) -> bool:
    """Returns whether all that is looked at is there: a file can be made by hand, with a digest that fits."""
    hosts = document.get("hosts")
    if not isinstance(hosts, list) or not isinstance(document.get("created"), str):
        return False
    if not isinstance(document.get("max_age_seconds"), int) or "inventory" not in document:
        return False
    for host in hosts:
        if not isinstance(host, dict) or not isinstance(host.get("host"), str) or "digest" not in host:
            return False
        actions = host.get("actions")
        if not isinstance(actions, list) or not all(map(_is_action, actions)):
            return False
    return len({host["host"] for host in hosts}) == len(hosts)


def _is_action(action: Any) -> bool:
    if not isinstance(action, dict) or not isinstance(action.get("role"), str) or "module_args" not in action:
        return False
    basis = action.get("basis")
    return isinstance(basis, list) and all(isinstance(one, dict) for one in basis)


def _check_age(plan: PlanDocument, now: datetime, max_age_seconds: int | None) -> None:
    created = time_of(plan["created"])
    if created is None:
        raise PlanRefusedError("unreadable", f"its time {plan['created']!r} is none: make a new plan")
    if created > now + _FUTURE:
        raise PlanRefusedError("future", f"it is of {plan['created']}, which is yet to come: set the clock right")
    limit = plan["max_age_seconds"] if max_age_seconds is None else min(plan["max_age_seconds"], max_age_seconds)
    age = int((now - created).total_seconds())
    if age > limit:
        raise PlanRefusedError(
            "too_old", f"it is {_hours(age)} old, and may be applied for {_hours(limit)}: make a new plan"
        )


def _hours(seconds: int) -> str:
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
