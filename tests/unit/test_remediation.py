"""What came of a remediation: each outcome, and the screen."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.remediation import (
    HostOutcome,
    Outcome,
    host_outcome,
    render_outcomes,
)

ID = "20261124T142004Z-5f0c19ab"
OTHER_ID = "20261124T142009Z-0a1b2c3d"
DONE = {"changed": True, "change_id": ID}
LOST = "It was not seen to its end: look at what this host says above, and run it again."


def verified(outcome: str, **more: Any) -> dict[str, Any]:
    return {"outcome": outcome, "verdicts": [{"detail": f"It is {outcome}."}], "look_again": None, **more}


@pytest.mark.parametrize(
    ("result", "checked", "outcome", "detail"),
    [
        (DONE, verified("succeeded"), "succeeded", "It is succeeded."),
        (DONE, verified("quiet", look_again="2026-11-25T06:00:00Z"), "quiet", "It is quiet."),
        (DONE, verified("open"), "open", "It is open."),
        (DONE, verified("failed", failed=True, msg="x"), "failed", "It is failed."),
        ({"changed": False}, verified("succeeded"), "succeeded", "It is succeeded."),
        (DONE, None, "unverified", "The next enrolment was not waited for: run winpki.scep.verify."),
        (DONE, {"failed": True, "msg": "It was not reached."}, "unverified", "It was not reached."),
        # A remedy that was not done is not proven by an enrolment that succeeds.
        ({"failed": True, "msg": "Refused."}, verified("succeeded"), "not_done", "role1: Refused."),
        ({"unreachable": True, "msg": "Connection refused."}, None, "not_done", "role1: Connection refused."),
        (None, verified("succeeded"), "not_done", f"role1: {LOST}"),
        ({"failed": True}, None, "not_done", f"role1: {LOST}"),
    ],
)  # fmt: skip
def test_outcome(result: Any, checked: Any, outcome: Outcome, detail: str) -> None:
    found = host_outcome("client1", {"role1": result}, checked)
    assert (found["outcome"], found["detail"]) == (outcome, detail)


@pytest.mark.parametrize(
    ("result", "changed", "ids"),
    [
        (DONE, True, [ID]),
        ({"changed": True, "change_ids": [ID, OTHER_ID]}, True, [ID, OTHER_ID]),
        ({"changed": False, "change_id": None}, False, []),
        # Changed in part: the record is what takes it back.
        ({"changed": True, "failed": True, "msg": "Half.", "change_id": ID}, True, [ID]),
        ({"unreachable": True, "msg": "Gone."}, None, []),
        (None, None, []),
    ],
)
def test_change(result: Any, changed: bool | None, ids: list[str]) -> None:
    [change] = host_outcome("client1", {"role1": result}, None)["changes"]
    assert (change["role"], change["changed"], change["change_ids"]) == ("role1", changed, ids)


def test_two_roles_on_a_host() -> None:
    found = host_outcome("client1", {"a": DONE, "b": {"failed": True, "msg": "No."}}, verified("failed"))
    assert (found["outcome"], found["detail"]) == ("not_done", "b: No.")
    assert [change["message"] for change in found["changes"]] == [None, "No."]


def outcome(host: str, result: Any, checked: Any, role: str = "trust_ndes_chain") -> HostOutcome:
    return host_outcome(host, {role: result}, checked)


def test_screen() -> None:
    shown = render_outcomes(
        [
            outcome("CLIENT01", DONE, verified("succeeded")),
            outcome("CLIENT02", {"changed": False}, verified("failed")),
            outcome("CLIENT05", {"failed": True, "msg": "Refused:\x1b[31m {{ x }}"}, None, "use_http"),
            outcome("KIOSK01", DONE, verified("quiet", look_again="2026-11-25T06:00:00Z"), "disable_aik"),
            outcome("LAPTOP09", {"unreachable": True, "msg": "Gone."}, None, "disable_aik"),
        ],
        "/srv/pki/remediation/result.json",
    )
    assert shown == "\n".join(
        (
            "SCEP remediation, what came of it",
            "=" * 100,
            "5 hosts: 1 still fail, 2 not done, 1 quiet, 1 enrol again",
            "",
            "Still fails",
            "  CLIENT02  trust_ndes_chain (no change)  It is failed.",
            "",
            "Not done",
            "  CLIENT05  use_http (no change)     use_http: Refused:\\x1b[31m {{ x }}",
            "  LAPTOP09  disable_aik (not known)  disable_aik: Gone.",
            "",
            "No failure seen any more, which is no proof",
            "  KIOSK01  disable_aik  It is quiet.",
            "",
            "Enrols again",
            "  CLIENT01  trust_ndes_chain  It is succeeded.",
            "",
            "Look again with winpki.scep.verify from 2026-11-25T06:00:00Z",
            "",
            "Take changes back with winpki.scep.rollback, by host, role or change id",
            "",
            "Result",
            "  /srv/pki/remediation/result.json",
        )
    )


def test_a_long_list_says_how_much_is_left_out() -> None:
    shown = render_outcomes([outcome(f"C{number:02}", DONE, verified("succeeded")) for number in range(25)], None)
    lines = shown.splitlines()
    assert lines[2] == "25 hosts: 25 enrol again"
    assert [line for line in lines if line.startswith("  C")][-1].startswith("  C19 ")
    assert "  and 5 more" in lines
    assert all(len(line) <= 100 for line in lines)
