"""The options of the module event_info, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.integration.event_info_host import Host, event_info
from tests.lab.engine import Engine
from tests.lab.events import PROVIDER, Event, enrolment_event, event86, event87, event88, forwarded
from tests.powershell.runner import ModuleRunner

TIME = datetime(2026, 11, 20, 8, 1, 0, 123456, tzinfo=timezone.utc)
NDES = "https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe"


@pytest.fixture(scope="module")
def runner(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleRunner]:
    with event_info(engine, tmp_path_factory.mktemp("runner")) as started:
        yield started


@pytest.fixture
def host(tmp_path: Path, runner: ModuleRunner) -> Host:
    return Host(tmp_path / "client1", runner)


def minutes(*numbers: int) -> list[Event]:
    """Events with these record ids, a minute apart, the last one now."""
    now = datetime.now(timezone.utc)
    return [event86(number, now - timedelta(minutes=numbers[-1] - number)) for number in numbers]


def test_log_and_file_exclude_each_other(host: Host) -> None:
    message = host.fail_early(log_name="Application", path="C:\\Logs\\old.evtx")
    assert message == "parameters are mutually exclusive: log_name, path"


SINCE = (
    "since: '{}' is neither a duration, such as 90m, 24h, 7d or PT24H, nor an ISO 8601 time, such as "
    "2026-11-20T08:00:00Z"
)


@pytest.mark.parametrize(
    "since", ["90m", "1h30m", "5400s", "PT90M", "PT1H30M", "p0dT1h30m", " 90M ", "0w0d1h30m", "PT5400S"]
)
def test_since_a_duration(host: Host, since: str) -> None:
    host.write(*minutes(1, 3, 7, 95))  # 94, 92, 88 and no minutes ago
    assert host.ids(since=since) == [7, 95]


@pytest.mark.parametrize(("since", "found"), [("1d", [2, 3]), ("1w", [1, 2, 3]), ("999999w", [1, 2, 3]), ("0s", [])])
def test_since_long_or_short(host: Host, since: str, found: list[int]) -> None:
    now = datetime.now(timezone.utc)
    ages = (timedelta(days=2), timedelta(hours=23), timedelta(minutes=1))
    host.write(*(event86(number, now - age) for number, age in enumerate(ages, 1)))
    assert host.ids(since=since) == found


@pytest.mark.parametrize(
    "since",
    [
        "2026-11-20T08:00:30Z",
        "2026-11-20T08:00:30",
        "2026-11-20T08:00:30+00:00",
        "2026-11-20T09:00:30+01:00",
        "2026-11-20 08:00:30+00:00",
        "2026-11-20T08:00:30.000000+00:00",
        "2026-11-20T02:30:30.0000000-05:30",
    ],
)
def test_since_a_time(host: Host, since: str) -> None:
    host.write(*(event86(second, TIME.replace(minute=0, second=second, microsecond=0)) for second in (29, 30, 31)))
    assert host.ids(since=since) == [30, 31]


def test_since_a_date_is_its_start_in_utc(host: Host) -> None:
    midnight = datetime(2026, 11, 20, tzinfo=timezone.utc)
    host.write(event86(1, midnight - timedelta(microseconds=1)), event86(2, midnight))
    assert host.ids(since="2026-11-20") == [2]
    assert host.ids(since="1066-10-14") == [1, 2]


@pytest.mark.parametrize(
    "since",
    [
        *("yesterday", "90", 90, "90 minutes", "-5m", "P5M", "P1Y", "P", "PT", "P1DT", "m", "1.5h", "24h'] or *[1=1"),
        *("2026-13-01", "2026-11-20T25:00:00Z", "20.11.2026", "11/20/2026", "\u0669\u0660m"),
    ],
)
def test_since_malformed(host: Host, since: object) -> None:
    assert host.fail(since=since)["msg"] == SINCE.format(since)


def test_since_empty_is_not_set(host: Host) -> None:
    host.write(event86(7, TIME))
    assert host.ids(since="") == [7]


def test_after_record_id(host: Host) -> None:
    host.write(*(event86(number, TIME) for number in (7, 8, 9)))
    result = host.run(after_record_id=7)
    assert [event["record_id"] for event in result["events"]] == [8, 9]
    assert (result["last_record_id"], result["log"]["rolled_over"]) == (9, False)


@pytest.mark.parametrize(("after", "rolled_over"), [(5, True), (6, False), (7, False), (9, False)])
def test_after_record_id_shows_a_gap(host: Host, after: int, rolled_over: bool) -> None:
    host.write(*(event86(number, TIME) for number in (7, 8, 9)))
    assert host.run(after_record_id=after)["log"]["rolled_over"] is rolled_over


def test_nothing_new_keeps_the_place(host: Host) -> None:
    host.write(event86(9, TIME))
    result = host.run(after_record_id=9)
    assert (result["events"], result["last_record_id"]) == ([], 9)
    assert "warnings" not in result


def test_after_record_id_of_a_log_that_was_replaced(host: Host) -> None:
    host.write(event86(1, TIME))
    result = host.run(after_record_id=4711)
    assert (result["events"], result["log"]["rolled_over"]) == ([], True)
    assert result["warnings"] == [
        "after_record_id: 4711 is beyond the newest record of 'Application', so the log was replaced since; read it "
        "again without after_record_id"
    ]


def test_after_record_id_means_nothing_for_forwarded_events(host: Host) -> None:
    assert host.fail(log_name="forwardedevents", after_record_id=7)["msg"] == (
        "after_record_id: not possible for ForwardedEvents, because forwarded events keep the record ids of the hosts "
        "they come from, which repeat and jump; use since"
    )


@pytest.mark.parametrize(
    ("oldest", "since", "rolled_over"),
    [
        (1, None, False),
        (2, None, True),
        (1, "30m", False),
        (1, "90m", False),  # the log is not as old as that, and never lost an event
        (2, "30m", False),
        (2, "90m", True),
    ],
)
def test_rolled_over(host: Host, oldest: int, since: str | None, rolled_over: bool) -> None:
    host.write(event86(oldest, datetime.now(timezone.utc) - timedelta(hours=1)))
    assert host.run(since=since)["log"]["rolled_over"] is rolled_over


@pytest.mark.parametrize(
    ("ids", "found"), [([86], [1]), ([87, 88], [2, 3]), ([88, 86, 88], [1, 3]), ("86,87", [1, 2]), ([13], [])]
)
def test_event_ids(host: Host, ids: object, found: list[int]) -> None:
    host.write(event86(1, TIME), event87(2, TIME), event88(3, TIME), enrolment_event(82, 4, TIME, ()))
    assert host.ids(event_ids=ids) == found


def test_sixteen_event_ids_with_all_else_are_one_query(host: Host) -> None:
    host.write(event86(7, TIME))
    ids = [86, *range(101, 116)]
    assert host.ids(event_ids=ids, since="2026-01-01", after_record_id=1, computers=["client1"]) == [7]


@pytest.mark.parametrize("ids", [[], list(range(17)), [-1], [65536]])
def test_event_ids_out_of_range(host: Host, ids: list[int]) -> None:
    message = "event_ids: between one and 16 ids from 0 to 65535 are possible, as Windows limits a query"
    assert host.fail(event_ids=ids)["msg"] == message


def test_another_provider_is_not_read(host: Host) -> None:
    host.write(event86(1, TIME, provider="CertEnroll"), event86(2, TIME, provider=PROVIDER))
    assert host.ids() == [2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_events": 0}, "max_events: 0 is too small; it has to be 1 or more"),
        ({"after_record_id": -1}, "after_record_id: -1 is not a record id; it has to be 0 or more"),
        (
            {"log_name": ""},
            "log_name: the name is empty; name an event log, such as Application, or a log file with path",
        ),
    ],
)
def test_values_out_of_range(host: Host, options: dict[str, Any], message: str) -> None:
    assert host.fail(**options)["msg"] == message


def test_max_events_keeps_the_newest_in_log_order(host: Host) -> None:
    host.write(*(event86(number, TIME + timedelta(minutes=number)) for number in range(1, 6)))
    result = host.run(max_events=2)
    assert [event["record_id"] for event in result["events"]] == [4, 5]
    assert (result["truncated"], result["last_record_id"]) == (True, 5)
    assert (host.run(max_events=5)["truncated"], host.ids(max_events=5)) == (False, [1, 2, 3, 4, 5])


def test_more_events_than_one_batch(host: Host) -> None:
    host.write(*(event86(number, TIME) for number in range(1, 101)))
    assert host.ids() == list(range(1, 101))


@pytest.mark.parametrize(
    ("computers", "found"),
    [
        ([], [71, 5, 9, 2]),
        (["pc1.corp.example"], [71, 2]),
        (["PC1"], [71, 5, 2]),
        (["PC2"], []),
        (["pc1.corp.example", "äöü3"], [71, 9, 2]),
        (["other.example", "pc1.other.example"], [5, 2]),
        (["' or Computer='PC1.corp.example"], []),
        (["x'] or *[System['"], []),
    ],
)
def test_computers(host: Host, computers: list[str], found: list[int]) -> None:
    sources = ((71, "PC1.corp.example"), (5, "pc1.other.example"), (9, "ÄÖÜ3"), (2, "PC1"))
    host.write(
        *(forwarded(event86(n, TIME, computer=name), index) for index, (n, name) in enumerate(sources, 1)),
        log="ForwardedEvents",
    )
    assert host.ids(log_name="ForwardedEvents", computers=computers) == found


def test_max_events_counts_the_wanted_computers_only(host: Host) -> None:
    host.write(*(event86(number, TIME, computer=f"PC{number % 2}") for number in range(1, 9)))
    result = host.run(computers=["pc1"], max_events=3)
    assert [event["record_id"] for event in result["events"]] == [3, 5, 7]
    assert result["truncated"] is True


def test_group(host: Host) -> None:
    answer = "GetCACaps\r\nGetCACaps: Not Found\r\n{}\r\nHTTP/1.1 404 Not Found\r\nDate: {}\r\nContent-Length: 18\r\n"
    not_found = '{"Message":"The authority does not exist."}'
    at = [TIME + timedelta(minutes=number) for number in range(9)]
    host.write(
        event86(1, at[1], method="GET(15ms)"),
        event86(2, at[2], method="GET(1500ms)"),
        event86(3, at[3], url=NDES.upper()),
        event86(4, at[4], message_text=answer.format(not_found, "Fri, 20 Nov 2026 08:05:00 GMT")),
        event86(5, at[5], message_text=answer.format(not_found, "Fri, 20 Nov 2026 08:06:00 GMT")),
        event86(6, at[6], message_text=answer.format("no such page", "Fri, 20 Nov 2026 08:06:00 GMT")),
        event87(
            7, at[7], message_text="PkiStatus(2): failure\r\nFailInfo(3): bad time\r\nHTTP/1.1 200 OK\r\nDate: x\r\n"
        ),
        event87(8, at[8], message_text="PkiStatus(2): failure\r\nFailInfo(2): bad request\r\nHTTP/1.1 200 OK\r\n"),
    )
    result = host.run(group=True)
    stamp = "2026-11-20T08:{:02}:00.1234560Z".format
    assert [
        (event["record_id"], event["count"], event["first_seen"], event["last_seen"]) for event in result["events"]
    ] == [
        (2, 2, stamp(2), stamp(3)),
        (3, 1, stamp(4), stamp(4)),
        (5, 2, stamp(5), stamp(6)),
        (6, 1, stamp(7), stamp(7)),
        (7, 1, stamp(8), stamp(8)),
        (8, 1, stamp(9), stamp(9)),
    ]
    newest = result["events"][0]
    assert (newest["time_created"], newest["data"]["Method"]) == (stamp(3), "GET(1500ms)")
    assert (result["last_record_id"], result["truncated"]) == (8, False)


def test_group_is_by_computer_and_copes_with_any_order(host: Host) -> None:
    hours = (3, 1, 2, 5)
    names = ("PC1", "PC1", "PC1", "PC2")
    events = [
        forwarded(event86(n, TIME.replace(hour=hour), computer=name), n)
        for n, (hour, name) in enumerate(zip(hours, names, strict=True), 1)
    ]
    host.write(*events, log="ForwardedEvents")
    found = host.run(log_name="ForwardedEvents", group=True)["events"]
    assert [(e["record_id"], e["count"], e["first_seen"][11:13], e["last_seen"][11:13]) for e in found] == [
        (3, 3, "01", "03"),
        (4, 1, "05", "05"),
    ]


def test_group_of_events_without_names(host: Host) -> None:
    host.write(
        event86(1, TIME, named=False, method="GET(15ms)"),
        event86(2, TIME, named=False, method="GET(16ms)"),
        event86(3, TIME, named=False, method="GET(16ms)", stage="GetCACert"),
    )
    assert [(event["record_id"], event["count"]) for event in host.run(group=True)["events"]] == [(2, 2), (3, 1)]


def test_max_events_counts_before_folding(host: Host) -> None:
    host.write(*(event86(number, TIME) for number in range(1, 6)))
    result = host.run(group=True, max_events=3)
    assert [(event["record_id"], event["count"]) for event in result["events"]] == [(5, 3)]
    assert result["truncated"] is True


def test_unknown_option(host: Host) -> None:
    assert host.fail_early(sinse="7d").startswith("Unsupported parameters for (undefined win module) module: sinse. ")
