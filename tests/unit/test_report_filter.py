"""The filter summarize_findings: what it takes and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.winpki.scep.plugins.filter.summarize_findings import FilterModule
from ansible_collections.winpki.scep.plugins.plugin_utils.report import summarize_findings

from tests.unit.report_data import finding

summarize = FilterModule().filters()["summarize_findings"]


def test_summary() -> None:
    """As the function behind it."""
    findings = [finding(), finding(host="b", state="resolved")]
    assert summarize(findings) == summarize_findings(findings)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "the input is dict, not a list: "),
        (None, "the input is NoneType, not a list: "),
        ([finding(), "x"], "element 1 of the input has no advice, cause, certainty, "),
        ([{key: value for key, value in finding().items() if key != "count"}], "element 0 of the input has no count: "),
    ],
)
def test_refuses(value: Any, message: str) -> None:
    """What is no list of findings, by what is wrong with it."""
    with pytest.raises(AnsibleFilterError) as caught:
        summarize(value)
    assert str(caught.value).startswith(f"summarize_findings: {message}")
