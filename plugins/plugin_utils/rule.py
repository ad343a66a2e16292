# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that name an event's cause: loaded from causes.yml and from the user, checked, compiled, and matched."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict, get_args

from ansible_collections.winpki.scep.plugins.plugin_utils.event import Event
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import FailureWord, RuleEvidence, failure_words
from ansible_collections.winpki.scep.plugins.plugin_utils.rule_expression import (
    Expression,
    ExpressionError,
    MissingLibraryError,
    Place,
)

try:
    import yaml
except ImportError as error:
    YAML_ERROR: ImportError | None = error
else:
    YAML_ERROR = None

Certainty = Literal["proven", "likely", "possible"]
Role = Literal["trust_ndes_chain", "use_http", "disable_aik"]
# What a role has to see on the host right before it writes; docs/causes.md says what each one means.
Need = Literal[
    "aik_not_in_use",
    "ca_thumbprint_matches",
    "chain_untrusted_proven",
    "http_endpoint_proven",
    "isolated_network_declared",
    "pins",
]


class Remedy(TypedDict):
    """A role that can mend the cause, what it needs to see before it writes, and why it is proposed."""

    role: Role
    needs: list[Need]
    reason: str


class RuleError(ValueError):
    """A rule that can't be used.

    Attributes:
        rule_id: the rule's id, or its place in the list (``number 3``) where it has none.
        reason: why, in half a sentence.
    """

    def __init__(self, rule_id: str, reason: str) -> None:
        """Names the rule and says why it is refused."""
        super().__init__(f"rule {rule_id}: {reason}")
        self.rule_id = rule_id
        self.reason = reason


class _Remedy(NamedTuple):
    remedy: Remedy
    when: Expression | None


@dataclass(frozen=True)
class Probe:
    """What a probe of the endpoint has to find for a rule.

    Attributes:
        failures: the words of endpoint_info that stand for the rule's cause.
        certainty: how sure the cause is then.
        refines: the causes, by an event alone, that become the rule's when a probe finds its words.
    """

    failures: frozenset[FailureWord]
    certainty: Certainty
    refines: frozenset[str]


@dataclass(frozen=True)
class Rule:
    """One rule of causes.yml or of the user, checked and compiled; the fields: docs/causes.md."""

    id: str
    when: Expression
    certainty: Certainty
    summary: str
    advice: str
    references: tuple[str, ...]
    remedies: tuple[_Remedy, ...]
    transient_after_start: bool
    probe: Probe | None

    @property
    def reads(self) -> frozenset[Place]:
        """Every place of {event, evidence} that the rule depends on."""
        return self.when.reads.union(*(remedy.when.reads for remedy in self.remedies if remedy.when is not None))


class Match(NamedTuple):
    """The rule that an event hits, and those of its remedies that fit the event.

    Attributes:
        certainty: the rule's, or what a probe makes of it.
        contradicted: a probe failed at something else than the event did.
    """

    rule: Rule
    remedies: tuple[Remedy, ...]
    certainty: Certainty
    contradicted: bool


_SUREST_FIRST: tuple[Certainty, ...] = ("proven", "likely", "possible")
_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RULE_KEYS: dict[str, type] = {
    "id": str,
    "when": str,
    "certainty": str,
    "summary": str,
    "advice": str,
    "references": list,
    "remedies": list,
    "transient_after_start": bool,
    "probe": dict,
}
_REQUIRED = ("id", "when", "certainty", "summary")
_REMEDY_KEYS: dict[str, type] = {"role": str, "needs": list, "reason": str, "when": str}
_PROBE_KEYS: dict[str, type] = {"failures": list, "certainty": str, "refines": list}
_TYPE_NAMES = {str: "a text", list: "a list", bool: "true or false", dict: "a dict"}
# What the outcome of a probe is read from, beside what expressions read.
_PROBE_PLACES = {("endpoint", "failure"), ("endpoint", "tls", "failures")}
_MEMO_LIMIT = 50_000


class Rules:
    """An ordered set of rules: the first one that an event hits names its cause.

    The outcome is remembered by what the rules read of an event and of the evidence, nothing else can change it. So
    many equal failures cost one evaluation.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Takes the rules in the order in which they are tried."""
        self.rules = tuple(rules)
        places = frozenset[Place]().union(*(rule.reads for rule in self.rules))
        of_evidence = {place[1:] for place in places if place[:1] == ("evidence",)}
        if any(rule.probe is not None for rule in self.rules):
            of_evidence |= _PROBE_PLACES
        self._of_evidence = sorted(of_evidence)
        of_event = {place[1]: set[str]() for place in places if place[:1] == ("event",) and len(place) > 1}
        for place in places:
            if place[:1] == ("event",) and len(place) > 2:
                of_event[place[1]].add(place[2])
        read_whole = {place[1] for place in places if place[:1] == ("event",) and len(place) == 2}
        # Of the event's dicts only what is read, of everything else the value itself.
        self._parts = [
            (name, itemgetter(*sorted(keys))) for name, keys in sorted(of_event.items()) if name not in read_whole
        ]
        self._wholes = sorted(read_whole)
        self._memorable = not places & {(), ("event",)}
        self._memo: dict[object, Match] = {}

    def evidence_key(self, evidence: RuleEvidence | None) -> str:
        """Returns what the rules read of evidence, as one text: to be computed once a host and endpoint."""
        if evidence is None or not self._of_evidence:
            return ""
        return json.dumps([value_at(evidence, place) for place in self._of_evidence], sort_keys=True, default=str)

    def match(self, event: Event, evidence: RuleEvidence | None, evidence_key: str) -> Match:
        """Returns the first rule that the event hits, or what a probe of the endpoint makes of it.

        The last built-in rule is hit by every event.

        Args:
            event: a parsed event.
            evidence: what is known of its host, None for nothing.
            evidence_key: ``evidence_key(evidence)``.
        """
        if not self._memorable:
            return self._evaluate(event, evidence)
        values_of: Mapping[str, Any] = event
        values: list[object] = [evidence_key]
        for name, read in self._parts:
            part = values_of[name]
            values.append(None if part is None else read(part))
        values += [values_of.get(name) for name in self._wholes]
        key: object = tuple(values)
        try:
            match = self._memo.get(key)
        except TypeError:  # a rule reads a dict or a list
            key = _as_text(values)
            match = self._memo.get(key)
        if match is None:
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            match = self._memo[key] = self._evaluate(event, evidence)
        return match

    def _evaluate(self, event: Event, evidence: RuleEvidence | None) -> Match:
        document: dict[str, Any] = {"event": event, "evidence": evidence or {}}
        hit = next((rule for rule in self.rules if rule.when.holds(document)), None)
        if hit is None:
            raise RuleError("list", "no rule is hit by every event: the last one must be")
        rule, certainty, contradicted = self._probed(hit, failure_words(evidence["endpoint"] if evidence else None))
        fitting = (item for item in rule.remedies if item.when is None or item.when.holds(document))
        return Match(rule, tuple(item.remedy for item in fitting), certainty, contradicted)

    def _probed(self, hit: Rule, words: Sequence[FailureWord]) -> tuple[Rule, Certainty, bool]:
        """Returns what a probe that failed with ``words``, worst first, makes of the rule that an event hit.

        The worst fault decides: it confirms the rule, or names a cause where the event's is vague. A lesser one can
        still confirm.
        """
        if not words:
            return hit, hit.certainty, False
        own: frozenset[FailureWord] = hit.probe.failures if hit.probe is not None else frozenset()
        if words[0] not in own:
            for rule in self.rules:
                if rule.probe is not None and words[0] in rule.probe.failures and hit.id in rule.probe.refines:
                    return rule, rule.probe.certainty, False
        if hit.probe is not None and not own.isdisjoint(words):
            return hit, min(hit.certainty, hit.probe.certainty, key=_SUREST_FIRST.index), False
        return hit, hit.certainty, True


def load_rules(user_rules: Sequence[Mapping[str, Any]] = ()) -> Rules:
    """Returns the built-in rules with the user's in front of them.

    A user's rule may have the id of a built-in one: it is tried first, and what it does not hit the built-in one
    still can.

    Raises:
        RuleError: a user's rule can't be used: unknown or missing keys, a value of the wrong type, an id twice, an
            expression that does not compile, an unknown certainty, role or need.
        MissingLibraryError: a Python library is missing.
    """
    own = check_rules(user_rules)
    return Rules([*own, *_built_in_rules().rules]) if own else _built_in_rules()


@lru_cache(maxsize=1)
def _built_in_rules() -> Rules:
    if YAML_ERROR is not None:
        raise MissingLibraryError("PyYAML") from YAML_ERROR
    text = Path(__file__).with_name("causes.yml").read_text(encoding="utf-8")
    # The parser in C is a dozen times as fast, where PyYAML has it.
    rules = yaml.load(text, Loader=yaml.CSafeLoader) if yaml.__with_libyaml__ else yaml.safe_load(text)
    return Rules(check_rules(rules))


def check_rules(rules: Sequence[Mapping[str, Any]]) -> list[Rule]:
    """Returns the rules checked and compiled.

    Raises:
        RuleError: as load_rules.
    """
    if isinstance(rules, (str, Mapping)) or not isinstance(rules, Sequence):
        raise RuleError("list", f"the rules must be a list, not {type(rules).__name__}")
    checked: dict[str, Rule] = {}
    for number, item in enumerate(rules, 1):
        rule = _check_rule(item, f"number {number}")
        if rule.id in checked:
            raise RuleError(rule.id, "the id is used twice")
        checked[rule.id] = rule
    return list(checked.values())


def _check_rule(item: Any, place: str) -> Rule:
    if not isinstance(item, Mapping):
        raise RuleError(place, f"must be a dict, not {type(item).__name__}")
    given = item.get("id")
    rule_id = given if isinstance(given, str) and given else place
    _check_keys(rule_id, "", item, _RULE_KEYS, _REQUIRED)
    if not _ID.fullmatch(item["id"]):
        raise RuleError(rule_id, "the id may hold lower-case letters, digits and underscores, and starts with a letter")
    if item["certainty"] not in get_args(Certainty):
        raise RuleError(rule_id, _one_of("certainty", item["certainty"], get_args(Certainty)))
    references = item.get("references", [])
    if not all(isinstance(reference, str) for reference in references):
        raise RuleError(rule_id, "references must be a list of texts")
    return Rule(
        id=item["id"],
        when=_expression(rule_id, "when", item["when"]),
        certainty=item["certainty"],
        summary=item["summary"].strip(),
        advice=item.get("advice", "").strip(),
        references=tuple(references),
        remedies=tuple(_check_remedy(rule_id, remedy) for remedy in item.get("remedies", [])),
        transient_after_start=item.get("transient_after_start", False),
        probe=_check_probe(rule_id, item["probe"]) if "probe" in item else None,
    )


def _check_probe(rule_id: str, item: Mapping[str, Any]) -> Probe:
    _check_keys(rule_id, "probe ", item, _PROBE_KEYS, ("failures",))
    certainty, refines = item.get("certainty", "proven"), item.get("refines", [])
    for word in item["failures"]:
        if word not in get_args(FailureWord):
            raise RuleError(rule_id, _one_of("probe failure", word, get_args(FailureWord)))
    if certainty not in get_args(Certainty):
        raise RuleError(rule_id, _one_of("probe certainty", certainty, get_args(Certainty)))
    if not all(isinstance(cause, str) for cause in refines):
        raise RuleError(rule_id, "probe refines must be a list of ids of rules")
    return Probe(frozenset(item["failures"]), certainty, frozenset(refines))


def _check_remedy(rule_id: str, item: Any) -> _Remedy:
    if not isinstance(item, Mapping):
        raise RuleError(rule_id, f"a remedy must be a dict, not {type(item).__name__}")
    _check_keys(rule_id, "remedy ", item, _REMEDY_KEYS, ("role", "needs", "reason"))
    if item["role"] not in get_args(Role):
        raise RuleError(rule_id, _one_of("remedy role", item["role"], get_args(Role)))
    for need in item["needs"]:
        if need not in get_args(Need):
            raise RuleError(rule_id, _one_of("remedy need", need, get_args(Need)))
    when = _expression(rule_id, "remedy when", item["when"]) if "when" in item else None
    return _Remedy({"role": item["role"], "needs": list(item["needs"]), "reason": item["reason"].strip()}, when)


def _check_keys(
    rule_id: str, what: str, item: Mapping[str, Any], known: Mapping[str, type], required: Sequence[str]
) -> None:
    for key in required:
        if key not in item:
            raise RuleError(rule_id, f"{what}{key} is missing")
    for key, value in item.items():
        if key not in known:
            raise RuleError(rule_id, _one_of(f"{what}key", key, sorted(known)))
        if not isinstance(value, known[key]):
            raise RuleError(rule_id, f"{what}{key} must be {_TYPE_NAMES[known[key]]}, not {type(value).__name__}")


def _expression(rule_id: str, what: str, source: str) -> Expression:
    try:
        return Expression(source)
    except ExpressionError as error:
        raise RuleError(rule_id, f"{what} {error}") from error


def _one_of(what: str, given: object, known: Sequence[str]) -> str:
    return f"unknown {what} {given!r}; known are {', '.join(known)}"


def value_at(value: Any, place: Place) -> Any:
    """Returns what stands at a place of nested dicts, None where there is nothing."""
    for name in place:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _as_text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)
