"""Events that Windows' tools exported as XML, to raw events."""

from __future__ import annotations

import io

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils import xml_file
from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import (
    DocumentTypeError,
    EncodingError,
    LogFileError,
    NotAnExportError,
    Problem,
)

ALL = Selection([86, 87, 88])
PROVIDER = "Microsoft-Windows-CertificateServicesClient-CertEnroll"
NDES = (
    "<Data Name='Context'>INTRA\\rudi</Data>"
    "<Data Name='Url'>https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe</Data>"
    "<Data Name='MessageText'>GetCACaps</Data><Data Name='Method'>GET(47ms)</Data><Data Name='Stage'>GetCACaps</Data>"
    "<Data Name='ErrorCode'>A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)</Data>"
)
DECLARATION = '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\r\n'


def element(record_id: int = 1, data: str = NDES, event_id: int = 86, provider: str = PROVIDER, more: str = "") -> str:
    """An event as wevtutil writes it."""
    return (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
        f"<Provider Name='{provider}' Guid='{{54164045-7C50-4905-963F-E5BC1EEF0CCA}}' EventSourceName='CertEnroll'/>"
        f"<EventID Qualifiers='49754'>{event_id}</EventID><Version>0</Version><Level>2</Level><Task>0</Task>"
        "<Opcode>0</Opcode><Keywords>0x80000000000000</Keywords>"
        f"<TimeCreated SystemTime='2026-03-02T07:15:00.1234567Z'/><EventRecordID>{record_id}</EventRecordID>"
        "<Correlation/><Execution ProcessID='0' ThreadID='0'/><Channel>Application</Channel>"
        f"<Computer>client1.intra.adcslabor.de</Computer><Security UserID='S-1-5-18'/></System>"
        f"<EventData>{data}</EventData>{more}</Event>"
    )


def read(
    data: bytes | str, encoding: str | None = None, ids: tuple[int, ...] = (86, 87, 88)
) -> list[RawEvent | Problem]:
    raw = data.encode() if isinstance(data, str) else data
    return list(xml_file.read_xml(io.BytesIO(raw), Selection(ids), encoding))


def numbers(data: bytes | str, encoding: str | None = None) -> list[int | None]:
    return [item["record_id"] for item in read(data, encoding) if not isinstance(item, Problem)]


def problems(data: bytes | str) -> list[Problem]:
    return [item for item in read(data) if isinstance(item, Problem)]


def only(data: bytes | str) -> RawEvent:
    (item,) = read(data)
    assert not isinstance(item, Problem)
    return item


def test_an_event_with_all_its_fields() -> None:
    assert read(element(4711)) == [
        {
            "record_id": 4711,
            "event_id": 86,
            "log": "Application",
            "computer": "client1.intra.adcslabor.de",
            "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
            "level": 2,
            "time_created": "2026-03-02T07:15:00.1234567Z",
            "user_sid": "S-1-5-18",
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
    ]


@pytest.mark.parametrize(
    "text",
    [
        element(1) + element(2),
        element(1) + "\r\n" + element(2) + "\r\n",
        f"<Events>{element(1)}{element(2)}</Events>",
        f"{DECLARATION}<Events>{element(1)}{element(2)}</Events>",
        f"{DECLARATION}<!-- exported --><Events>\r\n  {element(1)}\r\n  {element(2)}\r\n</Events>\r\n",
        f"Record 1\n{DECLARATION}{element(1)}\nRecord 2\n{DECLARATION}{element(2)}\n",
        (element(1) + element(2)).replace("'", '"').replace("/>", " />"),
        (element(1) + element(2)).replace("><", ">\r\n    <"),
        (element(1) + element(2)).replace(" Guid", "\r\n   Guid"),
    ],
)
def test_the_ways_in_which_events_are_put_together(text: str) -> None:
    first, second = read(text)
    assert not isinstance(first, Problem)
    assert not isinstance(second, Problem)
    assert (first["record_id"], second["record_id"], first["data"]["Method"]) == (1, 2, "GET(47ms)")


@pytest.mark.parametrize(
    "data",
    [
        element(data="<Data Name='Context'>Größe · 登録 · \U0001f600</Data>").encode("utf-8"),
        element(data="<Data Name='Context'>Größe · 登録 · \U0001f600</Data>").encode("utf-8-sig"),
        element(data="<Data Name='Context'>Größe · 登録 · \U0001f600</Data>").encode("utf-16"),
        element(data="<Data Name='Context'>Größe · 登録 · \U0001f600</Data>").encode("utf-16-le"),
        element(data="<Data Name='Context'>Größe · 登録 · \U0001f600</Data>").encode("utf-16-be"),
        b"\xfe\xff" + element(data="<Data Name='Context'>Größe · 登録 · \U0001f600</Data>").encode("utf-16-be"),
        (
            DECLARATION.replace("utf-8", "utf-16")
            + element(data="<Data Name='Context'>Größe · 登録 · \U0001f600</Data>")
        ).encode("utf-16"),
        # Saved by a tool that left the declaration as it was.
        (
            DECLARATION.replace("utf-8", "UTF-16")
            + element(data="<Data Name='Context'>Größe · 登録 · \U0001f600</Data>")
        ).encode(),
    ],
)
def test_encodings(data: bytes) -> None:
    assert only(data)["data"] == {"Context": "Größe · 登録 · \U0001f600"}


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (element(data="<Data Name='Context'>Größe für</Data>").encode("cp850"), "cp850"),
        (element(data="<Data Name='Context'>Größe für</Data>").encode("utf-16-le"), "cp850"),
        (
            (
                DECLARATION.replace("utf-8", "windows-1252") + element(data="<Data Name='Context'>Größe für</Data>")
            ).encode("cp1252"),
            None,
        ),
        (element(data="<Data Name='Context'>Größe für</Data>").encode("utf-8-sig"), "cp850"),
    ],
)
def test_the_option_encoding_is_for_files_that_do_not_say(data: bytes, encoding: str | None) -> None:
    (event,) = read(data, encoding)
    assert not isinstance(event, Problem)
    assert event["data"] == {"Context": "Größe für"}


def test_what_can_not_be_decoded_is_counted() -> None:
    first = element(1, "<Data Name='Context'>für Größe</Data>").encode("cp850")
    assert read(first + element(2, provider="Größe").encode("cp850")) == [
        {**only(element(1, "<Data Name='Context'>f\ufffdr Gr\ufffd\ufffde</Data>"))},
        Problem("", "3 places in its events are not utf-8, set the option encoding to what they are"),
    ]


@pytest.mark.parametrize("name", ["no-such-encoding", "rot13", "zlib", "undefined"])
def test_an_encoding_that_is_none(name: str) -> None:
    with pytest.raises(EncodingError) as raised:
        read(DECLARATION.replace("utf-8", name) + element())
    assert str(raised.value) == f"is in the encoding '{name}', which Python does not know"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("&lt;b&gt;&amp;amp; &quot;q&quot; &apos;a&apos;&lt;/b&gt; {{ 7*7 }}", "<b>&amp; \"q\" 'a'</b> {{ 7*7 }}"),
        ("one&#13;&#10;two&#xD;&#xa;three", "one\r\ntwo\r\nthree"),
        ("one\r\ntwo\nthree\rfour\r\n", "one\r\ntwo\nthree\rfour\r\n"),
        ("raw \x01\x08\x0b\x0c\x1b[31m\x1f\x00 end", "raw \x01\x08\x0b\x0c\x1b[31m\x1f\x00 end"),
        ("reference &#x1;&#8;&#x1B;[31m&#x1f;&#0; end", "reference \x01\x08\x1b[31m\x1f\x00 end"),
        ("&#x1;\r\n", "\x01\r\n"),
        ("&#xD83D; &#xFFFE; &#xFFFFFFFF; &#x1F600;", "\ufffd \ufffd \ufffd \U0001f600"),
        ("<![CDATA[<Event> </Event> &amp; ]]>", "<Event> </Event> &amp; "),
        ("a<!-- </Event> -->b", "ab"),
        ("", ""),
        ("  ", "  "),
    ],
)
def test_a_text_is_what_windows_meant(written: str, text: str) -> None:
    event = only(element(data=f"<Data Name='Url'>{written}</Data><Data>{written}</Data>"))
    assert (event["data"], event["values"]) == ({"Url": text}, [text])


@pytest.mark.parametrize(
    ("data", "fields", "values"),
    [
        ("<Data>a</Data><Data></Data><Data/><Data>d</Data><Binary>0102</Binary>", {}, ["a", "", "", "d"]),
        ("<Data Name='Context'>a</Data><Data>b</Data><Data Name=''>c</Data>", {"Context": "a"}, ["b", "c"]),
        ("<Data Name='Context'/><Data Name='Other'>b</Data>", {"Context": ""}, None),
        ("<Data Name='Url'>first</Data><Data Name='Url'>second</Data>", {"Url": "first"}, None),
        ("", {}, None),
    ],
)
def test_fields_by_name_and_values_without(data: str, fields: dict[str, str], values: list[str] | None) -> None:
    event = only(element(data=data))
    assert (event["data"], event.get("values")) == (fields, values)


@pytest.mark.parametrize(
    ("found", "normal"),
    [
        ("2026-03-02T07:15:00.123456700Z", "2026-03-02T07:15:00.1234567Z"),
        ("2026-03-02T07:15:00.123Z", "2026-03-02T07:15:00.1230000Z"),
        ("2026-03-02T07:15:00Z", "2026-03-02T07:15:00.0000000Z"),
        ("yesterday", None),
    ],
)
def test_times_have_seven_decimals(found: str, normal: str | None) -> None:
    assert only(element().replace("2026-03-02T07:15:00.1234567Z", found))["time_created"] == normal


def test_an_event_with_little_in_it_has_null_for_the_rest() -> None:
    text = f"<Event><System><Provider Name='{PROVIDER}'/><EventID>88</EventID><Level>x</Level></System></Event>"
    assert read(text) == [
        {
            "record_id": None,
            "event_id": 88,
            "log": None,
            "computer": None,
            "provider": PROVIDER,
            "level": None,
            "time_created": None,
            "user_sid": None,
            "data": {},
            "message": None,
        }
    ]


def test_the_rendered_text_is_the_message() -> None:
    more = (
        "<RenderingInfo Culture='de-DE'><Message>Fehler bei der Initialisierung&#13;&#10;Größe</Message>"
        "<Level>Fehler</Level><Channel>Anwendung</Channel><Keywords><Keyword>Klassisch</Keyword></Keywords></RenderingInfo>"
    )
    event = only(element(more=more))
    assert (event["message"], event["level"], event["log"]) == (
        "Fehler bei der Initialisierung\r\nGröße",
        2,
        "Application",
    )


def test_other_events_are_left_out() -> None:
    text = "".join(
        [
            element(1, provider="Vendor"),
            element(2, event_id=85),
            element(3, event_id=88),
            element(4, provider="Vendor", data=f"<Data>{PROVIDER}</Data>"),
            element(5, provider=f"{PROVIDER}2"),
            element(6, event_id=89),
        ]
    )
    assert numbers(text) == [3]
    assert [item["record_id"] for item in read(text, ids=(85, 89)) if not isinstance(item, Problem)] == [2, 6]


def test_what_is_called_event_inside_user_data_is_no_event() -> None:
    inner = f"<UserData><EventXML>{element(2)}</EventXML></UserData>"
    outer = element(1, provider="Vendor").replace("<EventData>", f"{inner}<EventData>")
    assert read(outer + element(3)) == read(element(3))


@pytest.mark.parametrize(
    ("text", "found", "named"),
    [
        (element(1) + element(2).replace("</EventID>", "") + element(3), [1, 3], "event 2 (record 2)"),
        (element(1) + element(2, "<Data Name='Url'>&undefined;</Data>") + element(3), [1, 3], "event 2 (record 2)"),
        (element(1) + element(2, "<Data>a < b</Data>") + element(3), [1, 3], "event 2 (record 2)"),
        (element(1) + element(2).replace(">86</EventID>", "></EventID>") + element(3), [1, 3], "event 2 (record 2)"),
        (element(1) + element(2)[:700] + element(3), [1, 3], "event 2 (record 2)"),
        (element(1) + element(2)[:700], [1], "event 2 (record 2)"),
        (element(1) + element(2)[:200] + element(3)[:60] + element(4), [1, 4], "event 2"),
    ],
)
def test_a_damaged_event_does_not_touch_the_others(text: str, found: list[int], named: str) -> None:
    assert numbers(text) == found
    assert problems(text)[0].place == named


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (element().replace("</EventID>", ""), "it can't be read: mismatched tag"),
        (element(data="<Data>&undefined;</Data>"), "it can't be read: undefined entity"),
        (element()[:-3], "its end is missing"),
        (element() + "<!-- a comment that goes on", "after it, a comment or CDATA section has no end"),
        (f"<Event><System><Provider Name='{PROVIDER}'/></System></Event>", "it can't be read: it has no EventID"),
    ],
)
def test_what_is_said_of_a_damaged_event(text: str, reason: str) -> None:
    assert [problem.reason for problem in problems(text)] == [reason]


def test_an_event_that_is_cut_off_in_its_user_data_hides_none_behind_it() -> None:
    cut = element(1, provider="Vendor").replace("<EventData>", "<UserData><X>")[:560] + "<UserData><X>"
    for last, reason in (
        (20, "its end is missing"),
        (3000, "its end is missing, or more than 2,097,152 characters away"),
    ):
        text = cut + "".join(element(number) for number in range(2, last))
        assert numbers(text) == list(range(2, last))
        assert problems(text) == [Problem("event 1 (record 1)", reason)]


def test_events_are_found_wherever_a_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"<Events>{element(1)}<!-- <Event> -->\r\n{element(2, '<Data><![CDATA[</Event>]]></Data>')}</Events>"
    for size in range(1, 40):
        monkeypatch.setattr(xml_file, "_BLOCK", size)
        assert numbers(text) == [1, 2], size


def test_a_file_that_is_cut_off_within_a_character() -> None:
    data = (element(1) + element(2)).encode("utf-16-le")
    assert numbers(data[:-1]) == [1]
    assert problems(data[:-1]) == [Problem("event 2 (record 2)", "its end is missing")]
    assert numbers(data + b"\0") == [1, 2]


ENTITIES = (
    '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">'
)


@pytest.mark.parametrize(
    "text",
    [
        f"<!DOCTYPE Events [{ENTITIES}]><Events>{element(1, '<Data>&c;</Data>')}</Events>",
        f'{DECLARATION}<!DOCTYPE Events [<!ENTITY x SYSTEM "file:///etc/passwd">]>{element(1, "<Data>&x;</Data>")}',
        f'<!DOCTYPE Events SYSTEM "http://127.0.0.1:9/x.dtd"><Events>{element(1)}</Events>',
        f"{element(1)}<!DOCTYPE Events []>{element(2)}",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused(text: str, encoding: str) -> None:
    with pytest.raises(DocumentTypeError) as raised:
        read(text.encode(encoding))
    assert str(raised.value) == (
        "has a document type declaration (DOCTYPE), which no export of Windows has: it is not read"
    )


def test_a_document_type_inside_an_event_declares_nothing() -> None:
    text = element(1, f"<Data><!DOCTYPE Data [{ENTITIES}]>&c;</Data>") + element(2)
    assert numbers(text) == [2]
    assert problems(text)[0].place == "event 1 (record 1)"


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04 not xml at all",
        b"<html><body>Event</body></html>",
        b"<EventData/>",
        b"\0" * 5000,
    ],
)
def test_a_file_without_events_that_is_no_export(data: bytes) -> None:
    with pytest.raises(NotAnExportError) as raised:
        read(data)
    assert str(raised.value) == "is neither an event log (.evtx) nor events as XML"
    assert isinstance(raised.value, LogFileError)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"\xef\xbb\xbf", b"  \r\n", b"\xff\xfe\r\0\n\0"])
def test_an_empty_export(data: bytes) -> None:
    assert read(data) == [Problem("", "is empty")]


@pytest.mark.parametrize("text", ["<Events></Events>", "<Events/>", f"{DECLARATION}<Events />"])
def test_an_export_without_events(text: str) -> None:
    assert read(text) == []
