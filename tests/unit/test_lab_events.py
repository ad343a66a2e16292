"""What the lab writes into a host's folder."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.lab.events import background, event86, event87, event88, forwarded, interleaved, line, rendered, stamp
from tests.lab.host import LogConfig, host_time, write_host, write_log, write_log_file

NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, timezone.utc)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text("ascii").splitlines()]


def test_event_86_as_the_log_wants_it() -> None:
    assert line(event86(7, NOON, context="INTRA\\rudi", computer="PC1", user=None)) == (
        '{"provider":"Microsoft-Windows-CertificateServicesClient-CertEnroll","id":86,"record":7,'
        '"time":"2026-11-20T12:00:00.1234560Z","level":2,"computer":"PC1",'
        '"guid":"{54164045-7C50-4905-963F-E5BC1EEF0CCA}","sourceName":"CertEnroll","qualifiers":49754,"version":0,'
        '"task":0,"opcode":0,"keywords":"0x80000000000000","channel":"Application","data":[["Context","INTRA\\\\rudi"],'
        '["Url","https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe"],'
        '["MessageText","GetCACaps"],["Method","GET(47ms)"],["Stage","GetCACaps"],["ErrorCode",'
        '"A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"]]}'
    )


def test_event_87_and_88() -> None:
    refused, done = event87(1, NOON), event88(2, NOON)
    assert (refused["id"], refused["level"], refused["qualifiers"], len(refused["data"])) == (87, 2, 49754, 6)
    assert (done["id"], done["level"], done["qualifiers"], len(done["data"])) == (88, 4, 16986, 5)


def test_classic_event() -> None:
    event = event86(1, NOON, named=False, binary="0A0B", url=None)
    assert event["data"][:3] == [[None, "WORKGROUP\\CLIENT1$"], [None, None], [None, "GetCACaps"]]
    assert event["binary"] == "0A0B"


@pytest.mark.parametrize(
    ("language", "first", "last"),
    [
        ("en-US", "SCEP Certificate enrollment initialization for A via B failed:", "Stage: E\r\nF"),
        ("de-DE", "Fehler bei der Initialisierung der SCEP-Zertifikatregistrierung für A über B:", "Phase: E\r\nF"),
    ],
)
def test_rendered_text(language: str, first: str, last: str) -> None:
    event = event86(
        1, NOON, context="A", url="B", message_text="C\r\n", method="D", stage="E", error_code="F", user=None
    )
    text = rendered(event, language)
    assert text.startswith(f"{first}\r\n\r\nC\r\n\r\nMethod")
    assert text.endswith(last)
    assert rendered(event88(1, NOON), language).count("\r\n") == 5


def test_forwarded_event() -> None:
    event = event86(71, NOON, computer="pc7.example")
    plain, full = forwarded(event, 3), forwarded(event, 4, language="de-DE")
    assert (plain["record"], plain["logRecord"], "rendering" in plain) == (71, 3, False)
    assert (full["logRecord"], full["rendering"]["culture"], full["rendering"]["level"]) == (4, "de-DE", "Fehler")
    assert full["rendering"]["message"] == rendered(event, "de-DE")
    assert "logRecord" not in event


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), "2026-01-02T03:04:05.0000000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 67, timezone(timedelta(hours=9))), "2026-01-01T18:04:05.0000670Z"),
    ],
)
def test_stamp(moment: datetime, text: str) -> None:
    assert stamp(moment) == text


def test_background_is_what_json_would_write() -> None:
    found = list(background(3, NOON, NOON + timedelta(seconds=2), first_record=10, computer='P"C'))
    assert [json.loads(text)["record"] for text in found] == [10, 11, 12]
    assert json.loads(found[1])["time"] == "2026-11-20T12:00:01.1234560Z"
    for text in found:
        assert text == line(json.loads(text))


def test_big_log(tmp_path: Path) -> None:
    folder = write_host(tmp_path / "h", "PC1")
    own = [event86(0, NOON)] * 1000
    write_log(folder, interleaved(100_000, NOON, own, span=timedelta(days=30)))
    found = lines(folder / "eventlogs" / "Application.jsonl")
    mine = [event for event in found if event["id"] == 86]
    assert (len(found), len(mine), found[0]["record"], found[-1]["record"]) == (100_000, 1000, 1, 100_000)
    assert [event["record"] for event in found] == list(range(1, 100_001))
    assert (found[0]["time"], found[-1]["time"]) == ("2026-10-21T12:00:00.1234560Z", "2026-11-20T12:00:00.1234560Z")
    assert [event["time"] for event in found] == sorted(event["time"] for event in found)
    assert all(event["data"][0] == ["Context", "WORKGROUP\\CLIENT1$"] for event in mine)


def test_host_folder(tmp_path: Path) -> None:
    folder = write_host(
        tmp_path / "a" / "b",
        "KIOSK03",
        language="de-DE",
        time_zone="Europe/Berlin",
        clock_seconds=-7200,
        started=timedelta(hours=3),
        environment={"LAB": "x=y"},
        no_publisher=True,
    )
    assert (folder / "hostname").read_text() == "KIOSK03\n"
    assert (folder / "environment").read_text() == "TZ=Europe/Berlin\nLAB=x=y\n"
    assert (folder / "clock").read_text() == "-7200\n"
    assert json.loads((folder / "eventlogs" / "_host.json").read_text()) == {"language": "de-DE", "noPublisher": True}
    system = json.loads((folder / "cim" / "root_cimv2" / "Win32_OperatingSystem.json").read_text())["Instances"][0]
    started = datetime.fromisoformat(system["LastBootUpTime"])
    assert abs(host_time() - started - timedelta(hours=5)) < timedelta(minutes=1)
    assert (system["OSLanguage"], system["MUILanguages"]) == (1031, ["de-DE"])


def test_plain_host_has_the_right_clock(tmp_path: Path) -> None:
    assert not (write_host(tmp_path, "PC1") / "clock").exists()
    assert (tmp_path / "environment").read_text() == ""


def test_log_and_its_configuration(tmp_path: Path) -> None:
    folder = write_host(tmp_path, "PC1")
    config = LogConfig(enabled=False, maximum_size=1048576, oldest_record=500, read_error=(3, 15011), missing=None)
    write_log(folder, [event86(1, NOON, message_text="ä\ud800")], log="A-B/Operational", config=config)
    assert lines(folder / "eventlogs" / "A-B%4Operational.jsonl")[0]["data"][2] == ["MessageText", "ä\ud800"]
    path = folder / "eventlogs" / "A-B%4Operational.config.json"
    assert json.loads(path.read_text()) == {
        "enabled": False,
        "maximumSize": 1048576,
        "oldestRecordNumber": 500,
        "readError": {"after": 3, "code": 15011},
    }
    write_log(folder, [], log="A-B/Operational")
    assert not path.exists()


def test_log_file_on_the_hosts_disk(tmp_path: Path) -> None:
    write_log_file(tmp_path, "C:\\Logs\\old.evtx", [event86(5, NOON)])
    assert lines(tmp_path / "drive_c" / "Logs" / "old.evtx")[0]["record"] == 5
