"""Evidence in the report: what evidence_info found makes causes exact, and is shown."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.report import Report, build_report
from ansible_collections.winpki.scep.plugins.plugin_utils.report_text import render

from tests.unit.event_data import AIK
from tests.unit.evidence_data import probed
from tests.unit.report_data import NDES, raw_event, result

NOW = datetime(2026, 11, 24, 14, 20, 30, tzinfo=timezone.utc)
AIK_EVENT = {"Url": AIK, "ErrorCode": "x 0x80072ee7 (WinHttp: 12007 ERROR_WINHTTP_NAME_NOT_RESOLVED)"}


def taken(*endpoints: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What evidence_info registers."""
    return {"changed": False, "evidence": {"endpoints": list(endpoints), "profiles": [], "aik": None}, **changes}


def report(evidence: dict[str, Any]) -> Report:
    """The report on three hosts with a TLS failure, the last of which also has one of the AIK service."""
    return build_report(
        results={
            "a": result(raw_event(computer="A"), name="A"),
            "b": result(raw_event(computer="B"), name="B"),
            "c": result(raw_event(computer="C"), raw_event(2, "C", data=AIK_EVENT), name="C"),
        },
        evidence=evidence,
        rules=load_rules(),
        since="7d",
        generator="winpki.scep 0.0.1",
        now=NOW,
    )


def section(text: str, title: str) -> list[str]:
    """The lines below a title."""
    lines = text.splitlines()
    if title not in lines:
        return []
    below = lines[lines.index(title) + 1 :]
    return [line.strip() for line in below[: below.index("")]]


def test_each_host_is_judged_with_its_own() -> None:
    evidence = {
        "a": taken(probed("untrusted_root", url=NDES)),
        "b": taken(probed("expired", url=NDES)),
        "c": None,
    }
    joined = report(evidence)
    assert [(item["host"], item["cause"], item["certainty"]) for item in joined["findings"]] == [
        ("a", "tls_untrusted", "proven"),
        ("b", "tls_expired", "proven"),
        ("c", "aik_unreachable", "proven"),
        ("c", "tls_failure", "possible"),
    ]
    assert joined["evidence"] == {
        "a": taken(probed("untrusted_root", url=NDES))["evidence"],
        "b": taken(probed("expired", url=NDES))["evidence"],
    }
    assert [row["limits"] for row in joined["hosts"]] == [[], [], []]


@pytest.mark.parametrize(
    ("registered", "limits"),
    [
        (None, []),
        ({"skipped": True}, []),
        ({"failed": True, "msg": "Task failed: urls: no"}, ["no evidence was taken from it: urls: no"]),
        ({"unreachable": True, "msg": "timed out"}, ["no evidence was taken from it: timed out"]),
        ({"changed": False}, ["no evidence was taken from it: no reason was given"]),
        (
            {"evidence": {"endpoints": [{"url": "x"}]}},
            ["the evidence of a can't be used: an endpoint has no usable kind"],
        ),
        (taken(notes=["This account may not read HKU."]), ["This account may not read HKU."]),
    ],
)
def test_what_could_not_be_taken_is_said(registered: dict[str, Any] | None, limits: list[str]) -> None:
    joined = report({"a": registered})
    assert joined["hosts"][0]["limits"] == limits
    assert joined["findings"][0]["cause"] == "tls_failure"


def test_the_screen_shows_the_outcomes() -> None:
    evidence = {
        "a": taken(probed("untrusted_root", url=NDES)),
        "b": taken(probed("untrusted_root", url=NDES)),
        "c": taken(probed(None, url=NDES), probed("name_not_resolved", step="dns", url=AIK)),
    }
    assert section(render(report(evidence), []), "Probed from the hosts") == [
        "hosts  server                     outcome            what that host met",
        "2  ndes01.intra.adcslabor.de  untrusted_root     The detail of untrusted_root.",
        "1  AIK IFX 18b1af70           name_not_resolved  The detail of name_not_resolved.",
        "1  ndes01.intra.adcslabor.de  answers",
    ]


def test_without_evidence_the_screen_has_no_such_part() -> None:
    assert section(render(report({}), []), "Probed from the hosts") == []
    assert report({})["evidence"] == {}


def test_a_detail_is_harmless_and_short() -> None:
    probe = {**probed("untrusted_root", url=NDES), "detail": "\x1b[31m\u202e" + "x" * 5000}
    text = render(report({"a": taken(probe)}), [])
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert max(map(len, text.splitlines())) <= 100
