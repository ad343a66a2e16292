"""The gate: what may be done in a run, and every reason to hold back."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.gate import Gate, decide, needs_plan, to_verify
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import HostPlan
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_file import PlanDocument, plan_document

from tests.unit.event_data import AIK, NDES
from tests.unit.evidence_data import probed, profile
from tests.unit.plan_data import (
    CREATED,
    PIN,
    aik_event,
    evidence,
    isolated,
    over_http,
    plan_of,
    tls_event,
    unresolved_aik,
    untrusted,
)

TRUST = plan_of(evidence(untrusted()))
OTHER_ROOT = plan_of(evidence(untrusted(missing="ef" * 20)))
OTHER_PIN = plan_of(evidence(untrusted()), pins=[PIN, "cd" * 32])
HTTP = plan_of(evidence(probed("expired"), profiles=[profile()]))
HTTP_REVOKED_LIST = plan_of(evidence(probed("revocation_unreachable"), profiles=[profile()]))
NOTHING = plan_of(evidence(probed(None)))


def document(*plans: HostPlan) -> PlanDocument:
    return plan_document(plans, {}, generator="x", created=CREATED, max_age_seconds=60)


@pytest.mark.parametrize(
    ("gate", "plan", "check_mode"),
    [
        ("none", None, False),
        ("none", None, True),
        ("check", None, True),
        ("plan", None, True),
        ("check", document(TRUST), False),
        ("plan", document(TRUST), False),
        ("plan", document(TRUST), True),
        ("none", document(OTHER_ROOT), False),
    ],
)
def test_allowed(gate: Gate, plan: PlanDocument | None, check_mode: bool) -> None:
    assert decide(gate, plan, TRUST, check_mode=check_mode) == {
        "host": "client1",
        "allowed": TRUST["actions"],
        "held": [],
    }


NO_PLAN = (
    "scep_gate is check and no plan is named (scep_plan), so nothing is written: make a plan in check mode, or set"
    " scep_gate to none"
)
CHANGED = "the evidence has changed since the plan was made: "


@pytest.mark.parametrize(
    ("gate", "plan", "fresh", "role", "reason", "message"),
    [
        ("check", None, TRUST, "trust_ndes_chain", "no_plan", NO_PLAN),
        ("check", document(), TRUST, "trust_ndes_chain", "not_in_plan", "this host is not in the plan"),
        ("plan", document({**TRUST, "host": "client2"}), TRUST, "trust_ndes_chain", "not_in_plan",
         "this host is not in the plan"),
        ("plan", document(TRUST), OTHER_ROOT, "trust_ndes_chain", "drift",
         f"{CHANGED}trust_ndes_chain rests on another missing_issuer"),
        ("check", document(TRUST), OTHER_PIN, "trust_ndes_chain", "drift",
         f"{CHANGED}trust_ndes_chain would be done with other arguments"),
        ("plan", document(TRUST), HTTP, "use_http", "drift",
         f"{CHANGED}trust_ndes_chain was planned and is not called for now; use_http was not planned"),
        ("plan", document(HTTP), HTTP_REVOKED_LIST, "use_http", "drift", f"{CHANGED}use_http rests on another failure"),
        # What was planned and is over, or is gone, is said too.
        ("plan", document(TRUST), NOTHING, "trust_ndes_chain", "drift",
         f"{CHANGED}trust_ndes_chain was planned and is not called for now"),
        ("plan", document(NOTHING), TRUST, "trust_ndes_chain", "drift", f"{CHANGED}trust_ndes_chain was not planned"),
    ],
)  # fmt: skip
def test_held(gate: Gate, plan: PlanDocument | None, fresh: HostPlan, role: str, reason: str, message: str) -> None:
    """In a run that would write."""
    decision = decide(gate, plan, fresh, check_mode=False)
    assert decision == {
        "host": "client1",
        "allowed": [],
        "held": [{"role": role, "reason": reason, "message": message}],
    }


def test_a_plan_that_is_named_binds_a_check_mode_run_too() -> None:
    """So that it shows what the apply run would do."""
    assert decide("check", document(TRUST), OTHER_ROOT, check_mode=True)["allowed"] == []


@pytest.mark.parametrize("plan", [None, document(NOTHING)])
def test_a_host_that_needs_nothing_is_not_held(plan: Any) -> None:
    decision = decide("plan", plan, NOTHING, check_mode=plan is None)
    assert (decision["allowed"], decision["held"]) == ([], [])


@pytest.mark.parametrize(
    ("gate", "plan", "check_mode", "needed"),
    [
        ("plan", None, False, True),
        ("plan", None, True, False),
        ("plan", document(), False, False),
        ("check", None, False, False),
        ("none", None, False, False),
    ],
)
def test_when_a_run_needs_a_plan(gate: Gate, plan: PlanDocument | None, check_mode: bool, needed: bool) -> None:
    assert needs_plan(gate, plan, check_mode=check_mode) is needed


def test_what_is_to_be_verified() -> None:
    """The URL that the host has afterwards; at the AIK service, that nothing is asked there any more."""
    both = plan_of(evidence(untrusted(), unresolved_aik(), aik=isolated()), tls_event(), aik_event())
    assert to_verify(both["actions"]) == {"urls": [NDES], "silent_urls": [AIK]}
    assert to_verify(HTTP["actions"]) == {"urls": [NDES.replace("https:", "http:")], "silent_urls": []}
    found = evidence(probed("expired"), over_http(port=":8080"), profiles=[profile()])
    port = plan_of(found, use_http=True, http_port=8080)
    assert to_verify(port["actions"])["urls"] == [
        "http://ndes01.intra.adcslabor.de:8080/certsrv/mscep/mscep.dll/pkiclient.exe"
    ]
    assert to_verify([]) == {"urls": [], "silent_urls": []}
