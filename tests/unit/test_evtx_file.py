"""Event log files to raw events."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection
from ansible_collections.winpki.scep.plugins.plugin_utils.event_xml import parse_event
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import MissingLibraryError
from evtx import PyEvtxParser

from tests.unit.binxml import CHUNK_SIZE
from tests.unit.evtx_reading import FIELDS, NDES, log, many, named, numbers, read, unnamed
from tests.unit.evtx_writer import FILE_HEADER_SIZE, Event, write


def test_an_event_with_all_its_fields(tmp_path: Path) -> None:
    data = log(
        tmp_path,
        Event(
            record_id=4711,
            time="2026-03-02T07:15:00.1234567Z",
            data=named(*NDES),
            computer="client1.intra.adcslabor.de",
            user_sid="S-1-5-21-1-2-3-1104",
        ),
    )
    assert read(data) == (
        [
            {
                "record_id": 4711,
                "event_id": 86,
                "log": "Application",
                "computer": "client1.intra.adcslabor.de",
                "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
                "level": 2,
                "time_created": "2026-03-02T07:15:00.1234567Z",
                "user_sid": "S-1-5-21-1-2-3-1104",
                "data": {
                    "Context": "INTRA\\rudi",
                    "Url": "https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe",
                    "MessageText": "GetCACaps",
                    "Method": "GET(47ms)",
                    "Stage": "GetCACaps",
                    "ErrorCode": "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)",
                },
                "message": None,
            }
        ],
        [],
    )


def test_a_forwarded_event_keeps_its_own_record_id_log_time_and_text(tmp_path: Path) -> None:
    data = log(
        tmp_path,
        Event(
            event_id=87,
            record_id=4711,
            number=3,
            time="2026-03-02T07:15:00.123456700Z",
            written="2026-03-02T09:00:00Z",
            data=named("CORP\\PC7$", "http://ndes01.corp.example/x"),
            computer="pc7.corp.example",
            rendering=(
                ("Culture", "de-DE"),
                ("Message", "Fehler bei der SCEP-Zertifikatregistrierung"),
                ("Level", "Fehler"),
            ),
            forwarded=True,
        ),
    )
    (event,), problems = read(data)
    assert problems == []
    assert event == {
        "record_id": 4711,
        "event_id": 87,
        "log": "Application",
        "computer": "pc7.corp.example",
        "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
        "level": 2,
        "time_created": "2026-03-02T07:15:00.1234567Z",
        "user_sid": None,
        "data": {"Context": "CORP\\PC7$", "Url": "http://ndes01.corp.example/x"},
        "message": "Fehler bei der SCEP-Zertifikatregistrierung",
    }


@pytest.mark.parametrize("forwarded", [False, True])
@pytest.mark.parametrize(
    ("data", "fields", "values"),
    [
        (unnamed(*NDES), {}, list(NDES)),
        (unnamed("one"), {}, ["one"]),
        (unnamed("", "b", "", "d", ""), {}, ["", "b", "", "d", ""]),
        ((), {}, None),
        (named("a", "", "c"), {"Context": "a", "Url": "", "MessageText": "c"}, None),
        (named(*NDES[:5]), dict(zip(FIELDS[:5], NDES[:5], strict=True)), None),
        ((("Context", "a"), ("Other", "b"), ("Url", "c")), {"Context": "a", "Url": "c"}, None),
        ((("Context", "first"), ("Context", "second")), {"Context": "first"}, None),
        ((("Other", "a"),), {}, None),
        ((("Data", "a field of that name"),), {}, None),
    ],
)
def test_fields_by_name_and_values_without(
    tmp_path: Path,
    data: tuple[tuple[str | None, str], ...],
    fields: dict[str, str],
    values: list[str] | None,
    *,
    forwarded: bool,
) -> None:
    (event,), problems = read(log(tmp_path, Event(data=data, binary=b"\x01\x02", forwarded=forwarded)))
    assert (event["data"], event.get("values"), problems) == (fields, values, [])


@pytest.mark.parametrize("forwarded", [False, True])
@pytest.mark.parametrize("unnamed_data", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "<b>&amp; \"quoted\" 'text'</b> ]]> <!-- --> {{ 7*7 }} $(1) %s",
        "line\r\nline\nline\rline\r\n",
        "  spaces\tand tabs ",
        "control \x01\x08\x0b\x0c\x1b[31m\x1f\x7f\x85",
        "Größe · Registrierung · Сбой · 登録 · \U0001f600 · \u202e \ufffd",
        "x" * 20000,
    ],
)
def test_a_text_is_what_is_in_the_file(tmp_path: Path, text: str, *, unnamed_data: bool, forwarded: bool) -> None:
    data = unnamed("a", text) if unnamed_data else named("a", text)
    (event,), problems = read(log(tmp_path, Event(data=data, forwarded=forwarded)))
    got = event["values"][1] if unnamed_data else event["data"]["Url"]
    assert (got, problems) == (text, [])


@pytest.mark.parametrize("name", ["Context", "Other"])
def test_values_beside_names_are_kept(tmp_path: Path, name: str) -> None:
    data: tuple[tuple[str | None, str], ...] = ((None, "u"), (name, "a"), (None, "v"))
    (event,), _unused = read(log(tmp_path, Event(data=data, forwarded=True)))
    assert event.get("values") == ["u", "v"]


@pytest.mark.parametrize(
    ("time", "written", "expected"),
    [
        ("2026-03-02T07:15:00.1234567Z", None, "2026-03-02T07:15:00.1234567Z"),
        ("2026-03-02T07:15:00Z", None, "2026-03-02T07:15:00.0000000Z"),
        ("2026-03-02T07:15:00.0000009Z", None, "2026-03-02T07:15:00.0000009Z"),
        # The record's own time is another one: the seventh decimal of the event's time is in no output of the library.
        ("2026-03-02T07:15:00.1234567Z", "2026-03-02T08:00:00.9999999Z", "2026-03-02T07:15:00.1234560Z"),
    ],
)
def test_times_have_seven_decimals(tmp_path: Path, time: str, written: str | None, expected: str) -> None:
    (event,), _unused = read(log(tmp_path, Event(time=time, written=written)))
    assert event["time_created"] == expected


def test_other_events_are_left_out(tmp_path: Path) -> None:
    data = log(
        tmp_path,
        Event(record_id=1, provider="Vendor", data=named(*NDES)),
        Event(record_id=2, event_id=85),
        Event(record_id=3, event_id=86),
        Event(record_id=4, event_id=87),
        Event(record_id=5, event_id=88, level=4),
        Event(record_id=6, event_id=89),
        Event(record_id=7, provider="Microsoft-Windows-CertificateServicesClient-CertEnroll-Other"),
        Event(record_id=8, provider="Vendor", data=named("Microsoft-Windows-CertificateServicesClient-CertEnroll")),
    )
    assert numbers(data) == [3, 4, 5]
    assert [event["record_id"] for event in read(data, Selection([87, 89]))[0]] == [4, 6]


@pytest.mark.parametrize("every", [1, 2, 7, 100])
def test_wanted_events_among_others_over_several_chunks(tmp_path: Path, every: int) -> None:
    events = [
        Event(record_id=number, data=named(*NDES))
        if number % every == 0
        else Event(record_id=number, provider=f"Vendor {number % 3}", data=unnamed("x" * (number % 50)))
        for number in range(1, 601)
    ]
    data = log(tmp_path, *events)
    assert len(data) > FILE_HEADER_SIZE + CHUNK_SIZE
    assert numbers(data) == [number for number in range(1, 601) if number % every == 0]


def test_the_same_as_the_librarys_own_xml(tmp_path: Path) -> None:
    events = [
        Event(record_id=1, data=named(*NDES), user_sid="S-1-5-18"),
        Event(record_id=2, data=named(*NDES[:5]), event_id=88, level=4),
        Event(record_id=3, data=unnamed(*NDES)),
        Event(record_id=4, data=named("only\r\none")),
        Event(
            record_id=5,
            data=named(*NDES),
            forwarded=True,
            rendering=(("Message", "text"),),
            time="2026-03-02T07:15:00Z",
        ),
        Event(record_id=6, user_data=("EventXML", (("Event", "x"),))),
        Event(record_id=7, data=(("Context", "a"), (None, "b")), forwarded=True),
    ]
    data = log(tmp_path, *events)
    library: Iterable[Any] = PyEvtxParser(io.BytesIO(data), indent=False).records()
    expected = [parse_event(record["data"]) for record in library]
    for event in expected:
        # The library's XML has six decimals.
        event["time_created"] = str(event["time_created"]).replace("1234560Z", "1234567Z")
    assert read(data) == (expected, [])


def test_without_the_library_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    path = tmp_path / "log.evtx"
    write(path, many(1))
    code = f"""
import io, sys
sys.modules["evtx"] = None
from ansible_collections.winpki.scep.plugins.plugin_utils.event_file import Selection, read_log
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import {MissingLibraryError.__name__}
from pathlib import Path
try:
    read_log(Path(sys.argv[1]), Selection([86]))
except MissingLibraryError as error:
    print(error)
xml = Path(sys.argv[1]).with_suffix(".xml")
xml.write_text("<Event><System><Provider Name='Microsoft-Windows-CertificateServicesClient-CertEnroll'/>"
               "<EventID>86</EventID></System></Event>")
print(len(read_log(xml, Selection([86])).events))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.splitlines() == [
        "needs the Python library evtx on the controller: pip install evtx "
        "(import of evtx halted; None in sys.modules)",
        "1",
    ]
