"""What may be said of an enrolment, by what was seen of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.event import Event, parse_events
from ansible_collections.winpki.scep.plugins.plugin_utils.verification import (
    Verdict,
    Watch,
    account_key,
    blind_spots,
    check_contexts,
    contexts_of,
    overall,
    quiet_verdict,
    verdict,
)

from tests.unit.evidence_data import profile

URL = "https://ndes01.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"
TLS = "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"


def event(event_id: int, *, context: str = "LAB\\CLIENT1$", url: str = URL) -> dict[str, Any]:
    data = {"Context": context, "Url": url, "MessageText": "GetCACaps", "Method": "GET(9ms)", "Stage": "GetCACaps"}
    error = {} if event_id == 88 else {"ErrorCode": TLS}
    time = "2026-11-20T08:00:00.0000000Z"
    return {"record_id": 7, "event_id": event_id, "time_created": time, "data": {**data, **error}, "message": None}


def events(*raw: Any) -> list[Event]:
    return parse_events(raw)


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        ([], "open"),
        ([event(88)], "succeeded"),
        ([event(86)], "failed"),
        ([event(87)], "failed"),
        ([event(86), event(88)], "succeeded"),
        ([event(88), event(86)], "failed"),
        ([event(86), event(88, context="LAB\\anna")], "failed"),
        ([event(86, context="Local system"), event(88)], "succeeded"),
        ([event(86, context="LAB\\Anna"), event(88, context="lab\\anna")], "succeeded"),
        ([event(88, url="https://NDES01.lab.example:443/CertSrv/mscep/mscep.dll/pkiclient.exe")], "succeeded"),
        ([event(88, url=URL.replace("https", "http"))], "open"),
        ([event(88, url="https://ndes02.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe")], "open"),
        ([event(88, url="")], "open"),
    ],
)
def test_events(raw: list[dict[str, Any]], outcome: str) -> None:
    assert verdict(URL, events(*raw), [], [])["outcome"] == outcome


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("INTRA\\rudi", "intra\\RUDI ", True),
        ("INTRA\\rudi", "OTHER\\rudi", False),
        ("INTRA\\STRAUSS", "INTRA\\STRAUß", False),
        ("Local system", "WORKGROUP\\CLIENT1$", True),
        ("local SYSTEM", "LAB\\client1$", True),
        # Renamed, and in a domain since.
        ("WORKGROUP\\DESKTOP-1A2B3C$", "LAB\\CLIENT1$", True),
        ("LAB\\CLIENT1$", "LAB\\CLIENT1", False),
        ("Local system", "CLIENT1", False),
    ],
)
def test_spellings_of_an_account(one: str, other: str, same: bool) -> None:
    assert (account_key(one) == account_key(other)) == same


RUDI, DEVICE = "INTRA\\rudi", "LAB\\CLIENT1$"


@pytest.mark.parametrize(
    ("raw", "contexts", "outcome", "detail"),
    [
        (
            [event(88)],
            [RUDI],
            "open",
            "LAB\\CLIENT1$ enrolled, but of INTRA\\rudi neither a success nor a failure was seen yet.",
        ),
        ([], [RUDI, DEVICE], "open", f"Of {RUDI}, {DEVICE} neither a success nor a failure was seen yet."),
        (
            [event(88, context="intra\\RUDI")],
            [RUDI],
            "succeeded",
            "Event 88 of 2026-11-20T08:00:00.0000000Z says that a certificate was enrolled.",
        ),
        ([event(88, context="Local system")], [DEVICE], "succeeded", None),
        ([event(88)], ["Local system", "WORKGROUP\\CLIENT1$"], "succeeded", None),
        (
            [event(88), event(88, context=RUDI)],
            [DEVICE, RUDI],
            "succeeded",
            "Event 88 of 2026-11-20T08:00:00.0000000Z says that a certificate was enrolled. The same was seen for each "
            f"of {DEVICE}, {RUDI}.",
        ),
        ([event(88), event(86, context=RUDI)], [DEVICE], "failed", None),
        ([event(88, context="")], [RUDI], "open", None),
    ],
)
def test_whose_success_is_asked_for(
    raw: list[dict[str, Any]], contexts: list[str], outcome: str, detail: str | None
) -> None:
    found = verdict(URL, events(*raw), [], [], contexts=contexts)
    assert found["outcome"] == outcome
    assert detail in (None, found["detail"])
    assert (found["seen"] is None) == (outcome == "open")


def test_the_success_that_was_asked_for_is_shown() -> None:
    raw = events(event(88, context=RUDI), event(88))
    seen = verdict(URL, raw, [], [], contexts=[RUDI])["seen"]
    assert seen is not None
    assert seen["context"] == RUDI


def test_a_name_of_any_length_is_cut_and_clean() -> None:
    found = verdict(URL, events(event(88, context="LAB\\" + "x" * 5000 + "\x1b[2J")), [], [], contexts=[RUDI])
    assert len(found["detail"]) < 200
    assert found["detail"].isprintable()


@pytest.mark.parametrize(
    ("contexts", "message"),
    [
        ({}, None),
        ({URL.upper(): [RUDI]}, None),
        ({URL: []}, None),
        (
            {"https://x.example/": [RUDI]},
            "contexts: https://x.example/ is none of the URLs to verify: give it in urls too, or leave it out.",
        ),
        ({URL: RUDI}, f"contexts: {URL} needs a list of accounts as the events have them, such as INTRA\\rudi."),
        ({URL: [" "]}, f"contexts: {URL} needs a list of accounts as the events have them, such as INTRA\\rudi."),
    ],
)
def test_contexts_that_can_be_used(contexts: dict[str, Any], message: str | None) -> None:
    assert check_contexts(contexts, [URL]) == message


def test_contexts_of_a_url() -> None:
    given = {URL.replace("ndes01.lab.example", "NDES01.lab.example:443"): [RUDI], "https://x.example/": [DEVICE]}
    assert contexts_of(URL, given) == [RUDI]


def test_what_a_failure_rests_on() -> None:
    assert verdict(URL, events(event(86)), [], []) == {
        "url": URL,
        "outcome": "failed",
        "seen": {
            "kind": "event",
            "event_id": 86,
            "record_id": 7,
            "time_created": "2026-11-20T08:00:00.0000000Z",
            "context": "LAB\\CLIENT1$",
            "stage": "GetCACaps",
            "hresult": "0x80072f8f",
        },
        "detail": "Event 86 of 2026-11-20T08:00:00.0000000Z says that an enrolment failed with 0x80072f8f.",
    }


def test_the_newest_failure_is_shown() -> None:
    raw = [event(86), event(86, context="LAB\\anna"), {**event(87), "record_id": 9}]
    seen = verdict(URL, events(*raw), [], [])["seen"]
    assert seen is not None
    assert (seen["record_id"], seen["event_id"]) == (9, 87)


OTHER = URL.replace("ndes01", "ndes02")
OLD, NEW = "0B7C1E5D2A94F8360E1D7A55C08B3F6692D4EE17", "5D2A94F8360E1D7A55C08B3F6692D4EE170B7C1E"


@pytest.mark.parametrize(
    ("before", "now", "outcome"),
    [
        ({"certificate_thumbprint": None}, {"certificate_thumbprint": NEW}, "succeeded"),
        ({"certificate_thumbprint": OLD}, {"certificate_thumbprint": NEW}, "succeeded"),
        ({"certificate_thumbprint": OLD}, {"certificate_thumbprint": OLD, "status": 1, "error_code": None}, "open"),
        ({"certificate_thumbprint": OLD}, {"certificate_thumbprint": None}, "open"),
        ({"certificate_thumbprint": OLD}, {"certificate_thumbprint": NEW, "urls": ["https://other.example/"]}, "open"),
        ({"certificate_thumbprint": OLD}, {"certificate_thumbprint": NEW, "source": "registry"}, "open"),
        # It may have come by the other URL.
        ({"urls": [URL, OTHER]}, {"certificate_thumbprint": NEW, "urls": [URL, OTHER]}, "open"),
        ({"urls": [OTHER]}, {"certificate_thumbprint": NEW}, "open"),
        ({"urls": [URL, URL.upper()]}, {"certificate_thumbprint": NEW, "urls": [URL, URL.upper()]}, "succeeded"),
        # A profile that was not there at the mark may bring an old certificate.
        ({"path": "HKLM\\Other"}, {"certificate_thumbprint": NEW}, "open"),
    ],
)
def test_certificates(before: dict[str, Any], now: dict[str, Any], outcome: str) -> None:
    assert verdict(URL, [], [profile(URL, **before)], [profile(URL, **now)])["outcome"] == outcome


@pytest.mark.parametrize(
    ("scope", "contexts", "outcome"),
    [
        ("device", [DEVICE], "succeeded"),
        ("device", ["Local system"], "succeeded"),
        ("device", [RUDI], "open"),
        ("device", [DEVICE, RUDI], "open"),
        ("user", [DEVICE], "open"),
        ("user", [RUDI], "open"),
        ("user", [], "succeeded"),
    ],
)
def test_whom_a_certificate_is_for(scope: str, contexts: list[str], outcome: str) -> None:
    before, now = profile(URL, scope=scope), profile(URL, scope=scope, certificate_thumbprint=NEW)
    found = verdict(URL, [], [before], [now], contexts=contexts)
    assert found["outcome"] == outcome


LOG = {"name": "Application", "enabled": True, "oldest_record": 1, "record_count": 9, "rolled_over": False}
MARK = {"log": LOG}
WATCH = Watch(MARK, MARK, None, 30.0, 3)


def log(**changes: Any) -> dict[str, Any]:
    return {"log": {**LOG, **changes}}


@pytest.mark.parametrize(("raw", "outcome"), [([], "quiet"), ([event(86)], "failed"), ([event(88)], "succeeded")])
def test_silence_is_no_success(raw: list[dict[str, Any]], outcome: str) -> None:
    found = quiet_verdict(URL, events(*raw), WATCH)
    assert found["outcome"] == outcome
    assert (found["seen"] is None) == (outcome == "quiet")


@pytest.mark.parametrize(
    ("watch", "outcome", "detail"),
    [
        (
            WATCH,
            "quiet",
            "No enrolment was seen in 30 s. That is no proof, as a client tries again at times of its own: see whether "
            "events still come.",
        ),
        (None, "open", "Nothing was waited for, so silence says nothing."),
        (
            WATCH._replace(last=None, reason="timed out", seconds=0.0),
            "open",
            "Whether an enrolment was tried can't be told. The event log could not be read (timed out).",
        ),
        (
            WATCH._replace(reason="timed out", seconds=5.0),
            "open",
            "Whether an enrolment was tried can't be told. The event log could be read for 5 s, and then no more "
            "(timed out).",
        ),
        (WATCH._replace(last=log(enabled=False)), "open", None),
        (WATCH._replace(last=log(enabled=None)), "open", None),
        (WATCH._replace(last=log(oldest_record=11)), "open", None),
        (WATCH._replace(level=1), "open", None),
        (WATCH._replace(level=None), "open", None),
    ],
)
def test_silence_that_was_listened_to(watch: Watch | None, outcome: str, detail: str | None) -> None:
    found = quiet_verdict(URL, [], watch)
    assert (found["outcome"], found["seen"]) == (outcome, None)
    assert detail in (None, found["detail"])


@pytest.mark.parametrize(
    ("outcomes", "worst"),
    [
        (["succeeded", "quiet"], "quiet"),
        (["quiet", "open"], "open"),
        (["succeeded"], "succeeded"),
        (["succeeded", "open"], "open"),
        (["open", "failed", "succeeded"], "failed"),
        (["quiet"], "quiet"),
        ([], "open"),
    ],
)
def test_the_worst_counts(outcomes: list[Any], worst: str) -> None:
    verdicts: list[Verdict] = [{"url": URL, "outcome": one, "seen": None, "detail": ""} for one in outcomes]
    assert overall(verdicts) == worst


LOST = "The log Application has overwritten events meanwhile, or was cleared."


@pytest.mark.parametrize(
    ("watch", "spots"),
    [
        (WATCH._replace(level=4), []),
        (WATCH, ["At log level 3 Windows writes no successes."]),
        (WATCH._replace(level=1), ["At log level 1 Windows writes neither failures nor successes."]),
        (WATCH._replace(last=None, reason="denied", level=5), ["The event log could not be read (denied)."]),
        (
            WATCH._replace(last=log(enabled=False, oldest_record=11), level=4),
            ["The log Application is disabled, so no event is written to it.", LOST],
        ),
        (
            WATCH._replace(last=log(enabled=None), level=4),
            ["It could not be told whether the log Application is enabled."],
        ),
        (
            WATCH._replace(level=None),
            ["The log level of enrolment could not be told, so events may not have been written."],
        ),
    ],
)
def test_blind_spots(watch: Watch, spots: list[str]) -> None:
    assert blind_spots(watch) == spots


@pytest.mark.parametrize(
    ("mark", "last", "lost"),
    [
        ({}, {"record_count": 12}, False),
        # Up to the first event after the mark all may be gone.
        ({}, {"oldest_record": 10, "record_count": 3}, False),
        ({}, {"oldest_record": 11, "record_count": 3}, True),
        ({}, {"oldest_record": None, "record_count": 0}, True),
        ({}, {"oldest_record": 1, "record_count": 8}, True),
        ({}, {"record_count": None}, False),
        # A log that has overwritten events long ago, on a host without an event of SCEP.
        ({"oldest_record": 128400, "rolled_over": True}, {"oldest_record": 128402, "rolled_over": True}, False),
        ({"oldest_record": None, "record_count": 0}, {"rolled_over": None}, False),
        ({"oldest_record": None, "record_count": 0}, {"rolled_over": True}, True),
    ],
)
def test_events_that_were_lost_since_the_mark(mark: dict[str, Any], last: dict[str, Any], lost: bool) -> None:
    watch = Watch(log(**mark), log(**last), None, 30.0, 4)
    assert blind_spots(watch) == ([LOST] if lost else [])
