"""Writes small .evtx files for tests and examples, as no public one holds the events that this project reads.

The format of the file: libevtx, "Windows XML Event Log (EVTX) format". An event is stored in the one of three forms
that Windows would take:

- manifest: an instance of a template, with a second template for its named Data;
- classic: an instance of a template that repeats Data, without names, over an array of strings;
- forwarded: spelled out without a template, as the collector of Windows Event Forwarding stores what it is sent.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

from tests.unit.binxml import (
    BINARY,
    BINXML,
    FILETIME,
    GUID_TYPE,
    HEX64,
    NULL,
    SID,
    STRING,
    STRING_ARRAY,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    Chunk,
    ChunkFullError,
    Element,
    Instance,
    Substitution,
    Template,
    Value,
    define,
    utf16,
)

PROVIDER = "Microsoft-Windows-CertificateServicesClient-CertEnroll"
GUID = "{54164045-7C50-4905-963F-E5BC1EEF0CCA}"
NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"
FILE_HEADER_SIZE = 4096


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        data: (name, text) pairs; the name is None for a Data element without one.
        time: of the event, ISO 8601 UTC with at most seven fractional digits, such as `2026-03-02T07:15:00.1234567Z`.
        written: when the event was written to this log, where that is another time (forwarded events).
        number: the record's number in this file; that of `record_id` by default (forwarded events keep their source's).
        binary: the Binary element of a classic event.
        user_data: UserData instead of EventData: the name of its element, and the (name, text) pairs in it.
        rendering: RenderingInfo: (name, text) pairs, of which Culture becomes the attribute. Forwarded events only.
        forwarded: stored without a template.
    """

    event_id: int = 86
    record_id: int = 1
    time: str = "2026-03-02T07:15:00.1234567Z"
    data: tuple[tuple[str | None, str], ...] = ()
    computer: str = "client1.corp.example"
    channel: str = "Application"
    provider: str = PROVIDER
    guid: str | None = GUID
    source: str | None = "CertEnroll"
    qualifiers: int | None = 49754
    version: int = 0
    level: int = 2
    task: int = 0
    opcode: int = 0
    keywords: int = 0x80000000000000
    activity_id: str | None = None
    process_id: int = 0
    thread_id: int = 0
    user_sid: str | None = None
    binary: bytes = b""
    user_data: tuple[str, tuple[tuple[str, str], ...]] | None = None
    rendering: tuple[tuple[str, str], ...] = ()
    forwarded: bool = False
    written: str | None = None
    number: int | None = None


def filetime(time: str) -> int:
    """Convert `YYYY-MM-DDTHH:MM:SS[.fffffff]Z` to 100 ns steps since 1601-01-01 UTC."""
    seconds, _unused, fraction = time.rstrip("Z").partition(".")
    moment = datetime.fromisoformat(seconds).replace(tzinfo=timezone.utc)
    since = moment - datetime(1601, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86400 + since.seconds) * 10**7 + int(fraction.ljust(7, "0")[:7] or 0)


def _sid(text: str) -> bytes:
    _unused, revision, authority, *parts = text.split("-")
    head = struct.pack(">BBHI", int(revision), len(parts), *divmod(int(authority), 2**32))
    return head + b"".join(struct.pack("<I", int(part)) for part in parts)


def _named(*pairs: tuple[str, str | Substitution | None]) -> tuple[tuple[str, str | Substitution], ...]:
    return tuple((name, text) for name, text in pairs if text is not None)


def _leaf(name: str, text: str | Substitution | None) -> Element:
    return Element(name, children=() if text is None or text == "" else (text,))


# The types of the fields of System, in the order of _system, and whether the field can be left out.
_FIELDS = (
    (UINT16, True),
    (UINT16, False),
    (UINT8, False),
    (UINT8, False),
    (UINT16, False),
    (UINT8, False),
    (HEX64, False),
    (FILETIME, False),
    (UINT64, False),
    (GUID_TYPE, True),
    (UINT32, False),
    (UINT32, False),
    (STRING, False),
    (STRING, False),
    (SID, True),
)


@cache
def _event_template(provider: str, guid: str | None, source: str | None, *, classic: bool) -> Template:
    system = _system(
        _named(("Name", provider), ("Guid", guid), ("EventSourceName", source)),
        [Substitution(index, kind, optional) for index, (kind, optional) in enumerate(_FIELDS)],
    )
    following = len(_FIELDS)
    body: Element | Substitution = Substitution(following, BINXML)
    if classic:
        body = Element(
            "EventData",
            children=(
                _leaf("Data", Substitution(following, STRING_ARRAY)),
                _leaf("Binary", Substitution(following + 1, BINARY, optional=True)),
            ),
        )
    return define(Element("Event", (("xmlns", NAMESPACE),), (system, body)))


@cache
def _data_template(names: tuple[str, ...]) -> Template:
    places = [Substitution(index, STRING) for index in range(len(names))]
    return define(_event_data(list(zip(names, places, strict=True))))


@cache
def _user_data_template(wrapper: str, names: tuple[str, ...]) -> Template:
    places = [Substitution(index, STRING) for index in range(len(names))]
    return define(_user_data(wrapper, list(zip(names, places, strict=True))))


def _templated(event: Event) -> Instance:
    """Give the event as an instance of its template."""
    values = [
        Value(NULL) if event.qualifiers is None else Value(UINT16, struct.pack("<H", event.qualifiers)),
        Value(UINT16, struct.pack("<H", event.event_id)),
        Value(UINT8, bytes([event.version])),
        Value(UINT8, bytes([event.level])),
        Value(UINT16, struct.pack("<H", event.task)),
        Value(UINT8, bytes([event.opcode])),
        Value(HEX64, struct.pack("<Q", event.keywords)),
        Value(FILETIME, struct.pack("<Q", filetime(event.time))),
        Value(UINT64, struct.pack("<Q", event.record_id)),
        Value(NULL) if event.activity_id is None else Value(GUID_TYPE, uuid.UUID(event.activity_id).bytes_le),
        Value(UINT32, struct.pack("<I", event.process_id)),
        Value(UINT32, struct.pack("<I", event.thread_id)),
        Value(STRING, utf16(event.channel)),
        Value(STRING, utf16(event.computer)),
        Value(NULL) if event.user_sid is None else Value(SID, _sid(event.user_sid)),
    ]
    names = tuple(name for name, _unused in event.data if name is not None)
    classic = event.user_data is None and bool(event.data) and not names
    if classic:
        values.append(Value(STRING_ARRAY, b"".join(utf16(text) + b"\0\0" for _unused, text in event.data)))
        values.append(Value(BINARY, event.binary) if event.binary else Value(NULL))
    elif event.user_data is not None:
        wrapper, pairs = event.user_data
        template = _user_data_template(wrapper, tuple(name for name, _unused in pairs))
        values.append(Value(BINXML, Instance(template, [Value(STRING, utf16(text)) for _unused, text in pairs])))
    elif len(names) == len(event.data):
        texts = [Value(STRING, utf16(text)) for _unused, text in event.data]
        values.append(Value(BINXML, Instance(_data_template(names), texts)))
    else:
        raise ValueError("only a forwarded event can have Data with and without names")
    return Instance(_event_template(event.provider, event.guid, event.source, classic=classic), values)


def _spelled_out(event: Event) -> Element:
    """Give the whole event as elements with text."""
    system = _system(
        _named(("Name", event.provider), ("Guid", event.guid), ("EventSourceName", event.source)),
        [
            None if event.qualifiers is None else str(event.qualifiers),
            str(event.event_id),
            str(event.version),
            str(event.level),
            str(event.task),
            str(event.opcode),
            hex(event.keywords),
            event.time,
            str(event.record_id),
            event.activity_id,
            str(event.process_id),
            str(event.thread_id),
            event.channel,
            event.computer,
            event.user_sid,
        ],
    )
    body = _event_data(event.data, event.binary) if event.user_data is None else _user_data(*event.user_data)
    parts = [system, body]
    if event.rendering:
        culture = tuple(pair for pair in event.rendering if pair[0] == "Culture")
        texts = tuple(_leaf(name, text) for name, text in event.rendering if name != "Culture")
        parts.append(Element("RenderingInfo", culture, texts))
    return Element("Event", (("xmlns", NAMESPACE),), tuple(parts))


def _event_data(data: Sequence[tuple[str | None, str | Substitution]], binary: bytes = b"") -> Element:
    children = [Element("Data", _named(("Name", name)), () if text == "" else (text,)) for name, text in data]
    if binary:
        children.append(_leaf("Binary", binary.hex().upper()))
    return Element("EventData", children=tuple(children))


def _user_data(wrapper: str, pairs: Sequence[tuple[str, str | Substitution]]) -> Element:
    inner = Element(wrapper, (("xmlns", "Event_NS"),), tuple(_leaf(name, text) for name, text in pairs))
    return Element("UserData", children=(inner,))


def _system(
    provider: tuple[tuple[str, str | Substitution], ...], fields: Sequence[str | Substitution | None]
) -> Element:
    """Build the System element from its fields, each a text or a place in a template, or None if left out."""
    qualifiers, event_id, version, level, task, opcode, keywords, time, record_id = fields[:9]
    activity_id, process_id, thread_id, channel, computer, user_sid = fields[9:]
    return Element(
        "System",
        children=(
            Element("Provider", provider),
            Element("EventID", _named(("Qualifiers", qualifiers)), _leaf("", event_id).children),
            _leaf("Version", version),
            _leaf("Level", level),
            _leaf("Task", task),
            _leaf("Opcode", opcode),
            _leaf("Keywords", keywords),
            Element("TimeCreated", _named(("SystemTime", time))),
            _leaf("EventRecordID", record_id),
            Element("Correlation", _named(("ActivityID", activity_id))),
            Element("Execution", _named(("ProcessID", process_id), ("ThreadID", thread_id))),
            _leaf("Channel", channel),
            _leaf("Computer", computer),
            Element("Security", _named(("UserID", user_sid))),
        ),
    )


def _record(event: Event) -> tuple[int, int, Element | Instance]:
    number = event.record_id if event.number is None else event.number
    return number, filetime(event.written or event.time), _spelled_out(event) if event.forwarded else _templated(event)


def chunks(events: Iterable[Event], *, records_per_chunk: int = 0) -> Iterator[bytes]:
    """Yield the chunks: each is as full as can be, or holds as many records as asked for."""
    chunk = Chunk()
    for event in events:
        if records_per_chunk and len(chunk.numbers) == records_per_chunk:
            yield chunk.finish()
            chunk = Chunk()
        try:
            chunk.add(*_record(event))
        except ChunkFullError:
            if not chunk.numbers:
                raise
            yield chunk.finish()
            chunk = Chunk()
            chunk.add(*_record(event))
    if chunk.numbers:
        yield chunk.finish()


def file_header(chunk_count: int, next_record: int, *, dirty: bool = False) -> bytes:
    """Build the first 4 KiB of the file."""
    header = bytearray(FILE_HEADER_SIZE)
    last_chunk = max(chunk_count - 1, 0)
    struct.pack_into("<8sQQQ", header, 0, b"ElfFile\0", 0, last_chunk, next_record)
    struct.pack_into("<IHHHH", header, 32, 128, 1, 3, FILE_HEADER_SIZE, chunk_count & 0xFFFF)
    struct.pack_into("<II", header, 120, int(dirty), zlib.crc32(header[:120]))
    return bytes(header)


def write(path: Path, events: Iterable[Event], *, records_per_chunk: int = 0, dirty: bool = False) -> None:
    """Write the events, in this order, to a new file."""
    count, last = 0, 0
    with path.open("wb") as file:
        file.write(bytes(FILE_HEADER_SIZE))
        for data in chunks(events, records_per_chunk=records_per_chunk):
            file.write(data)
            count += 1
            (last,) = struct.unpack_from("<Q", data, 16)
        file.seek(0)
        file.write(file_header(count, last + 1, dirty=dirty))
