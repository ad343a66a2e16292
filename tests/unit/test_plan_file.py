"""plan.json: what is read again as it was written, and every plan that is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.host_address import VARIABLES, Locate
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import HostPlan
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_file import (
    PlanDocument,
    PlanRefusedError,
    not_read,
    plan_document,
    read_plan,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.report_input import host_row

from tests.unit.evidence_data import probed
from tests.unit.plan_data import CREATED, evidence, plan_of, untrusted
from tests.unit.report_data import result

ADDRESSES: dict[str, dict[str, str]] = {
    "client1": {"ansible_host": "10.0.0.1"},
    "client2": {"ansible_host": "10.0.0.2"},
}
KNOWN = ADDRESSES.get
NOW = datetime(2026, 11, 24, 13, 0, tzinfo=timezone.utc)


def document(locate: Locate = KNOWN, **changes: Any) -> PlanDocument:
    return plan_document(
        [plan_of(evidence(untrusted()))],
        [{"host": "client2", "status": "unreachable", "reason": "timed out"}],
        locate,
        **{
            "generator": "winpki.scep 0.1.0",
            "created": CREATED,
            "max_age_seconds": 86400,
            **changes,
        },
    )


def written(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_what_is_written() -> None:
    made = document()
    assert {key: value for key, value in made.items() if key not in ("hosts", "digest", "inventory")} == {
        "schema": 1,
        "generator": "winpki.scep 0.1.0",
        "created": "2026-11-24T12:00:00Z",
        "max_age_seconds": 86400,
        "not_read": [{"host": "client2", "status": "unreachable", "reason": "timed out"}],
    }
    assert [plan["host"] for plan in made["hosts"]] == ["client1"]
    assert len(made["digest"]) == len(made["inventory"]) == 64


def test_it_is_read_as_it_was_written() -> None:
    made = document()
    assert read_plan(written(made), KNOWN, now=NOW) == made
    # Whatever the order and the spaces.
    text = json.dumps(made, sort_keys=True, indent=4).encode()
    assert read_plan(text, KNOWN, now=NOW) == made


def edited(change: Callable[[Any], None]) -> bytes:
    value = json.loads(written(document()))
    change(value)
    return written(value)


def with_pin(value: Any) -> None:
    value["hosts"][0]["actions"][0]["module_args"]["pins"].append("cd" * 32)


EDITED = "it was edited after it was made, its digest does not fit: make a new plan"


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        (b"", "unreadable", "it is not JSON (Expecting value: line 1 column 1 (char 0)): make a new plan"),
        (b"\xff\xfe\x00", "unreadable", None),
        (b"[]", "schema", "it is not a plan of the version that this collection reads (1): make a new plan"),
        (written({**document(), "schema": 2}), "schema",
         "it is not a plan of the version that this collection reads (1): make a new plan"),
        (edited(with_pin), "edited", EDITED),
        (edited(lambda value: value.update(created="2026-11-24T13:00:00Z")), "edited", EDITED),
        (edited(lambda value: value.update(max_age_seconds=10**9)), "edited", EDITED),
        (edited(lambda value: value.update(inventory="0" * 64)), "edited", EDITED),
        (edited(lambda value: value["hosts"].append(value["hosts"][0])), "edited", EDITED),
        (edited(lambda value: value.pop("digest")), "edited", EDITED),
        (edited(lambda value: value.update(more=1)), "edited", EDITED),
        (edited(lambda value: value["not_read"].clear()), "edited", EDITED),
        (written(document(created="soon")), "unreadable", "its time 'soon' is none: make a new plan"),
        (written(document(created="2026-11-24T13:05:01Z")), "future",
         "it is of 2026-11-24T13:05:01Z, which is yet to come: set the clock right"),
        (written(document(created="2026-11-23T12:59:59Z")), "too_old",
         "it is 24 h 0 min old, and may be applied for 24 h 0 min: make a new plan"),
        (written(document(max_age_seconds=3599)), "too_old",
         "it is 1 h 0 min old, and may be applied for 0 h 59 min: make a new plan"),
        (written(document({"client1": {"ansible_host": "10.0.0.9"}}.get)), "other_inventory",
         "it was made for another inventory than this one, which has its hosts at other addresses"),
    ],
)  # fmt: skip
def test_every_plan_that_is_refused(content: bytes, reason: str, message: str | None) -> None:
    with pytest.raises(PlanRefusedError) as refused:
        read_plan(content, KNOWN, now=NOW)
    assert refused.value.reason == reason
    assert message is None or str(refused.value) == message


def test_a_host_that_this_inventory_lacks_is_named() -> None:
    with pytest.raises(PlanRefusedError) as refused:
        read_plan(written(document()), {"client2": ADDRESSES["client2"]}.get, now=NOW)
    assert (refused.value.reason, str(refused.value)) == (
        "other_inventory",
        "it was made for another inventory than this one, which lacks client1",
    )


@pytest.mark.parametrize(
    ("age", "own", "asked", "refused"),
    [
        (3600, 3600, None, False),
        (3601, 3600, None, True),
        (1800, 3600, 1799, True),
        (3601, 3600, 86400, True),  # a plan's own life is never made longer
        (-299, 3600, None, False),
    ],
)
def test_age(age: int, own: int, asked: int | None, refused: bool) -> None:
    created = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    content = written(document(created=created, max_age_seconds=own))
    if not refused:
        assert read_plan(content, KNOWN, now=NOW, max_age_seconds=asked)["created"] == created
        return
    with pytest.raises(PlanRefusedError):
        read_plan(content, KNOWN, now=NOW, max_age_seconds=asked)


def test_hosts_that_the_plan_does_not_name_may_come_and_go() -> None:
    assert read_plan(written(document()), {"client1": ADDRESSES["client1"], "new": {}}.get, now=NOW)["schema"] == 1


def test_the_inventory_is_asked_only_for_hosts_that_have_actions() -> None:
    """Of 10,000 hosts each costs a millisecond."""
    asked: list[str] = []

    def locate(host: str) -> dict[str, str]:
        asked.append(host)
        return {}

    idle: HostPlan = {**plan_of(evidence(probed(None))), "host": "idle1"}
    made = plan_document(
        [plan_of(evidence(untrusted())), idle], [], locate, generator="x", created=CREATED, max_age_seconds=86400
    )
    read_plan(written(made), locate, now=NOW)
    assert asked == ["client1", "client1"]


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_of_an_address_tells_inventories_apart(variable: str) -> None:
    made = document({"client1": {variable: "x"}}.get)
    assert read_plan(written(made), {"client1": {variable: "x"}}.get, now=NOW) == made
    with pytest.raises(PlanRefusedError) as refused:
        read_plan(written(made), {"client1": {variable: "y"}}.get, now=NOW)
    assert refused.value.reason == "other_inventory"


def forged(change: Callable[[Any], None]) -> bytes:
    """A plan that was made by hand, with digests that fit."""
    value = json.loads(written(document()))
    del value["digest"]
    change(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return written({**value, "digest": hashlib.sha256(text.encode()).hexdigest()})


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("hosts"),
        lambda value: value.update(hosts={}),
        lambda value: value.update(hosts=[1]),
        lambda value: value.update(hosts=value["hosts"] * 2),
        lambda value: value.pop("created"),
        lambda value: value.update(max_age_seconds=float("nan")),
        lambda value: value.pop("inventory"),
        lambda value: value["hosts"][0].pop("digest"),
        lambda value: value["hosts"][0].update(host=[]),
        lambda value: value["hosts"][0].update(actions=None),
        lambda value: value["hosts"][0].update(actions=["x"]),
        lambda value: value["hosts"][0]["actions"][0].update(role={}),
        lambda value: value["hosts"][0]["actions"][0].pop("module_args"),
        lambda value: value["hosts"][0]["actions"][0].update(basis=["x"]),
    ],
)
def test_what_is_no_plan_is_said_to_be_none(change: Callable[[Any], None]) -> None:
    with pytest.raises(PlanRefusedError) as refused:
        read_plan(forged(change), KNOWN, now=NOW)
    assert (refused.value.reason, str(refused.value)) == (
        "unreadable",
        "it does not have the keys of a plan: make a new plan",
    )


def test_a_bottomless_file_is_refused() -> None:
    with pytest.raises(PlanRefusedError):
        read_plan(b"[" * 1_000_000, KNOWN, now=NOW)


def test_which_hosts_were_not_read() -> None:
    rows = [
        host_row("down", {"unreachable": True, "msg": "timed out"}),
        host_row("gone", None),
        host_row("ok", result()),
    ]
    assert not_read(rows) == [
        {"host": "down", "status": "unreachable", "reason": "timed out"},
        {"host": "gone", "status": "not_read", "reason": "an earlier task failed on it, so it was not asked"},
    ]
