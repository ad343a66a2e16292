"""The filter plan_remediation: what it takes and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.winpki.scep.plugins.filter.plan_remediation import FilterModule

from tests.unit.plan_data import HOST, PIN, evidence, findings, tls_event, untrusted

plan = FilterModule().filters()["plan_remediation"]
FOUND = evidence(untrusted())


def test_plan() -> None:
    """As the function behind it, with the time."""
    [made] = plan(findings(tls_event(), found=FOUND), {HOST: FOUND}, {"pins": [PIN]})
    assert (made["host"], [action["role"] for action in made["actions"]]) == (HOST, ["trust_ndes_chain"])
    assert made["created"].endswith("Z")


def test_without_evidence_and_settings_nothing_is_planned() -> None:
    [made] = plan(findings(tls_event()))
    assert (made["actions"], len(made["skipped"])) == ([], 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({},), "the input must be a list of findings, not dict"),
        ((["x"],), "element 0 of the input is no finding, as classify_events returns them"),
        (([{"host": "a"}],), "element 0 of the input is no finding, as classify_events returns them"),
        (([], []), "evidence must be a dict, not list"),
        (([], {}, []), "settings must be a dict, not list"),
        (([], {"a": {"x": 1}}), "the evidence of a can't be used: unknown key 'x'; known are aik, endpoints, profiles"),
        (([], {}, {"pins": ["x"]}), "pins: 'x' is not a SHA-256 fingerprint, which has 64 hexadecimal digits"),
    ],
)
def test_refuses(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(AnsibleFilterError) as refused:
        plan(*arguments)
    assert str(refused.value) == f"plan_remediation: {message}"
