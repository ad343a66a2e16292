"""What came of a remediation: each outcome, and the screen."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.remediation import (
    HostOutcome,
    Limits,
    Outcome,
    gated_outcome,
    host_outcome,
    idle_outcome,
    is_proven,
    render_outcomes,
    stop_reason,
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


@pytest.mark.parametrize(("put_back", "told"), [(True, False), (None, False), (False, True)])
def test_a_log_level_that_may_still_be_raised(put_back: bool | None, told: bool) -> None:
    level = {"put_back": put_back, "detail": "The log level may still be raised."}
    found = host_outcome("client1", {"a": DONE}, verified("succeeded", log_level=level))
    assert found["outcome"] == "succeeded"
    assert found["detail"] == ("It is succeeded. The log level may still be raised." if told else "It is succeeded.")
    found = host_outcome("client1", {"a": DONE}, {"msg": f"It broke. {level['detail']}", "log_level": level})
    assert (found["outcome"], found["detail"]) == ("unverified", "It broke. The log level may still be raised.")


@pytest.mark.parametrize(
    ("said", "outcome", "detail"),
    [
        ({"allowed": [{"role": "a"}], "held": [], "skipped": []}, "succeeded", "It is succeeded."),
        (
            {"allowed": [], "held": [{"role": "a", "reason": "drift", "message": "It has changed."}], "skipped": []},
            "held",
            "a: It has changed.",
        ),
        (
            {"allowed": [], "held": [], "skipped": [{"cause": "a", "reason": "b"}, {"cause": "x", "reason": "y"}]},
            "left_alone",
            "a: b; x: y",
        ),
        ({"allowed": [], "held": [], "skipped": []}, None, None),
    ],
)  # fmt: skip
def test_what_the_gate_said_of_a_host(said: Any, outcome: Outcome | None, detail: str | None) -> None:
    results = {"a": DONE, "verified": verified("succeeded")}
    found = gated_outcome("client1", said, results.get)
    assert ((found["outcome"], found["detail"]) if found else (None, None)) == (outcome, detail)


def batch(*outcomes: Outcome) -> list[HostOutcome]:
    return [idle_outcome(f"C{number}", one, f"It is {one}.") for number, one in enumerate(outcomes, 1)]


AFTER = (
    "No further host is changed. Take back what was changed with winpki.scep.rollback, or mend what is left and run it "
    "again."
)
CANARY_AFTER = "Nothing was changed on it, and nothing is on others. Name another in remediate_canary, or leave it out."
ANY = Limits(max_fail=100, required=False, verified=True)
CANARY = ANY._replace(required=True)


@pytest.mark.parametrize(
    ("outcomes", "limits", "reason"),
    [
        ([], ANY, None),
        (["succeeded", "quiet", "open", "unverified", "not_done", "held", "not_read", "left_alone"], ANY, None),
        (["succeeded", "failed"], ANY, "C2: the enrolment still fails after the remedy: It is failed."),
        (["failed"] * 3, ANY, "C1: the enrolment still fails after the remedy (and so 2 other hosts): It is failed."),
        # Canary hosts: what was not seen to work ends it, what nothing was to be done on does not.
        (["succeeded", "quiet", "left_alone", "not_reached"], CANARY, None),
        (["open"], CANARY, "C1: a canary host has to enrol again, and this one is not seen yet: It is open."),
        (["held"], CANARY, "C1: a canary host has to enrol again, and this one is held back: It is held."),
        (["not_read"], CANARY, "C1: a canary host has to enrol again, and this one is not read: It is not_read."),
        (
            ["unverified"],
            CANARY,
            "C1: a canary host has to enrol again, and this one is not verified: It is unverified.",
        ),
        (["unverified"], CANARY._replace(verified=False), None),
        # A share of the hosts with a remedy: held back, not read and left alone are none.
        (["not_done", *["succeeded"] * 9], ANY._replace(max_fail=10), None),
        (
            ["not_done", *["succeeded"] * 8, "held", "not_read", "left_alone"],
            ANY._replace(max_fail=10),
            "Of 9 hosts with a remedy in this batch 1 were not mended or not verified, and at most 10 % may be "
            "(remediate_max_fail). C1: one of them: It is not_done.",
        ),
        (
            ["unverified", "not_done"],
            ANY._replace(max_fail=99),
            "Of 2 hosts with a remedy in this batch 2 were not mended or not verified, and at most 99 % may be "
            "(remediate_max_fail). C1: one of them (and so 1 other host): It is unverified.",
        ),
        (["unverified"], Limits(0, required=False, verified=False), None),
        (["open", "quiet"], Limits(0, required=False, verified=True), None),
    ],
)  # fmt: skip
def test_when_a_run_ends(outcomes: list[Outcome], limits: Limits, reason: str | None) -> None:
    after = CANARY_AFTER if outcomes in (["held"], ["not_read"]) else AFTER
    assert stop_reason(batch(*outcomes), limits) == (f"{reason} {after}" if reason else None)


@pytest.mark.parametrize(
    ("outcomes", "limits", "proven"),
    [
        (["left_alone", "succeeded"], ANY, True),
        (["quiet"], ANY, True),
        (["open", "held", "not_read", "left_alone", "failed", "not_done", "not_reached"], ANY, False),
        (["unverified"], ANY, False),
        (["unverified"], ANY._replace(verified=False), True),
        ([], ANY, False),
    ],
)
def test_whether_something_is_proven(outcomes: list[Outcome], limits: Limits, proven: bool) -> None:
    assert is_proven(batch(*outcomes), limits) is proven


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
            idle_outcome("CLIENT07", "left_alone", "clock_skew: no role of this collection mends this cause"),
            idle_outcome("CLIENT08", "held", "use_http: the evidence has changed since the plan was made"),
            idle_outcome("CLIENT09", "not_reached"),
        ],
        "/srv/pki/remediation/result.json",
        "CLIENT02: the enrolment still fails\x07.",
    )
    assert shown == "\n".join(
        (
            "SCEP remediation, what came of it",
            "=" * 100,
            "8 hosts: 1 still fail, 2 not done, 1 held back, 1 quiet, 1 enrol again, 1 left alone, 1 not reached",
            "yet",
            "",
            "Still fails",
            "  CLIENT02  trust_ndes_chain (no change)  It is failed.",
            "",
            "Not done",
            "  CLIENT05  use_http (no change)     use_http: Refused:\\x1b[31m {{ x }}",
            "  LAPTOP09  disable_aik (not known)  disable_aik: Gone.",
            "",
            "Held back by the gate",
            "  CLIENT08    use_http: the evidence has changed since the plan was made",
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
            "The run ends here",
            "  CLIENT02: the enrolment still fails\\x07.",
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
