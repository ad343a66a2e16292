"""What the module event_info says of a log and a host, and how it copes with odd ones."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.integration.event_info_host import Host, event_info
from tests.lab.engine import Engine
from tests.lab.events import Event, enrolment_event, event86, event87, event88, forwarded
from tests.lab.host import LogConfig, write_log_file
from tests.powershell.runner import ModuleRunner

TIME = datetime(2026, 11, 20, 8, 1, 0, 123456, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def runner(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleRunner]:
    with event_info(engine, tmp_path_factory.mktemp("runner")) as started:
        yield started


@pytest.fixture
def host(tmp_path: Path, runner: ModuleRunner) -> Host:
    return Host(tmp_path / "client1", runner)


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


@pytest.mark.parametrize("name", ["Aplication", "{{ 1 + 1 }}", "ä", "Application "])
def test_no_such_log(host: Host, name: str) -> None:
    reason = " (EventLogNotFoundException 0x80073a9f: The specified channel could not be found.)"
    assert host.fail(log_name=name)["msg"] == NO_LOG.format(name) + reason


@pytest.mark.parametrize(
    "name", ["Application' or '1'='1", "*", "<Select Path='Security'>*</Select>", "a\nb", "x" * 300]
)
def test_impossible_name_of_a_log(host: Host, name: str) -> None:
    reason = " (EventLogException 0x80073a98: The specified channel path is invalid.)"
    assert host.fail(log_name=name)["msg"] == f"log_name: '{name}' can't be read" + reason


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


def test_damaged_data_ends_the_reading_with_a_warning(host: Host) -> None:
    host.write(*(event86(number, TIME) for number in range(1, 6)), config=LogConfig(read_error=(2, 13)))
    result = host.run()
    assert [event["record_id"] for event in result["events"]] == [4, 5]
    assert result["truncated"] is True
    assert result["warnings"] == [
        "log_name: 'Application': reading stopped at damaged data, older events are missing "
        "(EventLogInvalidDataException 0x8007000d: The data is invalid.)"
    ]


def test_log_that_is_always_cleared_while_it_is_read(host: Host) -> None:
    host.write(*(event86(number, TIME) for number in range(1, 6)), config=LogConfig(read_error=(2, 15011)))
    assert host.fail()["msg"].startswith(
        "log_name: 'Application' was cleared or rolled over each time that it was read; try again, with a later "
        "since or a smaller max_events (EventLogReadingException 0x80073aa3: "
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
