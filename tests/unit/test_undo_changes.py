"""What a rollback chooses, and what it says of the result."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.action.undo_changes import choose, told

RECORDS: list[dict[str, Any]] = [
    {"change_id": "20260131T080000Z-00000001", "role": "use_http"},
    {"change_id": "20260131T080000Z-00000002", "role": None},
    {"change_id": "20260131T080000Z-00000003", "role": "verify"},
    {"change_id": "20260131T080000Z-00000004", "role": "use_http"},
]


@pytest.mark.parametrize(
    ("change_ids", "roles", "chosen"),
    [
        ([], [], [4, 3, 2, 1]),
        ([], ["use_http"], [4, 1]),
        ([], ["use_http", "verify"], [4, 3, 1]),
        ([], ["USE_HTTP", ""], []),
        (["20260131T080000Z-00000002", "20260131T080000Z-00000003"], [], [3, 2]),
        (["20260131T080000Z-00000009"], [], []),
    ],
)
def test_the_newest_comes_first(change_ids: list[str], roles: list[str], chosen: list[int]) -> None:
    assert [int(record["change_id"][-1]) for record in choose(RECORDS, change_ids, roles)] == chosen


KEPT = {"change_id": "20260131T080000Z-00000001", "message": "It is no longer as it was left."}


@pytest.mark.parametrize(
    ("outcome", "check", "said"),
    [
        ({}, False, {"changed": False, "msg": "0 undone, 0 undone before."}),
        ({"undone": [{}], "already": [{}, {}]}, False, {"changed": True, "msg": "1 undone, 2 undone before."}),
        ({"undone": [{}]}, True, {"changed": True, "msg": "1 would be undone, 0 undone before."}),
        ({"not_foreseen": [{}]}, True, {"changed": True, "msg": "0 would be undone, 0 undone before."}),
        (
            {"undone": [{}], "kept": [KEPT]},
            False,
            {
                "changed": True,
                "failed": True,
                "msg": "1 undone, 1 could not be. 20260131T080000Z-00000001: It is no longer as it was left.",
            },
        ),
    ],
)
def test_what_is_said(outcome: dict[str, Any], check: bool, said: dict[str, Any]) -> None:
    empty: dict[str, list[Any]] = {"undone": [], "already": [], "not_foreseen": [], "kept": []}
    assert told({**empty, **outcome}, check=check) == said
