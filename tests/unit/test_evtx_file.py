"""Event log files to raw events."""

from __future__ import annotations

import hashlib
import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils import evtx_file
from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection
from ansible_collections.winpki.scep.plugins.plugin_utils.event_xml import parse_event
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import MissingLibraryError, Problem
from evtx import PyEvtxParser

from tests.unit.evtx_writer import CHUNK_SIZE, FILE_HEADER_SIZE, Event, write

ALL = Selection([86, 87, 88])
FIELDS = ("Context", "Url", "MessageText", "Method", "Stage", "ErrorCode")
NDES = (
    "INTRA\\rudi",
    "https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe",
    "GetCACaps",
    "GET(47ms)",
    "GetCACaps",
    "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)",
)


def named(*texts: str) -> tuple[tuple[str, str], ...]:
    return tuple(zip(FIELDS, texts, strict=False))


def unnamed(*texts: str) -> tuple[tuple[None, str], ...]:
    return tuple((None, text) for text in texts)


def log(tmp_path: Path, *events: Event, records_per_chunk: int = 0, dirty: bool = False) -> bytearray:
    path = tmp_path / "log.evtx"
    write(path, events, records_per_chunk=records_per_chunk, dirty=dirty)
    return bytearray(path.read_bytes())


def read(data: bytes | bytearray, selection: Selection = ALL) -> tuple[list[RawEvent], list[Problem]]:
    events: list[RawEvent] = []
    problems: list[Problem] = []
    for item in evtx_file.read_evtx(io.BytesIO(data), selection):
        if isinstance(item, Problem):
            problems.append(item)
        else:
            events.append(item)
    return events, problems


def numbers(data: bytes | bytearray) -> list[int | None]:
    return [event["record_id"] for event in read(data)[0]]


def many(count: int, **others: Any) -> list[Event]:
    return [Event(record_id=number, data=named(*NDES), **others) for number in range(1, count + 1)]


def record_starts(data: bytes | bytearray, chunk: int = 0) -> list[int]:
    start = FILE_HEADER_SIZE + chunk * CHUNK_SIZE + 512
    starts = []
    while data[start : start + 4] == b"**\0\0":
        starts.append(start)
        start += int.from_bytes(data[start + 4 : start + 8], "little")
    return starts


def seal(data: bytearray, chunk: int = 0) -> None:
    """Makes the chunk's checksums right again."""
    start = FILE_HEADER_SIZE + chunk * CHUNK_SIZE
    free = int.from_bytes(data[start + 48 : start + 52], "little")
    struct.pack_into("<I", data, start + 52, zlib.crc32(data[start + 512 : start + free]))
    checksum = zlib.crc32(data[start + 128 : start + 512], zlib.crc32(data[start : start + 120]))
    struct.pack_into("<I", data, start + 124, checksum)


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
    (event,), _ = read(log(tmp_path, Event(data=data, forwarded=True)))
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
    (event,), _ = read(log(tmp_path, Event(time=time, written=written)))
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


def test_a_file_without_events(tmp_path: Path) -> None:
    assert read(log(tmp_path)) == ([], [])


def test_chunks_that_were_never_used_are_no_damage(tmp_path: Path) -> None:
    data = log(tmp_path, *many(2)) + bytes(3 * CHUNK_SIZE)
    assert (numbers(data), read(data)[1]) == ([1, 2], [])


def test_what_lies_behind_the_used_chunks_is_not_read(tmp_path: Path) -> None:
    data = log(tmp_path, *many(4), records_per_chunk=2)
    rest = data[FILE_HEADER_SIZE:]
    rest[:8] = rest[CHUNK_SIZE : CHUNK_SIZE + 8] = b"leftover"
    assert read(data + rest) == read(data)


def test_a_log_of_a_running_windows_may_have_more_chunks_than_its_header_says(tmp_path: Path) -> None:
    data = log(tmp_path, *many(6), records_per_chunk=2, dirty=True)
    struct.pack_into("<H", data, 42, 1)
    struct.pack_into("<I", data, 124, zlib.crc32(data[:120]))
    data[FILE_HEADER_SIZE + CHUNK_SIZE] = 0
    assert numbers(data) == [1, 2, 3, 4, 5, 6]
    assert [problem.place for problem in read(data)[1]] == ["", "chunk 1 (at byte 69632)"]


def test_overwritten_records_behind_the_last_one_are_not_read(tmp_path: Path) -> None:
    data = log(tmp_path, *many(3))
    last = record_starts(data)[2] - FILE_HEADER_SIZE
    struct.pack_into("<I", data, FILE_HEADER_SIZE + 48, last)
    seal(data)
    assert (numbers(data), read(data)[1]) == ([1, 2], [])


def test_what_looks_like_a_record_inside_a_record_is_not_read(tmp_path: Path) -> None:
    inner = log(tmp_path, *many(1, forwarded=True))
    start = record_starts(inner)[0]
    forged = bytes(inner[start : start + int.from_bytes(inner[start + 4 : start + 8], "little")])
    data = log(tmp_path, Event(record_id=1, provider="Vendor", data=unnamed("x"), binary=forged), *many(2)[1:])
    assert (numbers(data), read(data)[1]) == ([2], [])


def test_a_log_of_a_running_windows_is_read_and_named(tmp_path: Path) -> None:
    data = log(tmp_path, *many(2), dirty=True)
    assert numbers(data) == [1, 2]
    assert read(data)[1] == [Problem("", "Windows had it open when it was copied: its newest events may be missing")]


def test_a_damaged_file_header_hides_nothing(tmp_path: Path) -> None:
    data = log(tmp_path, *many(2))
    data[:100] = bytes(100)
    assert evtx_file.is_evtx(io.BytesIO(data))
    assert numbers(data) == [1, 2]
    assert read(data)[1] == [Problem("file header", "it is damaged; the events were read without it")]


def test_a_damaged_chunk_does_not_touch_the_others(tmp_path: Path) -> None:
    data = log(tmp_path, *many(9), records_per_chunk=3)
    middle = FILE_HEADER_SIZE + CHUNK_SIZE
    data[middle : middle + CHUNK_SIZE] = b"\xaa" * CHUNK_SIZE
    assert numbers(data) == [1, 2, 3, 7, 8, 9]
    assert read(data)[1] == [
        Problem(
            "chunk 1 (at byte 69632)", "it has no header; 0 events were read from it, others may be missing or altered"
        )
    ]


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (0, "it has no header"),
        (60, "its header does not match its checksum"),
        (200, "its header does not match its checksum"),
        (40000, ""),
    ],
)
def test_a_damaged_chunk_header_hides_nothing(tmp_path: Path, offset: int, reason: str) -> None:
    data = log(tmp_path, *many(3))
    data[FILE_HEADER_SIZE + offset] ^= 0xFF
    problem = Problem(
        "chunk 0 (at byte 4096)", f"{reason}; 3 events were read from it, others may be missing or altered"
    )
    assert (numbers(data), read(data)[1]) == ([1, 2, 3], [problem] if reason else [])


def test_a_broken_table_of_names_hides_nothing(tmp_path: Path) -> None:
    data = log(tmp_path, *many(3))
    data[FILE_HEADER_SIZE + 128 : FILE_HEADER_SIZE + 512] = b"\xff" * 384
    seal(data)
    assert (numbers(data), read(data)[1]) == ([1, 2, 3], [])


@pytest.mark.parametrize("size", [b"\0\0\0\0", b"\x05\0\0\0", b"\xff\xff\0\0", b"\xff\xff\xff\xff"])
def test_a_broken_record_does_not_hide_those_behind_it(tmp_path: Path, size: bytes) -> None:
    data = log(tmp_path, *many(5))
    start = record_starts(data)[2]
    data[start + 4 : start + 8] = size
    assert numbers(data) == [1, 2, 4, 5]
    assert read(data)[1] == [
        Problem(
            "chunk 0 (at byte 4096)",
            "its events do not match their checksum; 4 events were read from it, others may be missing or altered",
        )
    ]


def test_a_record_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    data = log(tmp_path, *many(3, forwarded=True))
    data[record_starts(data)[1] + 28] = 0x7F
    seal(data)
    assert numbers(data) == [1, 3]
    assert read(data)[1] == [Problem("chunk 0 (at byte 4096), record 2", "it can't be read: its structure is damaged")]


@pytest.mark.parametrize("kept", [FILE_HEADER_SIZE + CHUNK_SIZE + 3000, FILE_HEADER_SIZE + CHUNK_SIZE + 513])
def test_a_file_that_is_cut_off(tmp_path: Path, kept: int) -> None:
    data = log(tmp_path, *many(6, forwarded=True), records_per_chunk=3)[:kept]
    events, problems = read(data)
    found = len(events) - 3
    assert [event["record_id"] for event in events] == [1, 2, 3, 4, 5, 6][: 3 + found]
    assert problems == [
        Problem(
            "chunk 1 (at byte 69632)",
            f"the file is cut off here; {found} events were read from it, others may be missing or altered",
        )
    ]
    assert found == (1 if kept == FILE_HEADER_SIZE + CHUNK_SIZE + 3000 else 0)


@pytest.mark.parametrize("kept", [0, 1])
def test_a_file_that_is_cut_off_between_chunks(tmp_path: Path, kept: int) -> None:
    data = log(tmp_path, *many(6), records_per_chunk=3)[: FILE_HEADER_SIZE + kept * CHUNK_SIZE]
    assert numbers(data) == [1, 2, 3][: 3 * kept]
    assert read(data)[1] == [Problem("", f"it is cut off: it has {kept} of 2 chunks")]


def test_a_file_that_is_cut_off_within_its_header(tmp_path: Path) -> None:
    assert read(log(tmp_path, *many(1))[:100]) == ([], [Problem("file header", "it is cut off")])


def test_a_file_without_checksums_is_no_damage(tmp_path: Path) -> None:
    data = log(tmp_path, *many(2))
    struct.pack_into("<II", data, 120, 4, 0)
    struct.pack_into("<I", data, FILE_HEADER_SIZE + 52, 0)
    struct.pack_into("<II", data, FILE_HEADER_SIZE + 120, 4, 0)
    assert (numbers(data), read(data)[1]) == ([1, 2], [])


def test_no_damage_is_an_exception_or_makes_up_a_record(tmp_path: Path) -> None:
    whole = log(tmp_path, *many(4), *[Event(record_id=5, data=unnamed("a", "b")), *many(7, forwarded=True)[5:]])
    end = record_starts(whole)[-1] + 1000
    for attempt in range(300):
        data = bytearray(whole)
        places = hashlib.shake_128(str(attempt).encode()).digest(3 * (1, 5, 50)[attempt % 3])
        for high, low, value in zip(*[iter(places)] * 3, strict=True):
            data[(high * 256 + low) * end // 65536] = value
        assert len(read(data)[0]) <= 7


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
