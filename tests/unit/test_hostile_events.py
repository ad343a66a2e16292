"""Texts that a hostile server, or a damaged log, may put into an event."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, cast

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import classify_events, load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent, parse_event, parse_events

from tests.unit.event_data import (
    DENIED,
    ENGLISH_86,
    GERMAN_86,
    NDES,
    NOT_RESOLVED,
    SECURE_FAILURE,
    UNKNOWN_AUTHORITY,
    raw,
    text,
)

# What each expression of the reader begins with, and what could make it go back over what it has read.
PIECES = (
    "Method:",
    "Method: ",
    "Method: GET(1ms)\n",
    "Method: GET(1ms)\nStage:",
    "Methode:\nPhase:\n",
    "Stage: ",
    "GET(1ms)",
    "GET(",
    "HTTP/1.1 200 OK\n",
    "HTTP/1.1 200 ",
    "a:b\n",
    "PkiStatus(2):",
    " FailInfo(",
    "0x80072ee7 ",
    "0x80072ee7 (WinHttp: ",
    "(-1 ",
    "(a: 1",
    " via https://a",
    " via ",
    " für a über ",
    "SCEP Certificate enrollment for ",
    "https://",
    "a\\",
    "$\\",
    ":",
    ": ",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\u3000",
    "\uff1a",
    "{{",
    "0",
    "A",
)
SIZE = 100_000


class Dice:
    """Numbers that are the same in every run with the same seed."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, limit: int) -> int:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self._state >> 33) % limit

    def pick(self, values: Sequence[Any]) -> Any:
        return values[self.below(len(values))]


@pytest.mark.parametrize("piece", PIECES, ids=repr)
def test_the_time_grows_with_the_length_only(piece: str) -> None:
    """100 KB of what an expression looks for, in each field and as the whole text, with the template around it."""
    long = piece * (SIZE // len(piece))
    events = [
        raw(87, MessageText=long, ErrorCode=f"{long} {SECURE_FAILURE}"),
        raw(Context=long, Url=f"https://{long}", Method=long, Stage=long),
        {"message": long},
        {"message": text(ENGLISH_86, "INTRA\\rudi", NDES, long, "GET(1ms)", "GetCACaps", SECURE_FAILURE)},
        {"message": text(GERMAN_86, "INTRA\\rudi", NDES, long, "GET(1ms)", "GetCACaps", SECURE_FAILURE)},
        {"message": f"SCEP Certificate enrollment for {long}"},
        {"message": f"SCEP-Zertifikatregistrierung für {long}"},
        {"message": f"https://a {long} GET(1ms) {long}"},
        {"values": [long, f"https://{long}", long]},
        {"time_created": long, "record_id": long, "data": {"Url": NDES}},
    ]
    started = time.process_time()
    for event in events:
        parse_event(cast(RawEvent, event))
    # A tenth of a second; an expression that goes back over what it has read needs a minute.
    assert time.process_time() - started < 5


def test_an_answer_of_a_megabyte() -> None:
    body = UNKNOWN_AUTHORITY * 3000
    started = time.process_time()
    event = parse_event(
        cast(RawEvent, {"message": text(ENGLISH_86, "A\\b", NDES, body, "GET(1ms)", "S", NOT_RESOLVED)})
    )
    assert time.process_time() - started < 5
    assert event["http"] is not None
    assert (event["http"]["status"], event["stage"], len(event["text"] or "")) == (404, "S", len(body.strip()))


@pytest.mark.parametrize("seed", range(20))
def test_any_text_gives_an_event_and_a_finding(seed: int) -> None:
    """Pieces in any order, cut anywhere: never an exception, always JSON, always counted."""
    dice = Dice(seed)
    samples = [*PIECES, DENIED, UNKNOWN_AUTHORITY, NOT_RESOLVED, NDES, "[::1", "\x00", "\ud800", "\u202e", "\U0001f512"]

    def some() -> Any:
        parts = "".join(dice.pick(samples) for _unused in range(dice.below(12)))
        cut = parts[dice.below(len(parts) + 1) :]
        return dice.pick([cut, cut, cut, cut, None, 5, ["x"], {"a": cut}])

    events: list[Any] = []
    for number in range(200):
        event = raw()
        for _unused in range(5):
            event[dice.pick(sorted(event))] = some()
        event["data"] = dice.pick([{name: some() for name in ("Context", "Url", "MessageText")}, some()])
        event["values"] = dice.pick([[some() for _unused in range(dice.below(8))], some()])
        event["event_id"] = dice.pick([86, 87, None, some()])
        event["record_id"] = number
        events.append(event)
    parsed = parse_events(events)
    findings = classify_events(parsed, load_rules())
    assert len(parsed) == len(events)
    assert json.loads(json.dumps(parsed)) == parsed
    failures = [event for event in parsed if event["event_id"] != 88]
    assert sum(finding["count"] for finding in findings) == sum(event["count"] for event in failures)


def test_templates_and_markup_stay_as_they_are() -> None:
    hostile = (
        "{{ lookup('pipe', 'id') }} {% x %} <script>alert(1)</script> $(Get-Date) =cmd|' /C calc'!A0 \x1b[31m\u202e"
    )
    parsed = parse_event(cast(RawEvent, raw(87, MessageText=hostile, Context=f"A\\{hostile}", Stage=hostile)))
    assert parsed["text"] == hostile
    assert parsed["stage"] == hostile
    assert parsed["context"] == {"raw": f"A\\{hostile}", "kind": "user", "domain": "A", "name": hostile}
