"""The built-in rules: each has events that hit it and near misses that do not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import classify_events, load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent, parse_events

from tests.unit.event_data import AIK, DENIED, KEY_LENGTH, NDES, UNKNOWN_AUTHORITY, raw

DOCS = Path(__file__).parents[2] / "docs"
ALL_IDS = [rule.id for rule in load_rules().rules]
INTERCEPTED = {"CLIENT1.intra.adcslabor.de": {"tls": {"intercepted": True}}}
HTTP_NDES = NDES.replace("https:", "http:")


def winhttp(number: int) -> str:
    return f"x 0x{0x80070000 + number:08x} (WinHttp: {number} ERROR_WINHTTP_X)"


def http(status: int) -> str:
    return f"x 0x{0x80190000 + status:08x}"


def answer(status: int) -> str:
    return f"GetCACaps\nHTTP/1.1 {status} x\nServer: x\n"


def cause(event: dict[str, Any], evidence: dict[str, Any] | None = None) -> str:
    """The cause of the one finding that the event gives."""
    found = classify_events(parse_events([cast("RawEvent", event)]), load_rules(), evidence=evidence)
    assert len(found) == 1
    return found[0]["cause"]


def ndes(code: str | None, **changes: Any) -> dict[str, Any]:
    return raw(**{"ErrorCode": code, **changes})


def aik(code: str | None, **changes: Any) -> dict[str, Any]:
    return raw(**{"ErrorCode": code, "Url": AIK, **changes})


CHAIN = "x 0x800b0109 (-2146762487 CERT_E_UNTRUSTEDROOT)"
# By id: events that hit the rule, and events that nearly do, with the rule that they hit instead.
CASES: dict[str, tuple[list[dict[str, Any]], list[tuple[dict[str, Any], str]]]] = {
    "aik_unknown_authority": (
        [aik(http(404), MessageText=UNKNOWN_AUTHORITY), aik(http(404)), aik(None, MessageText=UNKNOWN_AUTHORITY)],
        [
            (ndes(http(404), MessageText=UNKNOWN_AUTHORITY), "http_not_found"),
            (aik(http(400)), "aik_other"),
            (aik(winhttp(12007), MessageText=UNKNOWN_AUTHORITY), "aik_unreachable"),
        ],
    ),
    "aik_service_error": (
        [aik(http(429)), aik(http(500)), aik(http(503)), aik(None, MessageText=answer(502))],
        [(aik(http(499)), "aik_other"), (ndes(http(503)), "http_busy")],
    ),
    "aik_tpm": (
        [aik("x 0x80290401"), aik("x 0x80280001", event_id=87), aik("x 0x80090030")],
        [(ndes("x 0x80290401"), "tpm_error"), (aik("x 0x80090016"), "aik_other")],
    ),
    "aik_tls": (
        [aik(winhttp(12175)), aik(winhttp(12037)), aik("x 0x80090325"), aik(CHAIN)],
        [
            (aik(CHAIN, event_id=87), "aik_other"),
            (aik(CHAIN, Stage="GetCACert"), "aik_other"),
            (aik(winhttp(12180)), "aik_other"),
            (ndes(winhttp(12175)), "tls_failure"),
        ],
    ),
    "aik_unreachable": (
        [
            aik(winhttp(12007)),
            aik(winhttp(12029)),
            aik(winhttp(12002)),
            aik(winhttp(12030)),
            aik("x 0x80072af9"),
            aik("x 0x8007274c"),
        ],
        [
            (ndes(winhttp(12007)), "name_not_resolved"),
            (aik(winhttp(12152)), "aik_other"),
            (aik("x 0x80070005"), "aik_other"),
            (aik(winhttp(12007), Url=AIK.replace(".net/", ".net.evil.example/")), "name_not_resolved"),
        ],
    ),
    "aik_other": (
        [aik(None), aik("x 0x80004005"), aik(http(407)), aik(http(400)), aik(winhttp(12167)), aik(None, event_id=87)],
        [(ndes(None), "unknown"), (ndes("x 0x80004005", event_id=87), "enrollment_failed")],
    ),
    "clock_skew": (
        [
            ndes("x 0x80004005", event_id=87, MessageText="PkiStatus(2): x\nFailInfo(3): SCEPFailBadTime"),
            ndes("x 0x80090324"),
        ],
        [
            (ndes("x 0x80004005", event_id=87, MessageText="PkiStatus(2): x\nFailInfo(4): x"), "request_denied"),
            (ndes("x 0x80004005", event_id=87, MessageText="a line with FailInfo(3): in it"), "enrollment_failed"),
            (ndes("x 0x80090325"), "tls_untrusted"),
        ],
    ),
    "request_denied": (
        [
            ndes(KEY_LENGTH, event_id=87, MessageText=DENIED),
            ndes("x 0x80094012", event_id=87),
            ndes("x 0x80004005", event_id=87, MessageText="EnrollStatus(256): EnrollDenied"),
            ndes(None, event_id=87, MessageText="PkiStatus(2): SCEPDispositionFailure"),
        ],
        [
            (ndes("x 0x80004005", event_id=87, MessageText="EnrollStatus(16): EnrollError"), "enrollment_failed"),
            (ndes("x 0x80004005", event_id=87, MessageText="PkiStatus(3): Pending"), "enrollment_failed"),
            (ndes("x 0x80095000", event_id=87), "enrollment_failed"),
        ],
    ),
    "tpm_error": (
        [ndes("x 0x80280001", event_id=87), ndes("x 0x80290405"), ndes("x 0x80090030", event_id=87)],
        [(ndes("x 0x80090016", event_id=87), "enrollment_failed"), (ndes("x 0x80300001"), "unknown")],
    ),
    "certificate_chain": (
        [
            ndes(CHAIN, event_id=87),
            ndes("x 0x80092013", event_id=87),
            ndes(CHAIN, Stage="GetCACert"),
            ndes("x 0x80096004", event_id=None, Stage="ProcessResponseMessage"),
        ],
        [(ndes(CHAIN), "tls_untrusted"), (ndes("x 0x80090016", event_id=87), "enrollment_failed")],
    ),
    "tls_untrusted": (
        [ndes(winhttp(12045)), ndes("x 0x80090325"), ndes(CHAIN), ndes("x 0x800b010a"), ndes("x 0x800b0112")],
        [(ndes(winhttp(12175)), "tls_failure"), (ndes(winhttp(12169)), "tls_failure")],
    ),
    "tls_name_mismatch": (
        [ndes(winhttp(12038)), ndes("x 0x800b010f"), ndes("x 0x80090322")],
        [(ndes(winhttp(12037)), "tls_expired"), (ndes("x 0x800b010f", event_id=87), "certificate_chain")],
    ),
    "tls_expired": (
        [ndes(winhttp(12037)), ndes("x 0x800b0101"), ndes("x 0x80090328")],
        [(ndes(winhttp(12038)), "tls_name_mismatch"), (ndes("x 0x80090327"), "tls_failure")],
    ),
    "tls_revoked": (
        [ndes(winhttp(12170)), ndes("x 0x80092010"), ndes("x 0x800b010c")],
        [(ndes(winhttp(12057)), "tls_revocation_unreachable"), (ndes("x 0x80092011"), "unknown")],
    ),
    "tls_revocation_unreachable": (
        [ndes(winhttp(12057)), ndes("x 0x80092012"), ndes("x 0x80092013"), ndes("x 0x800b010e")],
        [(ndes(winhttp(12170)), "tls_revoked"), (ndes("x 0x80092013", event_id=87), "certificate_chain")],
    ),
    "tls_wrong_usage": (
        [ndes(winhttp(12179)), ndes("x 0x800b0110"), ndes("x 0x80090349")],
        [(ndes(winhttp(12178)), "proxy"), (ndes("x 0x800b0113"), "unknown")],
    ),
    "tls_client_certificate_wanted": (
        [ndes(winhttp(12044)), ndes(winhttp(12185)), ndes(winhttp(12186))],
        [(ndes(winhttp(12187)), "proxy"), (ndes(winhttp(12045)), "tls_untrusted")],
    ),
    "tls_protocol": (
        [ndes(winhttp(12157)), ndes("x 0x80090331"), ndes("x 0x80090326")],
        [(ndes("x 0x80090317"), "tls_failure"), (ndes(winhttp(12156)), "http_other")],
    ),
    "tls_failure": (
        [ndes(winhttp(12175)), ndes("x 0x80072f8f"), ndes(winhttp(12169)), ndes("x 0x8009030d")],
        [(ndes(winhttp(12174)), "unknown"), (ndes(winhttp(12176)), "proxy"), (aik(winhttp(12175)), "aik_tls")],
    ),
    "name_not_resolved": (
        [ndes(winhttp(12007)), ndes("x 0x80072af9"), ndes("x 0x8007232b")],
        [(ndes(winhttp(12006)), "bad_url"), (aik(winhttp(12007)), "aik_unreachable")],
    ),
    "unreachable": (
        [ndes(winhttp(12029)), ndes("x 0x8007274d"), ndes("x 0x800704cf")],
        [(ndes(winhttp(12030)), "connection_reset"), (ndes("x 0x8007274c"), "timeout")],
    ),
    "connection_reset": (
        [ndes(winhttp(12030)), ndes("x 0x80072746"), ndes("x 0x800704d4")],
        [(ndes(winhttp(12029)), "unreachable"), (ndes(winhttp(12032)), "unknown")],
    ),
    "timeout": (
        [ndes(winhttp(12002)), ndes("x 0x8007274c"), ndes("x 0x800705b4")],
        [(ndes(winhttp(12001)), "unknown"), (ndes(http(408)), "http_other")],
    ),
    "proxy": (
        [
            *(ndes(winhttp(number)) for number in (12166, 12167, 12178, 12180, 12187, 12188)),
            ndes(http(407)),
            ndes(None, MessageText=answer(407)),
        ],
        [(ndes(http(406)), "http_other"), (ndes(winhttp(12179)), "tls_wrong_usage"), (aik(http(407)), "aik_other")],
    ),
    "bad_url": (
        [ndes(winhttp(12005)), ndes(winhttp(12006))],
        [(ndes(winhttp(12007)), "name_not_resolved"), (ndes(winhttp(12004)), "unknown")],
    ),
    "http_unauthorized": (
        [ndes(http(401)), ndes(None, MessageText=answer(401)), ndes(http(401), event_id=87)],
        [(ndes(http(402)), "http_other"), (ndes(winhttp(12002), MessageText=answer(401)), "timeout")],
    ),
    "http_forbidden": (
        [ndes(http(403)), ndes(None, MessageText=answer(403))],
        [(ndes(http(401)), "http_unauthorized"), (ndes(http(405)), "http_other")],
    ),
    "http_not_found": (
        [ndes(http(404)), ndes(None, MessageText=answer(404))],
        [(ndes(http(410)), "http_other"), (aik(http(404)), "aik_unknown_authority")],
    ),
    "http_busy": (
        [ndes(http(429)), ndes(http(503)), ndes(None, MessageText=answer(503))],
        [(ndes(http(502)), "http_server_error"), (ndes(http(428)), "http_other")],
    ),
    "http_server_error": (
        [ndes(http(500)), ndes(http(502)), ndes(None, MessageText=answer(500)), ndes(http(500), event_id=87)],
        [(ndes(http(503)), "http_busy"), (ndes(http(499)), "http_other")],
    ),
    "http_other": (
        [ndes(http(301)), ndes(http(405)), ndes(winhttp(12156)), ndes(None, MessageText=answer(302))],
        [(ndes(None, MessageText=answer(200)), "invalid_response"), (ndes(http(404)), "http_not_found")],
    ),
    "invalid_response": (
        [
            ndes(winhttp(12152)),
            ndes("x 0x80093103"),
            ndes("x 0x8007000d", MessageText=answer(200)),
            ndes(None, MessageText=answer(200)),
        ],
        [
            (ndes("x 0x8007000d"), "unknown"),
            (ndes("x 0x8007000d", event_id=87, MessageText=answer(200)), "enrollment_failed"),
            (ndes(winhttp(12156)), "http_other"),
        ],
    ),
    "enrollment_failed": (
        [ndes("x 0x80004005", event_id=87), ndes(None, event_id=87)],
        [(ndes("x 0x80004005"), "unknown"), (ndes(winhttp(12029), event_id=87), "unreachable")],
    ),
    "unknown": (
        [ndes("x 0x80004005"), ndes(None), {}, {"message": "?"}, {"event_id": 1000, "data": {"a": "b"}}],
        [(ndes(None, event_id=87), "enrollment_failed"), (aik(None), "aik_other")],
    ),
}  # fmt: skip
HITS = [(name, event) for name, (hits, _) in CASES.items() for event in hits]
NEAR_MISSES = [(name, event, other) for name, (_, misses) in CASES.items() for event, other in misses]


@pytest.mark.parametrize("rule_id", ALL_IDS)
def test_every_rule_has_a_hit_and_a_near_miss(rule_id: str) -> None:
    if rule_id == "tls_intercepted":  # only a probe sees this: see the next test
        return
    hits, misses = CASES[rule_id]
    assert hits
    assert misses


@pytest.mark.parametrize("number", [12037, 12038, 12045, 12057, 12157, 12169, 12170, 12175, 12179])
def test_interception_is_what_a_probe_saw(number: int) -> None:
    """A hit with the evidence; the same event without it, and another event with it, are near misses."""
    assert cause(ndes(winhttp(number)), INTERCEPTED) == "tls_intercepted"
    assert cause(ndes(winhttp(number)), {"CLIENT2": INTERCEPTED["CLIENT1.intra.adcslabor.de"]}) != "tls_intercepted"
    assert (
        cause(ndes(winhttp(number)), {"CLIENT1.intra.adcslabor.de": {"tls": {"intercepted": False}}})
        != "tls_intercepted"
    )
    assert cause(ndes(winhttp(12007)), INTERCEPTED) == "name_not_resolved"
    assert cause(aik(winhttp(number)), INTERCEPTED) == "aik_tls"


@pytest.mark.parametrize(("rule_id", "event"), HITS)
def test_hits(rule_id: str, event: dict[str, Any]) -> None:
    assert cause(event) == rule_id


@pytest.mark.parametrize(("rule_id", "event", "other"), NEAR_MISSES)
def test_near_misses(rule_id: str, event: dict[str, Any], other: str) -> None:
    assert rule_id != other
    assert cause(event) == other


def test_the_ids_are_an_interface() -> None:
    assert set(ALL_IDS) == {
        "tls_failure", "tls_untrusted", "tls_name_mismatch", "tls_expired", "tls_revoked", "tls_revocation_unreachable",
        "tls_wrong_usage", "tls_protocol", "tls_client_certificate_wanted", "tls_intercepted", "clock_skew",
        "name_not_resolved", "unreachable", "connection_reset", "timeout", "proxy", "bad_url",
        "http_unauthorized", "http_forbidden", "http_not_found", "http_busy", "http_server_error", "http_other",
        "invalid_response", "aik_unreachable", "aik_unknown_authority", "aik_service_error", "aik_tls", "aik_tpm",
        "aik_other", "request_denied", "tpm_error", "certificate_chain", "enrollment_failed", "unknown",
    }  # fmt: skip


def test_aik_rules_come_before_all_others() -> None:
    assert [rule_id.startswith("aik_") for rule_id in ALL_IDS] == [True] * 6 + [False] * (len(ALL_IDS) - 6)


def test_a_secure_failure_alone_claims_no_cause() -> None:
    rule = next(rule for rule in load_rules().rules if rule.id == "tls_failure")
    assert rule.summary == "TLS failure, cause to be probed."
    assert rule.certainty == "possible"


def test_remedies_fit_the_server() -> None:
    """Trust and plain HTTP are for NDES over HTTPS only, disabling the task is for an AIK service out of reach only."""
    roles: dict[str, set[str]] = {}
    for url in (NDES, HTTP_NDES, AIK, "https://scep.example/x"):
        for number in (12007, 12045, 12175):
            events = parse_events([cast("RawEvent", raw(Url=url, ErrorCode=winhttp(number)))])
            for finding in classify_events(events, load_rules()):
                roles.setdefault(url, set()).update(remedy["role"] for remedy in finding["remedies"])
    assert roles == {
        NDES: {"trust_ndes_chain", "use_http"},
        HTTP_NDES: set(),
        AIK: {"disable_aik"},
        "https://scep.example/x": set(),
    }


@pytest.mark.parametrize("rule", load_rules().rules, ids=lambda rule: rule.id)
def test_every_cause_says_what_to_do_and_is_documented(rule: Any) -> None:
    page = (DOCS / "causes.md").read_text("utf-8")
    section = re.search(rf"^### `{rule.id}`\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, f"docs/causes.md has no section on {rule.id}"
    words = " ".join(section[1].split())
    assert f"**{rule.summary}**" in words
    assert f"How sure: {rule.certainty}" in words
    assert rule.advice in words
    assert len(rule.advice) > 80
    assert all(reference in section[1] for reference in rule.references)
    assert all(f"`{remedy.remedy['role']}`" in section[1] for remedy in rule.remedies)
    assert "Microsoft recommends" not in rule.advice
    assert "Microsoft advises" not in rule.advice
