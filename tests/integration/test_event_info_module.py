"""The module event_info itself, on the engine without Ansible and WinRM around it: every option, every odd log."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.lab.engine import Engine
from tests.lab.events import PROVIDER, Event, enrolment_event, event86, event87, event88, forwarded
from tests.lab.host import LogConfig, write_host, write_log, write_log_file
from tests.powershell.runner import ModuleRunner

TIME = datetime(2026, 11, 20, 8, 1, 0, 123456, tzinfo=timezone.utc)
NDES = "https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe"
TLS = "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"
DATA = {
    "Context": "INTRA\\rudi",
    "Url": NDES,
    "MessageText": "GetCACaps",
    "Method": "GET(47ms)",
    "Stage": "GetCACaps",
    "ErrorCode": TLS,
}


@pytest.fixture(scope="module")
def runner(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleRunner]:
    folder = write_host(tmp_path_factory.mktemp("runner") / "client1", "CLIENT1")
    with ModuleRunner(engine, folder, "event_info", "_EventLog") as started:
        yield started


class Host:
    """A host of a test's own."""

    def __init__(self, folder: Path, runner: ModuleRunner) -> None:
        self.folder = folder
        self._runner = runner

    def write(self, *events: Event, log: str = "Application", config: LogConfig | None = None) -> None:
        write_log(self.folder, events, log=log, config=config)

    def run(self, **options: Any) -> dict[str, Any]:
        """Run the module; it has to succeed."""
        result = self._runner.run(self.folder, **options)
        assert "msg" not in result, result["msg"]
        assert result["changed"] is False
        return result

    def fail(self, **options: Any) -> dict[str, Any]:
        """Run the module; it has to fail, with all that it always returns."""
        result = self._runner.run(self.folder, **options)
        assert result["failed"] is True
        assert (result["events"], result["truncated"], result["last_record_id"]) == ([], False, None)
        return result

    def fail_early(self, **options: Any) -> str:
        """Run the module with options that Ansible refuses by itself, and return what it says."""
        result = self._runner.run(self.folder, **options)
        assert result["failed"] is True
        return str(result["msg"])

    def ids(self, **options: Any) -> list[int]:
        return [event["record_id"] for event in self.run(**options)["events"]]


@pytest.fixture
def host(tmp_path: Path, runner: ModuleRunner) -> Host:
    return Host(write_host(tmp_path / "client1", "CLIENT1"), runner)


def minutes(*numbers: int) -> list[Event]:
    """Events with these record ids, a minute apart, the last one now."""
    now = datetime.now(timezone.utc)
    return [event86(number, now - timedelta(minutes=numbers[-1] - number)) for number in numbers]


def test_an_event(host: Host) -> None:
    host.write(event86(7, TIME, context="INTRA\\rudi", user="S-1-5-21-1-2-3-1104"))
    assert host.run()["events"] == [
        {
            "record_id": 7,
            "event_id": 86,
            "log": "Application",
            "computer": "CLIENT1",
            "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
            "level": 2,
            "time_created": "2026-11-20T08:01:00.1234560Z",
            "user_sid": "S-1-5-21-1-2-3-1104",
            "data": DATA,
            "message": None,
        }
    ]


def test_success_has_five_fields_and_an_event_may_have_no_user(host: Host) -> None:
    host.write(event88(8, TIME, user=None))
    [event] = host.run()["events"]
    assert (event["event_id"], event["level"], event["user_sid"]) == (88, 4, None)
    assert sorted(event["data"]) == ["Context", "MessageText", "Method", "Stage", "Url"]
    assert "values" not in event


def test_log_and_host(host: Host) -> None:
    host.write(event86(7, TIME), event88(9, TIME + timedelta(hours=1)), config=LogConfig(file_size=69632))
    result = host.run()
    assert result["log"] == {
        "name": "Application",
        "exists": True,
        "enabled": True,
        "size": 69632,
        "maximum_size": 20971520,
        "record_count": 2,
        "oldest_record": 7,
        "oldest_time": "2026-11-20T08:01:00.1234560Z",
        "rolled_over": True,
        "note": None,
    }
    assert (result["truncated"], result["last_record_id"]) == (False, 9)
    assert sorted(result["host"]) == ["name", "start_time", "time"]
    assert result["host"]["name"] == "CLIENT1"
    age = datetime.now(timezone.utc) - datetime.fromisoformat(result["host"]["time"][:26] + "+00:00")
    assert abs(age) < timedelta(seconds=30)


def test_empty_log(host: Host) -> None:
    result = host.run()
    assert (result["events"], result["truncated"], result["last_record_id"]) == ([], False, None)
    assert [result["log"][key] for key in ("exists", "enabled", "record_count", "oldest_record", "oldest_time")] == [
        True,
        True,
        0,
        None,
        None,
    ]
    assert result["log"]["rolled_over"] is None


def test_disabled_log_is_read(host: Host) -> None:
    host.write(event86(7, TIME), config=LogConfig(enabled=False))
    result = host.run()
    assert [event["record_id"] for event in result["events"]] == [7]
    assert result["log"]["enabled"] is False


def test_disabled_log_without_a_file_is_empty(host: Host) -> None:
    host.write(log="Lab/Operational", config=LogConfig(enabled=False, open_error=2))
    result = host.run(log_name="Lab/Operational")
    assert (result["events"], result["log"]["exists"], result["log"]["enabled"]) == ([], True, False)
    assert result["log"]["note"] == (
        "the log's size and oldest record could not be read "
        "(EventLogNotFoundException 0x80070002: The system cannot find the file specified.)"
    )


NO_LOG = "log_name: this host has no event log '{}'; give the log's full name, as 'wevtutil el' lists it on the host"
NO_RIGHT = (
    "{}: no right to read '{}'; the account needs to be a member of the group Event Log Readers (S-1-5-32-573) or an "
    "administrator of the host, and to have the right to read the file where one is named"
)


@pytest.mark.parametrize("name", ["Aplication", "Application' or '1'='1", "*", "{{ 1 + 1 }}", "ä"])
def test_no_such_log(host: Host, name: str) -> None:
    result = host.fail(log_name=name)
    assert result["msg"].startswith(("log_name: this host has no event log '", "log_name: '")), result["msg"]
    assert f"'{name}'" in result["msg"]


def test_log_is_missing(host: Host) -> None:
    host.write(config=LogConfig(missing=True))
    result = host.fail()
    reason = " (EventLogNotFoundException 0x80073a9f: The specified channel could not be found.)"
    assert result["msg"] == NO_LOG.format("Application") + reason
    assert result["log"]["exists"] is False


def test_message_of_a_german_host_follows_type_and_code(host: Host) -> None:
    (host.folder / "eventlogs" / "_host.json").write_text('{"language": "de-DE"}')
    reason = " (EventLogNotFoundException 0x80073a9f: Der angegebene Kanal konnte nicht gefunden werden.)"
    assert host.fail(log_name="Aplication")["msg"] == NO_LOG.format("Aplication") + reason


def test_no_right_to_read(host: Host) -> None:
    host.write(event86(7, TIME), config=LogConfig(access_denied=True))
    result = host.fail()
    assert result["msg"].startswith(NO_RIGHT.format("log_name", "Application") + " (UnauthorizedAccessException 0x")
    assert result["log"]["enabled"] is None
    assert result["log"]["exists"] is True
    assert result["log"]["note"].startswith("the log's settings could not be read (UnauthorizedAccessException 0x")


def test_any_other_error_has_its_code(host: Host) -> None:
    host.write(event86(7, TIME), config=LogConfig(open_error=1717))
    message = "log_name: 'Application' can't be read (EventLogException 0x800706b5: The interface is unknown.)"
    assert host.fail()["msg"] == message


def test_log_file(host: Host) -> None:
    write_log_file(host.folder, "C:\\Logs\\old.evtx", [event86(7, TIME), event87(8, TIME)])
    result = host.run(path="C:\\Logs\\old.evtx")
    assert [event["record_id"] for event in result["events"]] == [7, 8]
    assert result["log"]["name"] == "C:\\Logs\\old.evtx"
    assert [result["log"][key] for key in ("enabled", "maximum_size", "rolled_over", "record_count")] == [
        None,
        None,
        None,
        2,
    ]


@pytest.mark.parametrize(
    ("path", "code"), [("C:\\Logs\\other.evtx", "0x80070002"), ("C:\\None\\old.evtx", "0x80070003")]
)
def test_no_such_file(host: Host, path: str, code: str) -> None:
    write_log_file(host.folder, "C:\\Logs\\old.evtx", [])
    result = host.fail(path=path)
    assert result["msg"].startswith(
        f"path: this host has no log file '{path}'; give the whole path of an .evtx file on the host itself "
        f"(EventLogNotFoundException {code}: "
    )
    assert result["log"]["exists"] is False


def test_file_is_no_log(host: Host) -> None:
    write_log_file(host.folder, "C:\\Logs\\old.evtx", ["no log"])
    assert host.fail(path="C:\\Logs\\old.evtx")["msg"] == (
        "path: 'C:\\Logs\\old.evtx' can't be read (EventLogException 0x800705dc: The event log file is corrupted.)"
    )


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


def test_forwarded_events(host: Host) -> None:
    events = [event86(71, TIME, computer="pc7.example"), event87(5, TIME + timedelta(1), computer="pc1.example")]
    host.write(*(forwarded(event, n) for n, event in enumerate(events, 1)), log="ForwardedEvents")
    result = host.run(log_name="ForwardedEvents")
    assert [(event["record_id"], event["computer"], event["log"]) for event in result["events"]] == [
        (71, "pc7.example", "Application"),
        (5, "pc1.example", "Application"),
    ]
    assert result["last_record_id"] is None
    assert [result["log"][key] for key in ("name", "oldest_record", "rolled_over")] == ["ForwardedEvents", 1, False]


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"language": "en-US"},
            "SCEP Certificate enrollment initialization for INTRA\\rudi via https://ndes/ failed:\r\n\r\nGetCACaps\r\n"
            f"Method: GET(47ms)\r\nStage: GetCACaps\r\n{TLS}",
        ),
        (
            {"language": "de-DE"},
            "Fehler bei der Initialisierung der SCEP-Zertifikatregistrierung für INTRA\\rudi über https://ndes/:\r\n\r\n"
            f"GetCACaps\r\nMethode: GET(47ms)\r\nPhase: GetCACaps\r\n{TLS}",
        ),
        ({"noPublisher": True}, None),
    ],
)
def test_include_message(host: Host, settings: dict[str, Any], message: str | None) -> None:
    (host.folder / "eventlogs" / "_host.json").write_text(json.dumps(settings))
    host.write(event86(7, TIME, context="INTRA\\rudi", url="https://ndes/"))
    assert [event["message"] for event in host.run(include_message=True)["events"]] == [message]
    assert [event["message"] for event in host.run(include_message=True, group=True)["events"]] == [message]


def test_values_without_names(host: Host) -> None:
    host.write(event86(7, TIME, context="INTRA\\rudi", named=False, binary="0A0B"))
    [event] = host.run()["events"]
    assert event["values"] == list(DATA.values())
    assert event["data"] == {}


def test_values_without_names_of_any_type(host: Host) -> None:
    given = [
        [None, None],
        [None, ""],
        [None, 4294967295],
        [None, {"t": "hex32", "v": "0x10"}],
        [None, {"t": "double", "v": "1.5"}],
        [None, {"t": "bool", "v": True}],
        [None, {"t": "binary", "v": "0aff"}],
        [None, {"t": "filetime", "v": "2026-11-20T08:01:00.1234567Z"}],
        [None, {"t": "sid", "v": "S-1-5-18"}],
    ]
    host.write({**event86(7, TIME), "data": given, "binary": "00"})
    assert host.run()["events"][0]["values"] == [
        "",
        "",
        "4294967295",
        "16",
        "1.5",
        "True",
        "0AFF",
        "2026-11-20T08:01:00.1234567Z",
        "S-1-5-18",
    ]


def test_fields_that_are_named_but_not_these(host: Host) -> None:
    data = [["Url", NDES], ["Other", "x"], [None, "no name"], ["Stage", None], ["Method", 47], ["", "empty name"]]
    host.write({**event86(7, TIME), "data": data})
    [event] = host.run()["events"]
    assert event["data"] == {"Url": NDES, "Stage": None, "Method": "47"}
    assert event["values"] == ["no name", "empty name"]


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"data": []},
        {"binary": "0A0B"},
        {"userData": "<Enrol xmlns='urn:x'><Data>1</Data><Url>x</Url></Enrol>"},
    ],
)
def test_no_event_data(host: Host, content: dict[str, Any]) -> None:
    event: dict[str, Any] = event86(7, TIME)
    del event["data"]
    host.write({**event, **content})
    [found] = host.run()["events"]
    assert (found["record_id"], found["data"], "values" in found) == (7, {}, False)


HOSTILE = {
    "html": "<script>alert(1)</script><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///c:/x'>]>&b;]]>",
    "jinja": "{{ lookup('pipe', 'id') }}{% raw %}{# x #}",
    "powershell": '$(Stop-Computer) `n "; ${env:x} @{a=1} #>',
    "lines": "a\r\nb\nc\rd\r\n\r\n{}\r\n",
    "control": "".join(map(chr, range(1, 32))) + "\x7f\x80\x85\x9b",
    "terminal": "\x1b[2J\x1b]0;owned\x07\x1b[31m",
    "separators": "a\u2028b\u2029c\u0085d\x1ce\x1df\x1eg\x0bh\x0c",
    "bidi": "\u202etxt.exe\u202c\u2066x\u2069\u200b\ufeff",
    "languages": "Zertifizierungsstelle über Ж 証明書 شهادة",
    "astral": "😀\U0001f600\U000e0041",
    "noncharacters": "\ufffe\uffff\ufdd0",
    "formula": "=cmd|'/c calc'!A0",
    "json": '"},{"x": "\\u0000\\"',
    "date": "/Date(1478937600000)/ 2026-11-20T08:00:00Z",
    "long": "ä" * 31_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_plain_data(host: Host, text: str) -> None:
    named = dict.fromkeys(DATA, text)
    host.write(
        enrolment_event(86, 1, TIME, [text] * 6),
        event86(2, TIME, context=text, url=text, named=False, binary="00"),
    )
    events = host.run(group=True)["events"]
    assert [events[0]["data"], events[1]["values"][:2]] == [named, [text, text]]


def test_unpaired_surrogates_become_replacement_characters(host: Host) -> None:
    text, clean = "a\ud800b\udc00\ud83d\ude00\udbff", "a\ufffdb\ufffd😀\ufffd"
    host.write(
        event86(1, TIME, context="a\ud83d", url="\ude00b", message_text=text),
        event86(2, TIME, context=text, named=False),
        event86(3, TIME, computer=text),
    )
    events = host.run(include_message=True)["events"]
    fields = [events[0]["data"][key] for key in ("Context", "Url", "MessageText", "Stage")]
    assert fields == ["a\ufffd", "\ufffdb", clean, "GetCACaps"]
    assert (events[1]["values"][0], events[2]["computer"]) == (clean, clean)
    assert clean in events[0]["message"]


def test_damaged_data_ends_the_reading_with_a_warning(host: Host) -> None:
    host.write(*(event86(number, TIME) for number in range(1, 6)), config=LogConfig(read_error=(2, 13)))
    result = host.run()
    assert [event["record_id"] for event in result["events"]] == [4, 5]
    assert result["truncated"] is True
    assert result["warnings"] == [
        "log_name: 'Application': reading stopped at damaged data, older events are missing "
        "(EventLogInvalidDataException 0x8007000d: The data is invalid.)"
    ]


def test_event_that_cannot_be_rendered_is_still_an_event(host: Host) -> None:
    bad = '{"provider":"%s","id":86,"record":2,"time":"2026-11-20T08:01:00.0Z","level":2,"computer":"PC","data":x'
    lines = [json.dumps(event86(1, TIME)), bad % PROVIDER, json.dumps(event86(3, TIME))]
    (host.folder / "eventlogs" / "Application.jsonl").write_text("".join(f"{line}\n" for line in lines))
    result = host.run()
    assert [event["record_id"] for event in result["events"]] == [1, None, 3]
    assert result["events"][1]["data"] == {}
    assert result["warnings"] == [
        "log_name: 'Application': 1 event(s) came without their fields, which could not be read"
    ]


def test_log_that_is_always_cleared_while_it_is_read(host: Host) -> None:
    host.write(*(event86(number, TIME) for number in range(1, 6)), config=LogConfig(read_error=(2, 15011)))
    assert host.fail()["msg"].startswith(
        "log_name: 'Application' was cleared or rolled over each of the 3 times that it was read; try again, with a "
        "later since or a smaller max_events (EventLogReadingException 0x80073aa3: "
    )


def test_log_that_is_cleared_once_is_read_again_from_the_start(host: Host) -> None:
    slow = LogConfig(read_error=(3, 15011), read_delay_ms=700)
    host.write(*(event86(number, TIME) for number in range(1, 5)), config=slow)
    # Two attempts of 2.1 s are in error; the log is well before the third.
    mended = threading.Timer(2.5, host.write, [event86(8, TIME), event86(9, TIME)])
    mended.start()
    try:
        found = host.ids()
    finally:
        mended.join()
    assert found == [8, 9]


def test_full_log_is_noted(host: Host) -> None:
    host.write(event86(7, TIME))
    (host.folder / "eventlogs" / "Application.config.json").write_text('{"isFull": true, "logMode": "Retain"}')
    assert host.run()["log"]["note"] == "the log is full and does not overwrite: new events are lost"


def boots(*events: tuple[str, int]) -> list[Event]:
    """Events in the log System: provider and id, an hour apart."""
    return [
        enrolment_event(id_, number, TIME.replace(hour=number), (), provider=provider, channel="System")
        for number, (provider, id_) in enumerate(events, 1)
    ]


KERNEL = "Microsoft-Windows-Kernel-Boot"


@pytest.mark.parametrize(
    ("system", "start_time"),
    [
        (boots((KERNEL, 27), (KERNEL, 27), (KERNEL, 20), ("Other", 27)), "2026-11-20T02:01:00.1234560Z"),
        (boots(("Other", 27)), "2026-10-01T06:00:00.0000000Z"),
        ([], "2026-10-01T06:00:00.0000000Z"),
    ],
)
def test_start_time(host: Host, system: list[Event], start_time: str) -> None:
    path = host.folder / "cim" / "root_cimv2" / "Win32_OperatingSystem.json"
    operating_system = json.loads(path.read_text())
    operating_system["Instances"][0]["LastBootUpTime"] = "2026-10-01T06:00:00Z"
    path.write_text(json.dumps(operating_system))
    host.write(*system, log="System")
    assert host.run()["host"]["start_time"] == start_time


def test_start_time_that_cannot_be_read(host: Host) -> None:
    path = host.folder / "cim" / "root_cimv2" / "Win32_OperatingSystem.json"
    path.write_text('{"Deny": ["read"]}')
    host.write(log="System", config=LogConfig(access_denied=True))
    assert host.run()["host"]["start_time"] is None


def test_name_has_the_primary_dns_suffix(host: Host) -> None:
    key = "SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters"
    values = {"Domain": {"kind": "String", "data": "intra.adcslabor.de"}}
    path = host.folder / "registry" / "HKLM.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"format": 1, "last_id": 1, "keys": {key: {"id": 1, "values": values}}}))
    assert host.run()["host"]["name"] == "CLIENT1.intra.adcslabor.de"


def test_unknown_option(host: Host) -> None:
    assert host.fail_early(sinse="7d").startswith("Unsupported parameters for (undefined win module) module: sinse. ")
