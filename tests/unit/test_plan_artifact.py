"""A plan as one text."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils import plan_artifact
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_artifact import from_text, is_text, to_text
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_file import (
    NotRead,
    PlanDocument,
    PlanRefusedError,
    plan_document,
)

from tests.unit.plan_data import CREATED, evidence, plan_of, untrusted


def document() -> PlanDocument:
    hostile: NotRead = {"host": "down1", "status": "failed", "reason": "{{ lookup('pipe', 'id') }} {% raw %} {# #}"}
    plans = [plan_of(evidence(untrusted()))]
    return plan_document(plans, [hostile], lambda _host: {}, generator="x", created=CREATED, max_age_seconds=60)


def packed(content: bytes) -> str:
    return "scep-plan:1:" + base64.b64encode(gzip.compress(content, mtime=0)).decode()


def test_it_is_the_same_plan_again() -> None:
    text = to_text(document())
    assert text.startswith("scep-plan:1:H4sI")
    assert text == to_text(document())
    assert json.loads(from_text(text)) == document()
    # As it is pasted from a page or a mail.
    assert json.loads(from_text("\n".join([" ", text[:70], text[70:140], text[140:]]))) == document()


def test_no_template_is_in_it() -> None:
    assert not set("{}%#") & set(to_text(document()))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("scep-plan:1:H4sI", True),
        (" scep-plan:2:x", True),
        ("remediation/plan.json", False),
        ("~/scep-plan", False),
        ("{}", False),
    ],
)
def test_what_is_taken_for_a_text(value: str, text: bool) -> None:
    assert is_text(value) is text


WHOLE = packed(b"x" * 1000)


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("scep-plan:2:H4sI", "schema", "the text does not begin with scep-plan:1:: make a new plan"),
        ("scep-plan:1:", "unreadable", "the text ends too early: hand it on whole"),
        (WHOLE[:-4], "unreadable", "the text ends too early: hand it on whole"),
        (WHOLE[:-1], "unreadable", "the text is damaged (Incorrect padding): hand it on whole"),
        (WHOLE.replace("H4sI", "H4s!"), "unreadable", None),
        ("scep-plan:1:" + base64.b64encode(b"{}").decode(), "unreadable", None),
        (packed(b"x" * 1001), "unreadable",
         "more than 1,000 bytes come of the text, which no plan has: make a new plan"),
    ],
)  # fmt: skip
def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, text: str, reason: str, message: str | None) -> None:
    monkeypatch.setattr(plan_artifact, "MOST_BYTES", 1000)
    assert from_text(WHOLE) == b"x" * 1000
    with pytest.raises(PlanRefusedError) as refused:
        from_text(text)
    assert refused.value.reason == reason
    assert message is None or str(refused.value) == message
