"""What the writer of test files writes, as two independent readers see it: evtx (Rust) and python-evtx.

python-evtx reads instances of templates only, so of forwarded events it checks the frame.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from evtx import PyEvtxParser

from tests.unit.evtx_writer import Event, write

# python-evtx has no types, and where the linters run it is not installed.
Evtx = importlib.import_module("Evtx.Evtx").Evtx

NAMED = Event(
    record_id=41,
    time="2026-03-02T07:15:00.1234567Z",
    data=(("Context", "INTRA\\rudi"), ("Url", "https://ndes01.example/?a=1&b=<2>"), ("MessageText", "Größe\r\n日本")),
    computer="client1.corp.example",
    user_sid="S-1-5-21-1004336348-1177238915-682003330-512",
    activity_id="{1F5DF8FF-1979-0001-3B0A-9A1F7919D401}",
    process_id=1428,
    thread_id=9176,
)
UNNAMED = Event(event_id=87, record_id=42, data=((None, "first"), (None, "second")), binary=b"\x01\xff", level=3)
PLAIN = Event(event_id=1000, record_id=43, provider="Vendor", guid=None, source=None, qualifiers=None, channel="System")
USER_DATA = Event(record_id=44, user_data=("EventXML", (("User", "CORP\\a"), ("Session", "2"))))
FORWARDED = Event(
    record_id=4711,
    number=45,
    time="2026-03-02T07:15:00.1234567Z",
    written="2026-03-02T07:16:30.5000000Z",
    data=(("Context", "CORP\\b"), (None, "no name"), ("Url", "")),
    rendering=(("Culture", "de-DE"), ("Message", "Fehler & Ende"), ("Level", "Fehler")),
    user_sid="S-1-5-18",
    forwarded=True,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evtx") / "all.evtx"
    write(path, [NAMED, UNNAMED, PLAIN, USER_DATA, FORWARDED], records_per_chunk=3)
    return path


def rust_json(path: Path) -> list[Any]:
    records: Iterable[Any] = PyEvtxParser(str(path), indent=False).records_json()
    return [json.loads(record["data"])["Event"] for record in records]


def rust_xml(path: Path) -> list[str]:
    records: Iterable[Any] = PyEvtxParser(str(path), indent=False).records()
    return [record["data"] for record in records]


def rust_numbers(path: Path) -> list[tuple[int, str]]:
    records: Iterable[Any] = PyEvtxParser(str(path), validate_checksums=True).records()
    return [(record["event_record_id"], record["timestamp"]) for record in records]


def test_rust_sees_each_record_with_its_number_and_time_in_chunks_with_valid_checksums(path: Path) -> None:
    assert rust_numbers(path) == [
        (41, "2026-03-02T07:15:00.1234567Z UTC"),
        (42, "2026-03-02T07:15:00.1234567Z UTC"),
        (43, "2026-03-02T07:15:00.1234567Z UTC"),
        (44, "2026-03-02T07:15:00.1234567Z UTC"),
        (45, "2026-03-02T07:16:30.5Z UTC"),
    ]


def test_rust_sees_all_of_system(path: Path) -> None:
    assert rust_json(path)[0]["System"] == {
        "Provider": {
            "#attributes": {
                "Name": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
                "Guid": "{54164045-7C50-4905-963F-E5BC1EEF0CCA}",
                "EventSourceName": "CertEnroll",
            }
        },
        "EventID": {"#attributes": {"Qualifiers": 49754}, "#text": 86},
        "Version": 0,
        "Level": 2,
        "Task": 0,
        "Opcode": 0,
        "Keywords": "0x80000000000000",
        "TimeCreated": {"#attributes": {"SystemTime": "2026-03-02T07:15:00.123456Z"}},
        "EventRecordID": 41,
        "Correlation": {"#attributes": {"ActivityID": "1F5DF8FF-1979-0001-3B0A-9A1F7919D401"}},
        "Execution": {"#attributes": {"ProcessID": 1428, "ThreadID": 9176}},
        "Channel": "Application",
        "Computer": "client1.corp.example",
        "Security": {"#attributes": {"UserID": "S-1-5-21-1004336348-1177238915-682003330-512"}},
    }


@pytest.mark.parametrize(
    ("index", "body"),
    [
        (0, {"Context": "INTRA\\rudi", "Url": "https://ndes01.example/?a=1&b=<2>", "MessageText": "Größe\r\n日本"}),
        (1, {"Data": {"#text": ["first", "second"]}, "Binary": "01FF"}),
        (2, None),
    ],
)
def test_rust_sees_the_event_data(path: Path, index: int, body: object) -> None:
    assert rust_json(path)[index]["EventData"] == body


def test_rust_sees_user_data(path: Path) -> None:
    inner = {"#attributes": {"xmlns": "Event_NS"}, "User": "CORP\\a", "Session": "2"}
    assert rust_json(path)[3]["UserData"] == {"EventXML": inner}


def test_rust_sees_what_is_left_out_as_empty(path: Path) -> None:
    system = rust_json(path)[2]["System"]
    assert (system["Provider"], system["EventID"], system["Correlation"], system["Security"]) == (
        {"#attributes": {"Name": "Vendor"}},
        1000,
        None,
        None,
    )


def test_rust_sees_a_forwarded_event_as_it_was_spelled_out(path: Path) -> None:
    xml = rust_xml(path)[4]
    assert xml[xml.index("<TimeCreated") :] == (
        '<TimeCreated SystemTime="2026-03-02T07:15:00.1234567Z"></TimeCreated><EventRecordID>4711</EventRecordID>'
        '<Correlation></Correlation><Execution ProcessID="0" ThreadID="0"></Execution><Channel>Application</Channel>'
        '<Computer>client1.corp.example</Computer><Security UserID="S-1-5-18"></Security></System><EventData>'
        '<Data Name="Context">CORP\\b</Data><Data>no name</Data><Data Name="Url"></Data></EventData>'
        '<RenderingInfo Culture="de-DE"><Message>Fehler &amp; Ende</Message><Level>Fehler</Level></RenderingInfo>'
        "</Event>"
    )


def test_python_evtx_accepts_the_headers_and_checksums(path: Path) -> None:
    with Evtx(str(path)) as log:
        header = log.get_file_header()
        assert (header.verify(), header.is_dirty(), header.chunk_count(), header.next_record_number()) == (
            True,
            False,
            2,
            46,
        )
        assert [chunk.verify() for chunk in header.chunks()] == [True, True]
        assert [(record.record_num(), record.verify()) for record in log.records()] == [
            (41, True),
            (42, True),
            (43, True),
            (44, True),
            (45, True),
        ]


def test_python_evtx_finds_names_and_templates_in_the_tables_of_the_chunk(path: Path) -> None:
    with Evtx(str(path)) as log:
        first = next(iter(log.get_file_header().chunks()))
        names = {node.string() for node in first.strings().values()}
        assert {"Event", "System", "Provider", "Data", "Binary", "Name", "UserID"} <= names
        # Named and unnamed events of the provider, the plain provider's, and the bodies with three fields and none.
        assert len(first.templates()) == 5


def test_python_evtx_reads_the_same_texts(path: Path) -> None:
    with Evtx(str(path)) as log:
        xml = next(iter(log.records())).xml()
    for part in (
        '<Provider Name="Microsoft-Windows-CertificateServicesClient-CertEnroll" '
        'Guid="{54164045-7C50-4905-963F-E5BC1EEF0CCA}" EventSourceName="CertEnroll">',
        '<EventID Qualifiers="49754">86</EventID>',
        "<EventRecordID>41</EventRecordID>",
        '<Correlation ActivityID="{1f5df8ff-1979-0001-3b0a-9a1f7919d401}">',
        '<Execution ProcessID="1428" ThreadID="9176">',
        '<Security UserID="S-1-5-21-1004336348-1177238915-682003330-512">',
        '<Data Name="Context">INTRA\\rudi</Data>',
        '<Data Name="Url">https://ndes01.example/?a=1&amp;b=&lt;2&gt;</Data>',
        '<Data Name="MessageText">Gr&#246;&#223;e\r\n&#26085;&#26412;</Data>',
    ):
        assert part in xml


@pytest.mark.parametrize(
    ("number", "part"),
    [
        # An array of strings, each as python-evtx shows it.
        (42, "<Data>&lt;string&gt;first&lt;/string&gt;\n&lt;string&gt;second&lt;/string&gt;\n</Data>"),
        (43, '<Provider Name="Vendor"></Provider>'),
        (44, '<UserData><EventXML xmlns="Event_NS"><User>CORP\\a</User>\n<Session>2</Session>'),
    ],
)
def test_python_evtx_reads_the_other_forms(path: Path, number: int, part: str) -> None:
    with Evtx(str(path)) as log:
        assert part in log.get_record(number).xml()


def test_a_full_chunk_is_followed_by_another(tmp_path: Path) -> None:
    path = tmp_path / "many.evtx"
    write(path, [Event(record_id=number, data=(("Context", "x" * 1000),)) for number in range(1, 101)])
    assert path.stat().st_size == 4096 + 4 * 65536
    assert [number for number, _unused in rust_numbers(path)] == list(range(1, 101))
    with Evtx(str(path)) as log:
        assert [chunk.verify() for chunk in log.get_file_header().chunks()] == [True] * 4
        assert [record.record_num() for record in log.records()] == list(range(1, 101))


def test_a_dirty_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "dirty.evtx"
    write(path, [Event()], dirty=True)
    with Evtx(str(path)) as log:
        assert log.get_file_header().is_dirty()
        assert log.get_file_header().verify()
