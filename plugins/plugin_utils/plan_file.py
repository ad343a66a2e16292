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
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import HostPlan, digest_of

SCHEMA = 1
# A plan from the future comes from a clock that is off; this much of it is borne.
_FUTURE = timedelta(minutes=5)
Refusal = Literal["unreadable", "schema", "edited", "future", "too_old", "other_inventory"]


class PlanDocument(TypedDict):
    """plan.json.

    Attributes:
        schema: version of this shape.
        generator: the collection and its version.
        created: ISO 8601 UTC.
        max_age_seconds: how long after that it may be applied.
        inventory: fingerprint of the planned hosts' names and addresses.
        hosts: the plans.
        digest: SHA-256 of all the rest, in lower hex. It tells an edited file, it is no signature.
    """

    schema: int
    generator: str
    created: str
    max_age_seconds: int
    inventory: str
    hosts: list[HostPlan]
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


def plan_document(
    plans: Sequence[HostPlan], addresses: Mapping[str, str], *, generator: str, created: str, max_age_seconds: int
) -> PlanDocument:
    """Returns the document for plans that were made at one time.

    Args:
        plans: of the hosts.
        addresses: where Ansible reaches each host of the inventory, by name.
        generator: the collection and its version.
        created: ISO 8601 UTC.
        max_age_seconds: how long it may be applied.
    """
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "generator": generator,
        "created": created,
        "max_age_seconds": max_age_seconds,
        "inventory": inventory_fingerprint((plan["host"] for plan in plans), addresses),
        "hosts": list(plans),
    }
    return cast("PlanDocument", {**document, "digest": _digest(document)})


def inventory_fingerprint(hosts: Iterable[str], addresses: Mapping[str, str]) -> str:
    """Returns the SHA-256 of the hosts' names and addresses; a host that the inventory lacks has none."""
    pairs = sorted((host, addresses.get(host)) for host in set(hosts))
    return _digest(pairs)


def read_plan(
    content: bytes, addresses: Mapping[str, str], *, now: datetime, max_age_seconds: int | None = None
) -> PlanDocument:
    """Returns the plan if it may be applied.

    Args:
        content: of the file.
        addresses: where Ansible reaches each host of this inventory, by name.
        now: UTC.
        max_age_seconds: a shorter life than the plan's own, None for that.

    Raises:
        PlanRefusedError: it may not.
    """
    try:
        document = json.loads(content)
    except ValueError as error:
        raise PlanRefusedError("unreadable", f"it is not JSON ({error}): make a new plan") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise PlanRefusedError(
            "schema", f"it is not a plan of the version that this collection reads ({SCHEMA}): make a new plan"
        )
    if document.get("digest") != _digest({key: value for key, value in document.items() if key != "digest"}):
        raise PlanRefusedError("edited", "it was edited after it was made, its digest does not fit: make a new plan")
    plan = cast("PlanDocument", document)
    if any(one["digest"] != digest_of(one["actions"]) for one in plan["hosts"]):
        raise PlanRefusedError("edited", "a host's actions do not fit their digest: make a new plan")
    _check_age(plan, now, max_age_seconds)
    if plan["inventory"] != inventory_fingerprint((one["host"] for one in plan["hosts"]), addresses):
        unknown = sorted(one["host"] for one in plan["hosts"] if one["host"] not in addresses)
        what = f"which lacks {', '.join(unknown[:3])}" if unknown else "which has its hosts at other addresses"
        raise PlanRefusedError("other_inventory", f"it was made for another inventory than this one, {what}")
    return plan


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
