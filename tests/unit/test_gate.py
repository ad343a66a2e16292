"""The gate: what may be done in a run, and every reason to hold back."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
import yaml
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import Finding, load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import HostEvidence
from ansible_collections.winpki.scep.plugins.plugin_utils.gate import (
    ROLE_VARIABLES,
    Decision,
    Gate,
    decide,
    hold_twins,
    needs_plan,
    to_verify,
    why_unread,
    with_planned,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import HostPlan
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_file import PlanDocument, plan_document
from ansible_collections.winpki.scep.plugins.plugin_utils.report import build_report

from tests.lab.engine import REPOSITORY
from tests.unit.event_data import AIK, NDES
from tests.unit.evidence_data import probed, profile
from tests.unit.plan_data import (
    CREATED,
    PIN,
    aik_event,
    evidence,
    findings,
    isolated,
    over_http,
    plan_of,
    tls_event,
    unresolved_aik,
    untrusted,
)
from tests.unit.report_data import raw_event, result

NOW = datetime(2026, 11, 24, 13, 0, tzinfo=timezone.utc)
TRUST = plan_of(evidence(untrusted()))
OTHER_ROOT = plan_of(evidence(untrusted(missing="ef" * 20)))
OTHER_PIN = plan_of(evidence(untrusted()), pins=[PIN, "cd" * 32])
HTTP = plan_of(evidence(probed("expired"), profiles=[profile()]))
HTTP_REVOKED_LIST = plan_of(evidence(probed("revocation_unreachable"), profiles=[profile()]))
NOTHING = plan_of(evidence(probed(None)))


def document(*plans: HostPlan) -> PlanDocument:
    return plan_document(plans, [], lambda _host: None, generator="x", created=CREATED, max_age_seconds=60)


def decided(
    gate: Gate, plan: PlanDocument | None, fresh: HostPlan, *, check_mode: bool = False, unread: str | None = None
) -> Decision:
    """The decision on one host."""
    reasons = {fresh["host"]: unread} if unread else {}
    [decision] = decide(gate, plan, [fresh], check_mode=check_mode, unread=reasons)
    return decision


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
    assert decided(gate, plan, TRUST, check_mode=check_mode) == {
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
    decision = decided(gate, plan, fresh)
    assert decision == {
        "host": "client1",
        "allowed": [],
        "held": [{"role": role, "reason": reason, "message": message}],
    }


def test_a_plan_that_is_named_binds_a_check_mode_run_too() -> None:
    """So that it shows what the apply run would do."""
    assert decided("check", document(TRUST), OTHER_ROOT, check_mode=True)["allowed"] == []


@pytest.mark.parametrize("plan", [None, document(NOTHING)])
def test_a_host_that_needs_nothing_is_not_held(plan: Any) -> None:
    decision = decided("plan", plan, NOTHING, check_mode=plan is None)
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


def test_a_planned_host_without_an_open_failure_is_held_too() -> None:
    """Its event is too old by now, or a success came: that is drift, and not for the gate to pass over in silence."""
    plan = document(TRUST, {**HTTP, "host": "client2"}, {**NOTHING, "host": "client3"}, {**TRUST, "host": "elsewhere"})
    fresh = with_planned([{**HTTP, "host": "client2"}], plan, ["client1", "client2", "client3", "client4"])
    assert [one["host"] for one in fresh] == ["client1", "client2", "client3"]
    first, second, third = decide("plan", plan, fresh, check_mode=False)
    message = f"{CHANGED}no open failure was found on this host"
    assert first["held"] == [{"role": "trust_ndes_chain", "reason": "drift", "message": message}]
    assert first["allowed"] == []
    assert [action["role"] for action in second["allowed"]] == ["use_http"]
    assert (third["allowed"], third["held"]) == ([], [])
    assert with_planned([TRUST], None, ["client1", "client2"]) == [TRUST]


@pytest.mark.parametrize("fresh", [*with_planned([], document(TRUST), ["client1"]), NOTHING])
def test_what_could_not_be_read_has_not_changed(fresh: HostPlan) -> None:
    decision = decided("plan", document(TRUST), fresh, unread="timed out")
    message = "whether it is still as planned is not known: timed out"
    assert decision["held"] == [{"role": "trust_ndes_chain", "reason": "not_read", "message": message}]


def test_why_a_host_or_its_evidence_was_not_read() -> None:
    results = {
        "well": result(raw_event()),
        "quiet": result(),
        "down": {"unreachable": True, "msg": "timed out"},
        "lost": result(raw_event()),
        "gone": None,
    }
    taken: dict[str, Any] = {
        "well": {"evidence": evidence(untrusted())},
        "quiet": {"skipped": True},
        "lost": {"failed": True, "msg": "Quota exceeded"},
    }
    evidence_of = {host: taken.get(host) for host in results}
    report = build_report(results=results, evidence=evidence_of, rules=load_rules(), generator="x", now=NOW)
    assert why_unread(report, evidence_of) == {
        "down": "timed out",
        "gone": "an earlier task failed on it, so it was not asked",
        "lost": "no evidence was taken from it: Quota exceeded",
    }


def test_hosts_that_are_one_machine_are_held() -> None:
    decisions = decide(
        "none", None, [TRUST, {**TRUST, "host": "client2"}, {**NOTHING, "host": "client3"}], check_mode=False
    )
    sentence = "client1 and client3 are one machine"
    held = hold_twins(decisions, {"client1": sentence, "client3": sentence})
    assert held[0]["allowed"] == []
    assert held[0]["held"] == [{"role": "trust_ndes_chain", "reason": "same_host", "message": sentence}]
    assert held[1:] == decisions[1:]
    drift = [decided("plan", document(TRUST), OTHER_ROOT)]
    assert hold_twins(drift, {"client1": sentence}) == drift


def test_what_is_to_be_verified() -> None:
    """The URL that the host has afterwards; at the AIK service, that nothing is asked there any more."""
    both = plan_of(evidence(untrusted(), unresolved_aik(), aik=isolated()), tls_event(), aik_event())
    found = by_key(tls_event(), aik_event(), found=evidence(untrusted(), unresolved_aik(), aik=isolated()))
    assert to_verify(both["actions"], found) == {
        "urls": [NDES],
        "silent_urls": [AIK],
        "contexts": {NDES: ["INTRA\\rudi"]},
    }
    http = NDES.replace("https:", "http:")
    found = by_key(tls_event(), found=evidence(probed("expired"), profiles=[profile()]))
    assert to_verify(HTTP["actions"], found) == {
        "urls": [http],
        "silent_urls": [],
        "contexts": {http: ["INTRA\\rudi"]},
    }
    port = plan_of(
        evidence(probed("expired"), over_http(port=":8080"), profiles=[profile()]), use_http=True, http_port=8080
    )
    assert to_verify(port["actions"], found)["urls"] == [
        "http://ndes01.intra.adcslabor.de:8080/certsrv/mscep/mscep.dll/pkiclient.exe"
    ]
    assert to_verify([], {}) == {"urls": [], "silent_urls": [], "contexts": {}}


def test_contexts_are_those_of_the_failures_at_the_url() -> None:
    other = NDES.replace("mscep.dll", "other.dll")
    elsewhere = NDES.replace("ndes01", "ndes02")
    events = [
        tls_event(Context="INTRA\\{{ zoe }}"),
        tls_event(record_id=2, Context="INTRA\\CLIENT1$", Url=NDES.replace("https://ndes01", "https://NDES01")),
        tls_event(record_id=3, Context="Local system", Url=other),
        tls_event(record_id=4, Context="INTRA\\max", Url=elsewhere),
    ]
    taken = evidence(untrusted(), untrusted(url=other), untrusted(url=elsewhere))
    made = plan_of(taken, *events)
    assert to_verify(made["actions"], by_key(*events, found=taken))["contexts"] == {
        NDES: ["INTRA\\CLIENT1$", "INTRA\\{{ zoe }}"],
        other: ["Local system"],
        elsewhere: ["INTRA\\max"],
    }
    # Where only another path of the server was probed, that is where its failures are looked for.
    taken = evidence(untrusted())
    made = plan_of(taken, events[2])
    assert to_verify(made["actions"], by_key(events[2], found=taken))["contexts"] == {NDES: ["Local system"]}


def by_key(*events: dict[str, Any], found: HostEvidence) -> dict[str, Finding]:
    return {finding["key"]: finding for finding in findings(*events, found=found)}


def test_the_variables_that_may_not_come_before_the_plan_are_those_of_the_role() -> None:
    tasks = yaml.safe_load((REPOSITORY / "roles" / "remediate" / "tasks" / "act.yml").read_text("utf-8"))
    called = [task for task in tasks if "ansible.builtin.include_role" in task]
    assert {name for task in called for name in task["vars"]} == ROLE_VARIABLES
