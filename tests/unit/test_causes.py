"""The built-in rules: each has events that hit it and near misses that do not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import Finding, classify_events, load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.event import parse_events
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import FailureWord

from tests.unit.event_data import AIK, DENIED, KEY_LENGTH, NDES, UNKNOWN_AUTHORITY, raw
from tests.unit.evidence_data import probed

DOCS = Path(__file__).parents[2] / "docs"
ALL_IDS = [rule.id for rule in load_rules().rules]
COMPUTER = "CLIENT1.intra.adcslabor.de"
HTTP_NDES = NDES.replace("https:", "http:")


def winhttp(number: int) -> str:
    return f"x 0x{0x80070000 + number:08x} (WinHttp: {number} ERROR_WINHTTP_X)"


def http(status: int) -> str:
    return f"x 0x{0x80190000 + status:08x}"


def answer(status: int) -> str:
    return f"GetCACaps\nHTTP/1.1 {status} x\nServer: x\n"


def finding(event: dict[str, Any], probe: dict[str, Any] | None = None) -> Finding:
    """The one finding that the event gives, and what a probe of its endpoint makes of it."""
    evidence: Any = None if probe is None else {COMPUTER: {"endpoints": [probe]}}
    events: list[Any] = [event]
    found = classify_events(parse_events(events), load_rules(), evidence=evidence)
    assert len(found) == 1
    return found[0]


def cause(event: dict[str, Any]) -> str:
    return finding(event)["cause"]


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
HITS = [(name, event) for name, (hits, _misses) in CASES.items() for event in hits]
NEAR_MISSES = [(name, event, other) for name, (_hits, misses) in CASES.items() for event, other in misses]


@pytest.mark.parametrize("rule_id", ALL_IDS)
def test_every_rule_has_a_hit_and_a_near_miss(rule_id: str) -> None:
    if rule_id == "tls_intercepted":  # only a probe sees this: see PROBES
        assert PROBES[rule_id][3:] != ([], [])
        return
    hits, misses = CASES[rule_id]
    assert hits
    assert misses


# By cause: the words and the step of a probe that stand for it, an event that is this cause already, an event that
# becomes it, and one that stays what it is.
DOWN = "name_not_resolved dns_timeout refused unreachable timeout reset proxy_unreachable"
PROBES: dict[str, tuple[str, str, dict[str, Any] | None, list[dict[str, Any]], list[dict[str, Any]]]] = {
    "aik_unknown_authority": ("not_found", "http", aik(http(404)), [aik(None)], [aik(winhttp(12007)), aik(http(503))]),
    "aik_service_error": ("busy server_error", "http", aik(http(503)), [aik(None)], [aik(winhttp(12007))]),
    "aik_tls": (
        "untrusted_root missing_intermediate name_mismatch expired not_yet_valid revoked revocation_unreachable"
        " wrong_usage no_common_protocol intercepted client_certificate_wanted tls_failed clock_wrong",
        "tls", aik(winhttp(12175)), [aik(None)], [aik(winhttp(12007)), aik("x 0x80290401")],
    ),
    "aik_unreachable": (DOWN, "connect", aik(winhttp(12007)), [aik(None)], [aik(winhttp(12175)), aik(http(404))]),
    "clock_skew": (
        "clock_skew clock_wrong", "clock", ndes("x 0x80090324"), [ndes(winhttp(12037))], [ndes(winhttp(12029))],
    ),
    "tls_intercepted": (
        "intercepted", "tls", None,
        [ndes(winhttp(number)) for number in (12037, 12038, 12045, 12057, 12157, 12169, 12170, 12175, 12179)],
        [ndes(winhttp(12007)), ndes(http(404))],
    ),
    "tls_untrusted": (
        "untrusted_root missing_intermediate", "tls", ndes(winhttp(12045)),
        [ndes(winhttp(number)) for number in (12175, 12169, 12037, 12157)],
        [ndes(winhttp(number)) for number in (12038, 12057, 12170, 12179, 12044, 12007)] + [ndes(http(503))],
    ),
    "tls_name_mismatch": (
        "name_mismatch", "tls", ndes(winhttp(12038)), [ndes(winhttp(12175)), ndes(winhttp(12045))],
        [ndes(winhttp(12170)), ndes(winhttp(12029))],
    ),
    "tls_expired": (
        "expired not_yet_valid", "tls", ndes(winhttp(12037)), [ndes(winhttp(12175)), ndes(winhttp(12045))],
        [ndes(winhttp(12038)), ndes(CHAIN, event_id=87)],
    ),
    "tls_revoked": ("revoked", "tls", ndes(winhttp(12170)), [ndes(winhttp(12175))], [ndes(winhttp(12057))]),
    "tls_revocation_unreachable": (
        "revocation_unreachable", "tls", ndes(winhttp(12057)), [ndes(winhttp(12175))], [ndes(winhttp(12170))],
    ),
    "tls_wrong_usage": ("wrong_usage", "tls", ndes(winhttp(12179)), [ndes(winhttp(12175))], [ndes(winhttp(12038))]),
    "tls_client_certificate_wanted": (
        "client_certificate_wanted", "tls", ndes(winhttp(12044)),
        [ndes(winhttp(12175)), ndes(winhttp(12030)), ndes(http(403))], [ndes(http(401))],
    ),
    "tls_protocol": (
        "no_common_protocol", "tls", ndes(winhttp(12157)), [ndes(winhttp(12175)), ndes(winhttp(12030))],
        [ndes(winhttp(12029))],
    ),
    "tls_failure": ("tls_failed", "tls", ndes(winhttp(12175)), [], [ndes(winhttp(12157))]),
    "name_not_resolved": (
        "name_not_resolved dns_timeout", "dns", ndes(winhttp(12007)), [ndes(winhttp(12002))], [ndes(winhttp(12029))],
    ),
    "unreachable": (
        "refused unreachable", "connect", ndes(winhttp(12029)), [ndes(winhttp(12002)), ndes(winhttp(12030))],
        [ndes(winhttp(12007)), ndes(winhttp(12175))],
    ),
    "connection_reset": ("reset", "connect", ndes(winhttp(12030)), [ndes(winhttp(12175))], [ndes(winhttp(12029))]),
    "timeout": ("timeout", "connect", ndes(winhttp(12002)), [ndes(winhttp(12029))], [ndes(winhttp(12007))]),
    "proxy": (
        "proxy_unreachable proxy_authentication proxy_refused", "proxy", ndes(http(407)),
        [ndes(winhttp(number)) for number in (12002, 12007, 12029, 12030)] + [ndes(http(403))], [ndes(winhttp(12175))],
    ),
    "bad_url": ("bad_url", "url", ndes(winhttp(12006)), [], [ndes(winhttp(12007))]),
    "http_unauthorized": ("unauthorized", "http", ndes(http(401)), [ndes(winhttp(12152))], [ndes(http(403))]),
    "http_forbidden": ("forbidden", "http", ndes(http(403)), [ndes(winhttp(12152))], [ndes(http(401))]),
    "http_not_found": ("not_found", "http", ndes(http(404)), [ndes(winhttp(12152))], [ndes(winhttp(12175))]),
    "http_busy": ("busy", "http", ndes(http(503)), [ndes(winhttp(12152))], [ndes(http(500))]),
    "http_server_error": ("server_error", "http", ndes(http(500)), [ndes(winhttp(12152))], [ndes(http(404))]),
    "http_other": ("other_status", "http", ndes(http(302)), [ndes(winhttp(12152))], [ndes(http(404))]),
    "invalid_response": ("not_scep", "scep", ndes(winhttp(12152)), [ndes(http(302))], [ndes(http(404))]),
}  # fmt: skip
PROBE_CERTAINTY = {"tls_revocation_unreachable": "likely", "tls_failure": "possible"}
PROBED = [
    (rule_id, word, step, event)
    for rule_id, (words, step, _own, become, _stay) in PROBES.items()
    for word in words.split()
    for event in become
]
CONFIRMED = [
    (rule_id, word, step, own)
    for rule_id, (words, step, own, _become, _stay) in PROBES.items()
    if own
    for word in words.split()
]
PROBED_OTHERWISE = [
    (word, step, event)
    for words, step, _own, _become, stay in PROBES.values()
    for word in words.split()
    for event in stay
]


def probe_of(event: dict[str, Any], word: str, step: str) -> dict[str, Any]:
    return probed(word, step=step, url=event["data"]["Url"])


def test_every_rule_that_a_probe_speaks_to_has_cases() -> None:
    rules = {rule.id: rule.probe.failures for rule in load_rules().rules if rule.probe is not None}
    assert rules == {rule_id: set(words.split()) for rule_id, (words, *_others) in PROBES.items()}
    every = {word for words in rules.values() for word in words} | {"probe_failed"}
    assert every == set(get_args(FailureWord))


@pytest.mark.parametrize(("rule_id", "word", "step", "event"), PROBED)
def test_a_probe_names_the_cause_of_a_vague_event(rule_id: str, word: str, step: str, event: dict[str, Any]) -> None:
    assert cause(event) != rule_id
    found = finding(event, probe_of(event, word, step))
    assert (found["cause"], found["certainty"]) == (rule_id, PROBE_CERTAINTY.get(rule_id, "proven"))
    assert found["notes"] == []


@pytest.mark.parametrize(("rule_id", "word", "step", "event"), CONFIRMED)
def test_a_probe_confirms_an_event(rule_id: str, word: str, step: str, event: dict[str, Any]) -> None:
    found = finding(event, probe_of(event, word, step))
    assert found["cause"] == cause(event) == rule_id
    assert found["certainty"] == ("possible" if rule_id == "tls_failure" else "proven")
    assert found["notes"] == []


@pytest.mark.parametrize(("word", "step", "event"), PROBED_OTHERWISE)
def test_a_probe_that_contradicts_an_event_is_told(word: str, step: str, event: dict[str, Any]) -> None:
    without, found = finding(event), finding(event, probe_of(event, word, step))
    assert (found["cause"], found["certainty"]) == (without["cause"], without["certainty"])
    assert found["notes"] == [
        f"A probe from this host does not bear out what the event says, it failed otherwise: The detail of {word}."
    ]


@pytest.mark.parametrize(
    ("failures", "number", "rule_id", "certainty"),
    [
        (("revoked", "untrusted_root"), 12175, "tls_revoked", "proven"),
        (("revoked", "untrusted_root"), 12045, "tls_revoked", "proven"),
        (("untrusted_root", "name_mismatch"), 12038, "tls_name_mismatch", "proven"),
        (("untrusted_root", "name_mismatch"), 12045, "tls_untrusted", "proven"),
        (("untrusted_root", "name_mismatch"), 12007, "name_not_resolved", "proven"),
        (("intercepted", "untrusted_root"), 12045, "tls_intercepted", "proven"),
        (("client_certificate_wanted", "tls_failed"), 12175, "tls_client_certificate_wanted", "proven"),
    ],
)
def test_of_several_faults_the_worst_counts(
    failures: tuple[str, ...], number: int, rule_id: str, certainty: str
) -> None:
    found = finding(ndes(winhttp(number)), probed(*failures))
    assert (found["cause"], found["certainty"]) == (rule_id, certainty)


@pytest.mark.parametrize(
    ("event", "probe", "roles"),
    [
        (ndes(winhttp(12175)), probed("untrusted_root"), ["trust_ndes_chain", "use_http"]),
        (ndes(winhttp(12175)), probed("missing_intermediate"), ["trust_ndes_chain", "use_http"]),
        (ndes(winhttp(12045)), probed("untrusted_root"), ["trust_ndes_chain", "use_http"]),
        (ndes(winhttp(12175)), probed("name_mismatch"), ["use_http"]),
        (ndes(winhttp(12175)), probed("revoked"), []),
        (ndes(winhttp(12175)), probed("intercepted"), []),
        (ndes(winhttp(12175)), probed("tls_failed"), ["use_http"]),
        (ndes(winhttp(12175)), probed(None), []),
        (ndes(winhttp(12045)), probed(None), []),
        (ndes(winhttp(12045)), probed("name_not_resolved", step="dns"), []),
        (ndes(winhttp(12038)), probed("untrusted_root", "name_mismatch"), ["use_http"]),
        (aik(winhttp(12007)), probed("name_not_resolved", step="dns", url=AIK), ["disable_aik"]),
        (aik(winhttp(12007)), probed("timeout", step="connect", url=AIK), ["disable_aik"]),
        (aik(winhttp(12007)), probed("not_found", step="http", url=AIK), []),
        (aik(winhttp(12007)), probed("untrusted_root", url=AIK), []),
        (aik(winhttp(12007)), probed(None, url=AIK), []),
    ],
)
def test_remedies_fit_what_a_probe_found(event: dict[str, Any], probe: dict[str, Any], roles: list[str]) -> None:
    assert [remedy["role"] for remedy in finding(event, probe)["remedies"]] == roles


def test_the_page_says_what_a_probe_makes_of_an_event() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \| (\w+) \| (.*?) \|$", (DOCS / "causes.md").read_text("utf-8"), re.MULTILINE
    )
    table = {row[0]: (set(re.findall(r"`(\w+)`", row[1])), row[2], set(re.findall(r"`(\w+)`", row[3]))) for row in rows}
    assert table == {
        rule.id: (set(map(str, rule.probe.failures)), str(rule.probe.certainty), set(rule.probe.refines))
        for rule in load_rules().rules
        if rule.probe is not None
    }


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
            events: list[Any] = [raw(Url=url, ErrorCode=winhttp(number))]
            for found in classify_events(parse_events(events), load_rules()):
                roles.setdefault(url, set()).update(remedy["role"] for remedy in found["remedies"])
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
