"""Rules: what is refused when they are loaded, and how they are matched."""

from __future__ import annotations

from typing import Any, cast

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import RuleError, classify_events, load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.event import Event, RawEvent, parse_event
from ansible_collections.winpki.scep.plugins.plugin_utils.rule import Rules, check_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.rule_expression import Expression

from tests.unit.event_data import AIK, DENIED, raw

REMEDY = {"role": "use_http", "needs": ["http_endpoint_proven"], "reason": "Because."}


def rule(**changes: Any) -> dict[str, Any]:
    """A rule that can be used; a key that is None is left out."""
    whole = {"id": "mine", "when": "event.url", "certainty": "likely", "summary": "Mine.", **changes}
    return {key: value for key, value in whole.items() if value is not None}


def parsed(**changes: Any) -> Event:
    return parse_event(cast(RawEvent, raw(**changes)))


def cause(event: Event, *rules: dict[str, Any]) -> str:
    return classify_events([event], load_rules(rules))[0]["cause"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([rule(id=None)], "rule number 1: id is missing"),
        ([rule(), rule(id=5)], "rule number 2: id must be a text, not int"),
        ([rule(id="Mine!")],
         "rule Mine!: the id may hold lower-case letters, digits and underscores, and starts with a letter"),
        ([rule(), rule(id="b"), rule()], "rule mine: the id is used twice"),
        ([rule(when=None)], "rule mine: when is missing"),
        ([rule(certainty=None)], "rule mine: certainty is missing"),
        ([rule(summary=None)], "rule mine: summary is missing"),
        ([rule(certainty="sure")], "rule mine: unknown certainty 'sure'; known are proven, likely, possible"),
        ([rule(when=True)], "rule mine: when must be a text, not bool"),
        ([rule(summary=["x"])], "rule mine: summary must be a text, not list"),
        ([rule(references="x")], "rule mine: references must be a list, not str"),
        ([rule(references=[5])], "rule mine: references must be a list of texts"),
        ([rule(transient_after_start="yes")], "rule mine: transient_after_start must be true or false, not str"),
        (
            [rule(advise="x")],
            "rule mine: unknown key 'advise'; known are advice, certainty, id, probe, references, remedies,"
            " summary, transient_after_start, when",
        ),
        ([rule(remedies=[{**REMEDY, "role": "pray"}])],
         "rule mine: unknown remedy role 'pray'; known are trust_ndes_chain, use_http, disable_aik"),
        ([rule(remedies=[{**REMEDY, "needs": ["luck"]}])],
         "rule mine: unknown remedy need 'luck'; known are aik_not_in_use, ca_thumbprint_matches,"
         " chain_untrusted_proven, http_endpoint_proven, isolated_network_declared, pins"),
        ([rule(remedies=[{"role": "use_http", "reason": "x"}])], "rule mine: remedy needs is missing"),
        ([rule(remedies=[{**REMEDY, "needs": "pins"}])], "rule mine: remedy needs must be a list, not str"),
        ([rule(remedies=[{**REMEDY, "why": "x"}])],
         "rule mine: unknown remedy key 'why'; known are needs, reason, role, when"),
        ([rule(remedies=["use_http"])], "rule mine: a remedy must be a dict, not str"),
        ([rule(remedies=[{**REMEDY, "when": "event.url = 1"}])],
         "rule mine: remedy when is not valid JMESPath: Bad jmespath expression: Unknown token '='"),
        ([rule(probe="expired")], "rule mine: probe must be a dict, not str"),
        ([rule(probe={})], "rule mine: probe failures is missing"),
        ([rule(probe={"failures": "expired"})], "rule mine: probe failures must be a list, not str"),
        ([rule(probe={"failures": [], "refine": []})],
         "rule mine: unknown probe key 'refine'; known are certainty, failures, refines"),
        ([rule(probe={"failures": ["clock_skew"], "certainty": "sure"})],
         "rule mine: unknown probe certainty 'sure'; known are proven, likely, possible"),
        ([rule(probe={"failures": ["clock_skew"], "refines": [5]})],
         "rule mine: probe refines must be a list of ids of rules"),
        (["mine"], "rule number 1: must be a dict, not str"),
        (rule(), "rule list: the rules must be a list, not dict"),
        ("mine", "rule list: the rules must be a list, not str"),
    ],
)  # fmt: skip
def test_what_is_refused(rules: Any, message: str) -> None:
    with pytest.raises(RuleError) as refused:
        load_rules(rules)
    assert str(refused.value) == message
    assert message == f"rule {refused.value.rule_id}: {refused.value.reason}"


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("event.error.code = 1", "is not valid JMESPath: Bad jmespath expression: Unknown token '='"),
        ("", "is not valid JMESPath: Invalid JMESPath expression: cannot be empty."),
        ("event.eror.code", "reads event.eror, which no event has"),
        ("event.error.number", "reads event.error.number, which no event has"),
        ("events[0].url", "reads 'events'; a rule sees only event and evidence"),
        ("error.code == `5`", "reads 'error'; a rule sees only event and evidence"),
        ("event.[url, uri]", "reads event.uri, which no event has"),
        (
            "event.text < event.duration_ms",
            "fails on an event that has every field: '<' not supported between instances of 'str' and 'int'",
        ),
        ("matches(event.text, 'x')", "calls matches(), which JMESPath does not have"),
        ("event.url && contains(event.text)", "calls contains() with 1 arguments instead of 2"),
        ("!event.error.code", "has ! before a dotted name, where it takes the first part alone: write !(event.url)"),
        (
            "starts_with(event.error.code, '1')",
            "fails on an event that has every field: In function starts_with(), invalid type for value: 18449, expected"
            " one of: ['string'], received: \"number\"",
        ),
        ("evidence.endpoints[0].ok", "reads evidence.endpoints, which no evidence has"),
        ("evidence.tls.intercepted", "reads evidence.tls, which no evidence has"),
        ("evidence.endpoint.reason", "reads evidence.endpoint.reason, which no evidence has"),
        ("evidence.endpoint.tls.failure", "reads evidence.endpoint.tls.failure, which no evidence has"),
        ("contains(evidence.endpoint.tls.status, 'Revoked')", None),
        ("evidence.endpoint.http.status == `503` || evidence.aik.anything", None),
        ("event.stage > 'x'", None),
        ("contains(evidence.profiles, 'x')", None),
        ("event.http.headers.\"x-any-name\" == 'x'", None),
        ("not_null(event.text, event.url, event.stage)", None),
        ("length(event.http.headers) > `3` && sort_by(evidence.profiles, &name)[0].name", None),
    ],
)
def test_expressions(when: str, reason: str | None) -> None:
    """Refused with the reason, or accepted where there is none."""
    if reason is None:
        load_rules([rule(when=when)])
        return
    with pytest.raises(RuleError) as refused:
        load_rules([rule(when=when)])
    assert refused.value.reason == f"when {reason}"


def test_the_built_in_rules_are_loaded_once() -> None:
    assert load_rules() is load_rules([])
    assert load_rules([rule()]).rules[1:] == load_rules().rules


def test_own_rules_come_first_and_in_their_order() -> None:
    own = [rule(id="second", when="event.stage == 'Submit'"), rule(id="third", when="event.url")]
    assert cause(parsed(Stage="Submit"), *own) == "second"
    assert cause(parsed(), *own) == "third"
    assert cause(parsed(Url=None), *own) == "tls_failure"


def test_an_own_rule_may_have_the_id_of_a_built_in_one() -> None:
    own = rule(id="tls_failure", when="event.stage == 'Submit'", certainty="proven", summary="Mine.")
    rules = load_rules([own])
    first, second = (classify_events([event], rules)[0] for event in (parsed(Stage="Submit"), parsed()))
    assert (first["cause"], first["summary"]) == ("tls_failure", "Mine.")
    assert (second["cause"], second["summary"]) == ("tls_failure", "TLS failure, cause to be probed.")


@pytest.mark.parametrize(
    ("when", "event", "hit"),
    [
        ("contains(event.text, 'GetCACaps')", {}, True),
        ("contains(event.text, 'GetCACaps')", {"MessageText": None}, False),
        ("contains(event.text || '', 'GetCACaps') || event.url", {"MessageText": None}, True),
        ("event.duration_ms > `40`", {}, True),
        ("event.duration_ms > `40`", {"Method": None}, False),
        ("event.text < event.stage", {"Stage": "Submit"}, True),
        ("event.text < event.stage", {"MessageText": None}, False),
        ("event.http.[status]", {}, False),
        ("event.http.[status]", {"MessageText": DENIED}, True),
        ("!(event.http)", {}, True),
        ("!(event.http)", {"MessageText": DENIED}, False),
        ("event.http.headers.\"content-length\" == '1070'", {"MessageText": DENIED}, True),
        ("event.http.headers | keys(@) | contains(@, 'date')", {"MessageText": DENIED}, True),
        ("event.http.headers | keys(@) | contains(@, 'date')", {}, False),
        ("event.host == 'client1'", {"host": "client1"}, True),
        ("event.host == 'client1'", {}, False),
        ("event.count > `5`", {"count": 6}, True),
        ("`0`", {}, True),
        ("`[]` || '' || `false` || `null`", {}, False),
        ('event.[endpoint.kind, context.kind] == `["aik", "machine"]`', {"Url": AIK, "Context": "A\\B$"}, True),
        ("@.event.url", {}, True),
        ("* | [0].url", {}, True),
        ("values(@)[?stage == 'GetCACaps']", {}, True),
    ],
)
def test_when_a_rule_is_hit(when: str, event: dict[str, Any], hit: bool) -> None:
    """Each also with the outcome of the other events in memory: what a rule reads decides, nothing else."""
    rules = load_rules([rule(when=when)])
    for other in (raw(), raw(Url=AIK), raw(87, MessageText=DENIED), raw(event_id=None), raw(host="client2")):
        classify_events([parse_event(cast(RawEvent, other))], rules)
    for _unused in range(2):
        found = classify_events([parsed(**event)], rules)
        assert (found[0]["cause"] == "mine") is hit


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("event.error.code", {("event", "error", "code")}),
        ("event.error.family == 'http' && event.stage", {("event", "error", "family"), ("event", "stage")}),
        ("contains(`[1, 2]`, event.error.code)", {("event", "error", "code")}),
        ("!(event.http.status) || evidence.endpoint.ok", {("event", "http", "status"), ("evidence", "endpoint", "ok")}),
        ("event.[url, stage]", {("event", "url"), ("event", "stage")}),
        ("event.[url, stage].x", {("event", "url"), ("event", "stage")}),
        ("event.http.[status]", {("event", "http"), ("event", "http", "status")}),
        ("event.http.{a: headers.date}.a", {("event", "http"), ("event", "http", "headers", "date")}),
        ("event.http.length(headers)", {("event", "http"), ("event", "http", "headers")}),
        ("event.*", {("event",)}),
        ("event.http.headers.*", {("event", "http", "headers")}),
        ("event.url | length(@)", {("event", "url")}),
        ("sort_by(evidence.profiles, &name)[0].name", {("evidence", "profiles")}),
        ("evidence.profiles[?name == 'x'].other", {("evidence", "profiles")}),
        ("evidence.profiles[0].name", {("evidence", "profiles")}),
        ("{a: event.url, b: event.stage}.a", {("event", "url"), ("event", "stage")}),
        ("@", {()}),
        ("@.event.url", {()}),
        ("`true`", set()),
    ],
)
def test_what_an_expression_reads(source: str, reads: set[tuple[str, ...]]) -> None:
    assert Expression(source).reads == reads


def test_an_unknown_word_of_a_probe_is_refused() -> None:
    with pytest.raises(RuleError, match=r"^rule mine: unknown probe failure 'too_old'; known are bad_url, name_not_re"):
        load_rules([rule(probe={"failures": ["too_old"]})])


def test_equal_failures_are_evaluated_once() -> None:
    """Outcomes are kept by what the rules read: the number of evaluations does not grow with the events."""
    rules = load_rules([rule(when="event.stage == 'never'")])
    events = [parsed(record_id=n, Context=f"A\\user{n}", Method=f"GET({n}ms)", computer=f"c{n}") for n in range(500)]
    assert len(classify_events(events, rules)) == 500
    assert len(rules._memo) == 1


def test_rules_without_a_last_one_say_so() -> None:
    with pytest.raises(RuleError, match=r"^rule list: no rule is hit by every event: the last one must be$"):
        classify_events([parsed()], Rules(check_rules([rule(when="event.stage == 'never'")])))
