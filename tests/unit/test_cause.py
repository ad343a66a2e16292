"""classify_events: events to findings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import (
    Finding,
    HostInfo,
    NotParsedError,
    classify_events,
    load_rules,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.event import Event, RawEvent, parse_events
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import EvidenceError

from tests.unit.event_data import AIK, NDES, NOT_RESOLVED, SECURE_FAILURE, UNKNOWN_AUTHORITY, raw
from tests.unit.evidence_data import certificate, probed

COMPUTER = "CLIENT1.intra.adcslabor.de"
CLOCK = (
    "The host's clock is %s the controller's. A wrong clock makes valid TLS certificates look expired or not yet valid,"
    " lets SCEP servers refuse requests, and shifts the times of this host's events (successes, 88, too) against other"
    " hosts': set it right first."
)


def findings(*events: dict[str, Any], hosts: Mapping[str, Any] | None = None, **options: Any) -> list[Finding]:
    parsed = parse_events(cast(list[RawEvent], events))
    return classify_events(parsed, load_rules(), cast(Mapping[str, HostInfo], hosts), **options)


def at(minute: int, event_id: int = 86, **changes: Any) -> dict[str, Any]:
    """An event at 10:MM; its record number is the minute's."""
    return raw(event_id, **{"time_created": f"2026-11-03T10:{minute:02}:00.0000000Z", "record_id": minute, **changes})


def aik_at(minute: int, event_id: int = 86, **changes: Any) -> dict[str, Any]:
    return at(minute, event_id, **{"Url": AIK, "ErrorCode": None if event_id == 88 else NOT_RESOLVED, **changes})


def test_a_finding() -> None:
    assert findings(at(1), at(3, Context="INTRA\\CLIENT1$"), at(2)) == [
        {
            "host": COMPUTER,
            "computer": COMPUTER,
            "key": "d7501a5c167ba481",
            "cause": "tls_failure",
            "certainty": "possible",
            "state": "open",
            "summary": "TLS failure, cause to be probed.",
            "advice": next(rule.advice for rule in load_rules().rules if rule.id == "tls_failure"),
            "references": [
                "https://www.gradenegger.eu/en/details-of-the-event-with-id-86-of-the-source-microsoft-windows-certificate"
                "-services-client-certenroll/",
                "https://learn.microsoft.com/en-us/windows/win32/winhttp/error-messages",
                "https://learn.microsoft.com/en-us/windows/win32/api/winhttp/nc-winhttp-winhttp_status_callback",
            ],
            "remedies": [
                {
                    "role": "trust_ndes_chain",
                    "needs": ["pins", "chain_untrusted_proven"],
                    "reason": "Right only if a probe shows that trust in the server's chain is all that is missing.",
                },
                {
                    "role": "use_http",
                    "needs": ["http_endpoint_proven", "ca_thumbprint_matches"],
                    "reason": "SCEP signs and encrypts its own messages, so enrolment does not depend on TLS.",
                },
            ],
            "endpoint": {
                "kind": "ndes",
                "scheme": "https",
                "host": "ndes01.intra.adcslabor.de",
                "port": None,
                "path": "/certsrv/mscep/mscep.dll/pkiclient.exe",
                "tpm_vendor": None,
                "key_id": None,
            },
            "error": {
                "hresult": "0x80072f8f",
                "name": "ERROR_WINHTTP_SECURE_FAILURE",
                "family": "winhttp",
                "code": 12175,
                "text": "A security error occurred",
            },
            "message": "GetCACaps",
            "count": 3,
            "first_seen": "2026-11-03T10:01:00.0000000Z",
            "last_seen": "2026-11-03T10:03:00.0000000Z",
            "event_ids": [86],
            "contexts": ["INTRA\\CLIENT1$", "INTRA\\rudi"],
            "resolved_by": None,
            "evidence": [
                {
                    "source": "event",
                    "log": "Application",
                    "record_id": 3,
                    "event_id": 86,
                    "time": "2026-11-03T10:03:00.0000000Z",
                }
            ],
            "notes": [],
        }
    ]


def test_one_finding_for_each_host_endpoint_and_cause() -> None:
    found = findings(
        at(1),
        at(2, computer="client1.INTRA.adcslabor.de", Url=NDES.replace("adcslabor.de/", "adcslabor.de:443/").upper()),
        at(3, ErrorCode=NOT_RESOLVED),
        at(4, Url=NDES.replace("https", "http")),
        at(5, computer="CLIENT2"),
        aik_at(6),
    )
    assert [(finding["host"], finding["cause"], finding["count"]) for finding in found] == [
        (COMPUTER, "tls_failure", 1),
        (COMPUTER, "aik_unreachable", 1),
        (COMPUTER, "tls_failure", 2),
        (COMPUTER, "name_not_resolved", 1),
        ("CLIENT2", "tls_failure", 1),
    ]
    assert len({finding["key"] for finding in found}) == 5


def test_the_order_of_the_events_changes_nothing() -> None:
    events = [
        at(1),
        at(5, Context="A\\B$"),
        at(2, 88),
        at(2, 88, record_id=3),
        aik_at(4),
        aik_at(7, 88),
        at(9, ErrorCode=None),
    ]
    assert findings(*events) == findings(*reversed(events))


def test_the_key_is_that_of_host_endpoint_and_cause() -> None:
    """Not of times, counts or spelling."""
    key = findings(at(1))[0]["key"]
    assert key == findings(at(9), at(10, Context="x"))[0]["key"]
    assert key == findings(at(1, computer=COMPUTER.upper()))[0]["key"]
    assert key == findings(at(1, computer="x"), hosts={COMPUTER: {"name": "x"}})[0]["key"]
    assert key != findings(at(1, computer="CLIENT2"))[0]["key"]
    assert key != findings(at(1, Url=NDES.replace("https", "http")))[0]["key"]
    assert key != findings(at(1, ErrorCode=None))[0]["key"]


def test_successes_alone_are_no_finding() -> None:
    assert findings(at(1, 88), aik_at(2, 88)) == []
    assert findings() == []


@pytest.mark.parametrize(
    ("events", "state", "resolved_by"),
    [
        ([at(1)], "open", None),
        ([at(1), at(2, 88)], "resolved", 2),
        ([at(2), at(1, 88)], "open", None),
        ([at(1), at(2, 88), at(3)], "open", None),
        # The first success after the last failure is the one that ended it.
        ([at(1), at(2, 88), at(3), at(4, 88), at(5, 88)], "resolved", 4),
        # At the same time the record number decides.
        ([at(1, record_id=7), at(1, 88, record_id=8)], "resolved", 8),
        ([at(1, record_id=8), at(1, 88, record_id=7)], "open", None),
        # Times with fewer decimals
        ([at(1, time_created="2026-11-03T10:00:00.5Z"), at(1, 88, time_created="2026-11-03T10:00:00.4999999Z")],
         "open", None),
        ([at(1, time_created="2026-11-03T10:00:00Z"), at(3, 88, time_created="2026-11-03T10:00:00.1Z")], "resolved", 3),
        # Another endpoint, another host
        ([at(1), at(2, 88, Url=NDES.replace("https", "http"))], "open", None),
        ([at(1), at(2, 88, Url=AIK)], "open", None),
        ([at(1), at(2, 88, computer="CLIENT2")], "open", None),
        ([at(1), at(2, 88, computer=COMPUTER.lower(), Url=NDES.replace(".de/", ".de:443/"))], "resolved", 2),
        # Without an endpoint nothing says that it is the same one.
        ([at(1, Url=None), at(2, 88, Url=None)], "open", None),
        # Folded ones: the newest failure counts, and of a folded success the newest.
        ([at(3, count=5, first_seen="2026-11-03T10:01:00Z", last_seen="2026-11-03T10:03:00Z"), at(2, 88)],
         "open", None),
        ([at(3), at(9, 88, count=5, first_seen="2026-11-03T10:01:00Z", last_seen="2026-11-03T10:09:00Z")],
         "resolved", 9),
        # A failure without a time comes before every success.
        ([at(1, time_created=None, record_id=None), at(2, 88)], "resolved", 2),
        ([at(1, time_created="soon"), at(2, 88, time_created=None)], "resolved", 2),
    ],
)  # fmt: skip
def test_what_a_success_ends(events: list[dict[str, Any]], state: str, resolved_by: int | None) -> None:
    found = [finding for finding in findings(*events) if finding["count"]]
    assert [finding["state"] for finding in found] == [state]
    ended = found[0]["resolved_by"]
    assert (ended and ended["record_id"]) == resolved_by


def test_a_success_ends_every_cause_before_it() -> None:
    found = findings(at(1), at(2, ErrorCode=NOT_RESOLVED), at(3, 88), at(4, ErrorCode=NOT_RESOLVED))
    assert [(finding["cause"], finding["state"]) for finding in found] == [
        ("tls_failure", "resolved"),
        ("name_not_resolved", "open"),
    ]
    assert found[0]["resolved_by"] == {"event_id": 88, "record_id": 3, "time": "2026-11-03T10:03:00.0000000Z"}


@pytest.mark.parametrize(
    ("events", "start", "state"),
    [
        ([aik_at(3)], "2026-11-03T10:00:00Z", "transient"),
        ([aik_at(0)], "2026-11-03T10:00:00.0000000Z", "transient"),
        ([aik_at(10)], "2026-11-03T10:00:00Z", "transient"),
        ([aik_at(11)], "2026-11-03T10:00:00Z", "open"),
        ([aik_at(3), aik_at(30)], "2026-11-03T10:00:00Z", "open"),
        ([aik_at(3)], "2026-11-03T10:03:00.0000001Z", "open"),
        ([aik_at(3)], None, "open"),
        ([aik_at(3)], "never", "open"),
        ([aik_at(3)], "9999-12-31T23:59:59Z", "open"),
        ([aik_at(3, time_created=None)], "2026-11-03T10:00:00Z", "open"),
        ([aik_at(3), aik_at(5, 88)], "2026-11-03T10:00:00Z", "resolved"),
        ([aik_at(30, count=9, first_seen="2026-11-03T10:03:00Z", last_seen="2026-11-03T10:30:00Z")],
         "2026-11-03T10:00:00Z", "open"),
        ([aik_at(3, ErrorCode=SECURE_FAILURE)], "2026-11-03T10:00:00Z", "transient"),
        # The service answered that it does not know this TPM's maker: that has nothing to do with the start.
        ([aik_at(3, ErrorCode="x 0x80190194", MessageText=UNKNOWN_AUTHORITY)], "2026-11-03T10:00:00Z", "open"),
        # Only AIK enrolment starts by itself with the host.
        ([at(3, ErrorCode=NOT_RESOLVED)], "2026-11-03T10:00:00Z", "open"),
    ],
)  # fmt: skip
def test_what_came_with_a_start(events: list[dict[str, Any]], start: str | None, state: str) -> None:
    found = findings(*events, hosts={"client1": {"name": COMPUTER, "start_time": start}})
    assert [finding["state"] for finding in found] == [state]


@pytest.mark.parametrize(
    ("skew", "note"),
    [
        (120.0, None),
        (-120, None),
        (120.6, "2 minutes 1 second ahead of"),
        (-125, "2 minutes 5 seconds behind"),
        (3600.4, "1 hour ahead of"),
        (-7325.0, "2 hours 2 minutes behind"),
        (86400 * 400 + 3600, "400 days 1 hour ahead of"),
        (None, None),
        ("300", None),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_a_clock_that_is_off_is_said(skew: object, note: str | None) -> None:
    found = findings(at(1), aik_at(2), hosts={"client1": {"name": COMPUTER, "clock_skew_seconds": skew}})
    assert [finding["notes"] for finding in found] == [[CLOCK % note] if note else []] * 2


def presented(begin: str, end: str) -> dict[str, Any]:
    """A probe that met a certificate with this validity, which is out of it by the host's clock."""
    found = probed("not_yet_valid", "revocation_unreachable")
    found["tls"]["presented"] = [certificate(not_before=begin, not_after=end)]
    return found


SLOW = {"name": COMPUTER, "clock_skew_seconds": -432000.0, "time": "2026-11-19T12:00:00Z"}
NEW = presented("2026-11-22T00:00:00Z", "2027-11-22T00:00:00Z")
ALSO_UNTRUSTED = {**NEW, "tls": {**NEW["tls"], "failures": ["not_yet_valid", "untrusted_root"]}}
FUTURE = presented("2026-11-25T00:00:00Z", "2027-11-22T00:00:00Z")


@pytest.mark.parametrize(
    ("host", "probe", "cause", "certainty"),
    [
        (SLOW, NEW, "clock_skew", "proven"),
        (SLOW, FUTURE, "tls_expired", "proven"),
        ({**SLOW, "clock_skew_seconds": -60.0}, NEW, "tls_expired", "proven"),
        ({**SLOW, "clock_skew_seconds": None}, NEW, "tls_expired", "proven"),
        ({**SLOW, "time": None}, NEW, "tls_expired", "proven"),
        (SLOW, probed("not_yet_valid"), "tls_expired", "proven"),
        (SLOW, ALSO_UNTRUSTED, "tls_expired", "proven"),
        (SLOW, probed("untrusted_root"), "tls_untrusted", "proven"),
    ],
)  # fmt: skip
def test_a_wrong_clock_is_the_cause_where_the_certificate_is_valid(
    host: dict[str, Any], probe: dict[str, Any], cause: str, certainty: str
) -> None:
    """Then nothing but the clock is to be mended."""
    [found] = findings(at(1), hosts={"client1": host}, evidence={"client1": {"endpoints": [probe]}})
    assert (found["cause"], found["certainty"]) == (cause, certainty)
    assert (found["remedies"] == []) is (cause == "clock_skew")


def test_a_clock_that_may_be_right_is_not_said() -> None:
    """A round trip that takes minutes makes the difference uncertain by half of it."""
    host = {"name": COMPUTER, "clock_skew_seconds": -200.0, "round_trip_seconds": 160.0}
    assert findings(at(1), hosts={"client1": host})[0]["notes"] == []
    assert findings(at(1), hosts={"client1": {**host, "round_trip_seconds": 159.0}})[0]["notes"] == [
        CLOCK % "3 minutes 20 seconds behind"
    ]


@pytest.mark.parametrize(
    ("computer", "hosts", "host"),
    [
        (COMPUTER, {"a": {"name": COMPUTER}}, "a"),
        (COMPUTER, {"a": {"name": "client1.INTRA.adcslabor.DE"}}, "a"),
        (COMPUTER, {"a": {"name": "CLIENT1"}}, "a"),
        ("Client1", {"a": {"name": COMPUTER}}, "a"),
        (COMPUTER, {"a": {"name": "CLIENT1.other.example"}}, COMPUTER),
        (COMPUTER, {"a": {"name": "CLIENT12"}}, COMPUTER),
        # The full name decides where two hosts share the short one, and nothing does where it can't.
        (COMPUTER, {"a": {"name": "CLIENT1.other.example"}, "b": {"name": COMPUTER}}, "b"),
        ("CLIENT1", {"a": {"name": "CLIENT1.other.example"}, "b": {"name": COMPUTER}}, "CLIENT1"),
        ("CLIENT1", {"a": {"name": "CLIENT1"}, "b": {"name": "CLIENT1"}}, "CLIENT1"),
        # A host that told nothing goes by its inventory name.
        ("CLIENT1", {"client1": {}, "client2": None}, "client1"),
        ("CLIENT1", {"client1": {"name": None}}, "client1"),
        ("CLIENT1", {}, "CLIENT1"),
        ("CLIENT1", None, "CLIENT1"),
        (None, {"a": {"name": "CLIENT1"}}, None),
    ],
)
def test_the_host_of_an_event(computer: str | None, hosts: dict[str, Any] | None, host: str | None) -> None:
    found = findings(at(1, computer=computer), hosts=hosts)
    assert [(finding["host"], finding["computer"]) for finding in found] == [(host, computer)]


def test_the_name_that_the_reader_gave_comes_first() -> None:
    """A host keeps its events when it gets a new name, as at its first start."""
    hosts = {"client1": {"name": "CLIENT1", "clock_skew_seconds": 300}, "client2": {"name": "WIN-4F7K2"}}
    found = findings(
        at(1, computer="WIN-4F7K2", host="client1"), at(2, host="client1", computer="CLIENT1"), hosts=hosts
    )
    assert [(finding["host"], finding["computer"], finding["count"]) for finding in found] == [
        ("client1", "CLIENT1", 2)
    ]
    assert found[0]["notes"] == [CLOCK % "5 minutes ahead of"]


def test_names_of_one_host_are_joined() -> None:
    hosts = {"client1": {"name": COMPUTER}}
    found = findings(at(1), at(2, computer="client1"), at(3, 88, computer="CLIENT1"), hosts=hosts)
    assert [(finding["host"], finding["count"], finding["state"]) for finding in found] == [("client1", 2, "resolved")]


def test_folded_events_count_for_all_they_stand_for() -> None:
    found = findings(
        at(30, count=17, first_seen="2026-11-01T00:00:00Z", last_seen="2026-11-03T10:30:00Z"),
        at(40),
        at(20, count=2, first_seen="2026-11-02T00:00:00Z", last_seen="2026-11-03T10:20:00Z"),
    )
    assert [(finding["count"], finding["first_seen"], finding["last_seen"]) for finding in found] == [
        (20, "2026-11-01T00:00:00.0000000Z", "2026-11-03T10:40:00.0000000Z")
    ]


def test_an_event_that_comes_twice_counts_once() -> None:
    """From the host's log and from a collector's, which may give fewer decimals; record numbers can repeat."""
    found = findings(
        raw(time_created="2026-11-03T10:15:30.1234567Z"),
        raw(time_created="2026-11-03T10:15:30.123456Z"),
        raw(time_created="2026-11-03T10:15:31Z"),
        raw(record_id=4712),
        raw(record_id=None),
        raw(record_id=None),
    )
    assert [finding["count"] for finding in found] == [5]


def test_the_newest_event_speaks() -> None:
    long = "x" * 3000
    found = findings(
        at(1, ErrorCode="new 0x80072f8f", MessageText="old"),
        at(3, ErrorCode="newest 0x80072f8f", MessageText=long),
        at(2, ErrorCode="older 0x80072f8f"),
    )
    assert found[0]["error"] is not None
    assert (found[0]["error"]["text"], found[0]["message"]) == ("newest", "x" * 2000)


def test_at_most_five_contexts() -> None:
    found = findings(*(at(number, Context=f"INTRA\\user{number}") for number in range(9)))
    assert found[0]["contexts"] == [f"INTRA\\user{number}" for number in range(5)]


def test_an_event_that_can_not_be_read_is_counted() -> None:
    found = findings({"computer": "A", "message": "?"}, {"computer": "A", "message": "!"}, {})
    assert [(finding["host"], finding["cause"], finding["count"]) for finding in found] == [
        (None, "unknown", 1),
        ("A", "unknown", 2),
    ]
    assert found[1]["endpoint"] is None
    assert found[1]["error"] is None


def test_evidence_is_that_of_the_host() -> None:
    evidence = {
        "client1": {"endpoints": [probed("intercepted")]},
        "client2": {"endpoints": [], "profiles": [], "aik": None},
    }
    hosts = {"client1": {"name": "CLIENT1"}, "client2": {"name": "CLIENT2"}}
    events = [at(1, computer=f"CLIENT{number}") for number in (1, 2, 3)]
    found = findings(*events, hosts=hosts, evidence=evidence)
    assert [(finding["host"], finding["cause"], finding["certainty"]) for finding in found] == [
        ("client1", "tls_intercepted", "proven"),
        ("client2", "tls_failure", "possible"),
        ("CLIENT3", "tls_failure", "possible"),
    ]
    assert found[0]["evidence"][1:] == [
        {"source": "evidence", "path": "evidence.endpoint.ok", "value": False},
        {"source": "evidence", "path": "evidence.endpoint.failed_step", "value": "tls"},
        {"source": "evidence", "path": "evidence.endpoint.failure", "value": "intercepted"},
        {"source": "evidence", "path": "evidence.endpoint.detail", "value": "The detail of intercepted."},
    ]
    assert [len(finding["evidence"]) for finding in found] == [5, 1, 1]


@pytest.mark.parametrize(
    ("url", "probed_url", "fits"),
    [
        (NDES, NDES, True),
        (NDES, NDES.upper().replace("HTTPS", "https"), True),
        (NDES.replace(".de/", ".de:443/"), NDES, True),
        (NDES, NDES.replace("pkiclient.exe", "other.exe"), True),
        (NDES, NDES.replace(".de/", ".de:8443/"), False),
        (NDES.replace(".de/", ".de:8443/"), NDES.replace(".de/", ".de:8443/"), True),
        (NDES.replace("https", "http"), NDES, False),
        (NDES, NDES.replace("ndes01", "ndes02"), False),
        (NDES.replace(".de/", ".de./"), NDES, True),
        (None, NDES, False),
    ],
)
def test_evidence_is_that_of_the_endpoint(url: str | None, probed_url: str, fits: bool) -> None:
    found = findings(at(1, Url=url), evidence={COMPUTER: {"endpoints": [probed("untrusted_root", url=probed_url)]}})
    assert found[0]["cause"] == ("tls_untrusted" if fits else "tls_failure")


def test_of_two_urls_of_a_server_the_one_with_the_path_counts() -> None:
    other = probed("not_found", step="http", url=NDES.replace("pkiclient.exe", "other.exe"))
    for endpoints in ([other, probed("expired")], [probed("expired"), other]):
        assert findings(at(1), evidence={COMPUTER: {"endpoints": endpoints}})[0]["cause"] == "tls_expired"


ANSWERS = (
    "A probe from this host gets the right answers from this endpoint now. Whether enrolment works again, only the next"
    " enrolment shows."
)


@pytest.mark.parametrize(
    ("events", "probe", "notes"),
    [
        ([at(1)], probed(None), [ANSWERS]),
        ([at(1), at(2, 88)], probed(None), []),
        ([at(1)], probed("untrusted_root"), []),
        (
            [at(1, ErrorCode=NOT_RESOLVED)],
            probed("untrusted_root"),
            [
                "A probe from this host does not bear out what the event says, it failed otherwise: The detail of"
                " untrusted_root."
            ],
        ),
        ([at(1, ErrorCode=NOT_RESOLVED), at(2, 88)], probed("untrusted_root"), []),
        (
            [at(1)],
            probed("probe_failed", step="connect"),
            [
                "The probe of this endpoint failed itself, so it says nothing about the server: The detail of"
                " probe_failed."
            ],
        ),
        (
            [at(1)],
            probed("revoked", "untrusted_root"),
            ["The server's certificate has more than one fault (revoked, untrusted_root), and all have to be mended."],
        ),
        (
            [at(1)],
            {**probed("reset", step="http"), "detail": None},
            [],
        ),
    ],
)
def test_what_a_probe_adds_in_words(events: list[dict[str, Any]], probe: Any, notes: list[str]) -> None:
    assert findings(*events, evidence={COMPUTER: {"endpoints": [probe]}})[0]["notes"] == notes


EMPTY_TLS: dict[str, Any] = {"failures": [], "built": [], "presented": []}


@pytest.mark.parametrize(
    ("evidence", "message"),
    [
        ({"A": []}, None),
        ({"A": [1]}, "the evidence of A can't be used: it must be a dict with endpoints, profiles and aik, not list"),
        ({"A": {"tls": {}}}, "the evidence of A can't be used: unknown key 'tls'; known are aik, endpoints, profiles"),
        ({"A": {"endpoints": {"x": 1}}}, "the evidence of A can't be used: endpoints must be a list of dicts"),
        ({"A": {"profiles": ["x"]}}, "the evidence of A can't be used: profiles must be a list of dicts"),
        ({"A": {"aik": "x"}}, "the evidence of A can't be used: aik must be a dict, not str"),
        (
            {"A": {"endpoints": [{**probed("expired"), "ok": "no"}]}},
            "the evidence of A can't be used: an endpoint has no usable ok",
        ),
        (
            {"A": {"endpoints": [{**probed("expired"), "tls": {"failures": "expired"}}]}},
            "the evidence of A can't be used: an endpoint has no usable tls.failures",
        ),
        (
            {"A": {"endpoints": [{**probed("expired"), "tls": {"failures": [], "built": ["x"]}}]}},
            "the evidence of A can't be used: an endpoint has no usable tls.built",
        ),
        (
            {"A": {"endpoints": [{**probed("expired"), "tls": {**EMPTY_TLS, "presented": [{"sha256": "x"}]}}]}},
            "the evidence of A can't be used: an endpoint has no usable tls.presented",
        ),
        (
            {"A": {"endpoints": [{**probed("expired"), "ca_certificates": ["x"]}]}},
            "the evidence of A can't be used: an endpoint has no usable ca_certificates",
        ),
        (
            {"A": {"endpoints": [{**probed("expired"), "tls": {**EMPTY_TLS, "missing_issuer": "x"}}]}},
            "the evidence of A can't be used: an endpoint has no usable tls.missing_issuer",
        ),
        (
            {"A": {"profiles": [{"source": "mdm", "path": "x", "urls": [5], "name": None, "ca_thumbprint": None}]}},
            "the evidence of A can't be used: a profile has no usable urls",
        ),
        (
            {"A": {"profiles": [{"source": "mdm", "urls": []}]}},
            "the evidence of A can't be used: a profile has no usable path",
        ),
        ({"A": {"aik": {"had_success": "no"}}}, "the evidence of A can't be used: aik has no usable had_success"),
        ({"A": None, "B": {}}, None),
    ],
)
def test_evidence_of_another_shape(evidence: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert len(findings(at(1), evidence=evidence)) == 1
        return
    with pytest.raises(EvidenceError) as refused:
        findings(at(1), evidence=evidence)
    assert str(refused.value) == message


def test_findings_share_nothing() -> None:
    """A caller may change one without changing another."""
    found = findings(at(1), at(1, computer="CLIENT2"), at(2, ErrorCode="x 0x80072f8f", computer="CLIENT3"))
    before = json.dumps(found[1:])
    finding = cast(dict[str, Any], found[0])
    for value in finding.values():
        if isinstance(value, dict):
            value.clear()
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    item.clear()
            value.clear()
    assert json.dumps(found[1:]) == before
    assert findings(at(1))[0]["remedies"]


@pytest.mark.parametrize("event", [raw(), "x", 5, None, {"endpoint": None}])
def test_what_is_no_parsed_event_is_named(event: Any) -> None:
    events = [*parse_events([cast(RawEvent, raw())]), cast(Event, event)]
    with pytest.raises(
        NotParsedError, match=r"^element 1 is not a parsed event: put the raw events through parse_events"
    ):
        classify_events(events, load_rules())
