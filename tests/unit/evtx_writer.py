"""Writes small .evtx files for tests and examples, as no public one holds the events that this project reads.

The format: [MS-EVEN6] 2.2.12 to 2.2.17 (BinXml), and for the file around it the documentation of libevtx,
"Windows XML Event Log (EVTX) format". An event is stored in the one of three forms that Windows would take:

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

PROVIDER = "Microsoft-Windows-CertificateServicesClient-CertEnroll"
GUID = "{54164045-7C50-4905-963F-E5BC1EEF0CCA}"
NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"
CHUNK_SIZE = 65536
CHUNK_HEADER_SIZE = 512
FILE_HEADER_SIZE = 4096
FRAGMENT_HEADER = b"\x0f\x01\x01\x00"
END_OF_STREAM = b"\x00"

STRING, UINT8, UINT16, UINT32, UINT64, BINARY, GUID_TYPE, FILETIME, SID, HEX64, BINXML, STRING_ARRAY = (
    0x01, 0x04, 0x06, 0x08, 0x0A, 0x0E, 0x0F, 0x11, 0x13, 0x15, 0x21, 0x81,
)  # fmt: skip
NULL = 0x00


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


@dataclass(frozen=True)
class _Substitution:
    """A place in a template: which value goes there, of which type, and whether an empty one leaves the place out."""

    index: int
    type: int
    optional: bool = False


@dataclass(frozen=True)
class _Element:
    name: str
    attributes: tuple[tuple[str, str | _Substitution], ...] = ()
    children: tuple[_Element | str | _Substitution, ...] = ()


@dataclass(frozen=True, eq=False)
class _Template:
    """The definition of a template: a chunk holds it once."""

    element: _Element
    identity: bytes


@dataclass(frozen=True)
class _Value:
    """What goes into one place of a template: bytes, or for BinXml an instance of another template."""

    type: int
    content: bytes | _Instance = b""


@dataclass(frozen=True)
class _Instance:
    template: _Template
    values: list[_Value]


class ChunkFullError(Exception):
    """The record does not fit into what is left of the chunk."""


def filetime(time: str) -> int:
    """Convert `YYYY-MM-DDTHH:MM:SS[.fffffff]Z` to 100 ns steps since 1601-01-01 UTC."""
    seconds, _, fraction = time.rstrip("Z").partition(".")
    moment = datetime.fromisoformat(seconds).replace(tzinfo=timezone.utc)
    since = moment - datetime(1601, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86400 + since.seconds) * 10**7 + int(fraction.ljust(7, "0")[:7] or 0)


def _sid(text: str) -> bytes:
    _, revision, authority, *parts = text.split("-")
    head = struct.pack(">BBHI", int(revision), len(parts), *divmod(int(authority), 2**32))
    return head + b"".join(struct.pack("<I", int(part)) for part in parts)


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


class _Chunk:
    """One chunk of 64 KiB, filled record by record."""

    def __init__(self) -> None:
        self.buffer = bytearray(CHUNK_HEADER_SIZE)
        self.names: dict[str, int] = {}
        self.templates: dict[_Template, int] = {}
        self.numbers: list[int] = []
        self.last_record = CHUNK_HEADER_SIZE

    def add(self, event: Event) -> None:
        """Append one record, or leave the chunk as it was and raise ChunkFullError."""
        start = len(self.buffer)
        number = event.record_id if event.number is None else event.number
        self.buffer += struct.pack("<4sIQQ", b"**\0\0", 0, number, filetime(event.written or event.time))
        self.buffer += FRAGMENT_HEADER
        if event.forwarded:
            self._element(_spelled_out(event), in_template=False)
        else:
            self._instance(_templated(event))
        self.buffer += END_OF_STREAM
        self.buffer += bytes(-(len(self.buffer) + 4 - start) % 8)
        size = len(self.buffer) + 4 - start
        self.buffer += struct.pack("<I", size)
        if len(self.buffer) > CHUNK_SIZE:
            del self.buffer[start:]
            self.names = {name: offset for name, offset in self.names.items() if offset < start}
            self.templates = {known: offset for known, offset in self.templates.items() if offset < start}
            raise ChunkFullError
        struct.pack_into("<I", self.buffer, start + 4, size)
        self.numbers.append(number)
        self.last_record = start

    def finish(self) -> bytes:
        """Fill in the header, with its tables of names and templates and its checksums, and the rest with zeros."""
        end = len(self.buffer)
        first, last = self.numbers[0], self.numbers[-1]
        header = struct.pack("<8sQQQQIII", b"ElfChnk\0", first, last, first, last, 128, self.last_record, end)
        self.buffer[: len(header)] = header
        for name, offset in self.names.items():
            self._link(128 + 4 * (_name_hash(name) % 64), offset)
        for template, offset in self.templates.items():
            self._link(384 + 4 * (int.from_bytes(template.identity[:4], "little") % 32), offset)
        struct.pack_into("<I", self.buffer, 52, zlib.crc32(self.buffer[CHUNK_HEADER_SIZE:end]))
        checksum = zlib.crc32(self.buffer[128:CHUNK_HEADER_SIZE], zlib.crc32(self.buffer[:120]))
        # The flag that every chunk has which Windows wrote to.
        struct.pack_into("<II", self.buffer, 120, 1, checksum)
        return bytes(self.buffer.ljust(CHUNK_SIZE, b"\0"))

    def _link(self, bucket: int, offset: int) -> None:
        """Put the entry at the head of its bucket's list; an entry's first field is the offset of the next one."""
        self.buffer[offset : offset + 4] = self.buffer[bucket : bucket + 4]
        struct.pack_into("<I", self.buffer, bucket, offset)

    def _name(self, name: str) -> None:
        """Write the offset of a name, and the name itself where the chunk has not got it yet."""
        if name in self.names:
            self.buffer += struct.pack("<I", self.names[name])
            return
        self.names[name] = len(self.buffer) + 4
        encoded = _utf16(name)
        self.buffer += struct.pack("<IIHH", self.names[name], 0, _name_hash(name), len(encoded) // 2)
        self.buffer += encoded + b"\0\0"

    def _text(self, text: str | _Substitution) -> None:
        if isinstance(text, _Substitution):
            self.buffer += struct.pack("<BHB", 0x0E if text.optional else 0x0D, text.index, text.type)
        else:
            encoded = _utf16(text)
            self.buffer += struct.pack("<BBH", 0x05, STRING, len(encoded) // 2) + encoded

    def _size_field(self) -> int:
        self.buffer += bytes(4)
        return len(self.buffer)

    def _set_size(self, start: int) -> None:
        struct.pack_into("<I", self.buffer, start - 4, len(self.buffer) - start)

    def _element(self, element: _Element, *, in_template: bool) -> None:
        self.buffer.append(0x41 if element.attributes else 0x01)
        if in_template:
            self.buffer += b"\xff\xff"  # the dependency identifier: none
        start = self._size_field()
        self._name(element.name)
        if element.attributes:
            attributes = self._size_field()
            for position, (name, text) in enumerate(element.attributes, start=1):
                self.buffer.append(0x06 if position == len(element.attributes) else 0x46)
                self._name(name)
                self._text(text)
            self._set_size(attributes)
        if element.children:
            self.buffer.append(0x02)
            for child in element.children:
                if isinstance(child, _Element):
                    self._element(child, in_template=in_template)
                else:
                    self._text(child)
            self.buffer.append(0x04)
        else:
            self.buffer.append(0x03)
        self._set_size(start)

    def _instance(self, instance: _Instance) -> None:
        """Write an instance of a template, with the definition where the chunk has not got it yet."""
        template = instance.template
        known = self.templates.get(template)
        offset = known if known is not None else len(self.buffer) + 10
        self.buffer += struct.pack("<BB4sI", 0x0C, 0x01, template.identity[:4], offset)
        if known is None:
            self.templates[template] = offset
            self.buffer += struct.pack("<I16s", 0, template.identity)
            start = self._size_field()
            self.buffer += FRAGMENT_HEADER
            self._element(template.element, in_template=True)
            self.buffer += END_OF_STREAM
            self._set_size(start)
        self.buffer += struct.pack("<I", len(instance.values))
        descriptors = len(self.buffer)
        self.buffer += bytes(4 * len(instance.values))
        for position, value in enumerate(instance.values):
            before = len(self.buffer)
            if isinstance(value.content, bytes):
                self.buffer += value.content
            else:
                self.buffer += FRAGMENT_HEADER
                self._instance(value.content)
                self.buffer += END_OF_STREAM
            size = len(self.buffer) - before
            struct.pack_into("<HBB", self.buffer, descriptors + 4 * position, size, value.type, 0)


def _name_hash(name: str) -> int:
    result = 0
    for (unit,) in struct.iter_unpack("<H", _utf16(name)):
        result = (result * 65599 + unit) & 0xFFFFFFFF
    return result & 0xFFFF


def _named(*pairs: tuple[str, str | _Substitution | None]) -> tuple[tuple[str, str | _Substitution], ...]:
    return tuple((name, text) for name, text in pairs if text is not None)


def _leaf(name: str, text: str | _Substitution | None) -> _Element:
    return _Element(name, children=() if text is None or text == "" else (text,))


def _template(element: _Element) -> _Template:
    return _Template(element, uuid.uuid5(uuid.NAMESPACE_OID, repr(element)).bytes_le)


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
def _event_template(provider: str, guid: str | None, source: str | None, *, classic: bool) -> _Template:
    system = _system(
        _named(("Name", provider), ("Guid", guid), ("EventSourceName", source)),
        [_Substitution(index, kind, optional) for index, (kind, optional) in enumerate(_FIELDS)],
    )
    following = len(_FIELDS)
    body: _Element | _Substitution = _Substitution(following, BINXML)
    if classic:
        body = _Element(
            "EventData",
            children=(
                _leaf("Data", _Substitution(following, STRING_ARRAY)),
                _leaf("Binary", _Substitution(following + 1, BINARY, optional=True)),
            ),
        )
    return _template(_Element("Event", (("xmlns", NAMESPACE),), (system, body)))


@cache
def _data_template(names: tuple[str, ...]) -> _Template:
    places = [_Substitution(index, STRING) for index in range(len(names))]
    return _template(_event_data(list(zip(names, places, strict=True))))


@cache
def _user_data_template(wrapper: str, names: tuple[str, ...]) -> _Template:
    places = [_Substitution(index, STRING) for index in range(len(names))]
    return _template(_user_data(wrapper, list(zip(names, places, strict=True))))


def _templated(event: Event) -> _Instance:
    """Give the event as an instance of its template."""
    values = [
        _Value(NULL) if event.qualifiers is None else _Value(UINT16, struct.pack("<H", event.qualifiers)),
        _Value(UINT16, struct.pack("<H", event.event_id)),
        _Value(UINT8, bytes([event.version])),
        _Value(UINT8, bytes([event.level])),
        _Value(UINT16, struct.pack("<H", event.task)),
        _Value(UINT8, bytes([event.opcode])),
        _Value(HEX64, struct.pack("<Q", event.keywords)),
        _Value(FILETIME, struct.pack("<Q", filetime(event.time))),
        _Value(UINT64, struct.pack("<Q", event.record_id)),
        _Value(NULL) if event.activity_id is None else _Value(GUID_TYPE, uuid.UUID(event.activity_id).bytes_le),
        _Value(UINT32, struct.pack("<I", event.process_id)),
        _Value(UINT32, struct.pack("<I", event.thread_id)),
        _Value(STRING, _utf16(event.channel)),
        _Value(STRING, _utf16(event.computer)),
        _Value(NULL) if event.user_sid is None else _Value(SID, _sid(event.user_sid)),
    ]
    names = tuple(name for name, _ in event.data if name is not None)
    classic = event.user_data is None and bool(event.data) and not names
    if classic:
        values.append(_Value(STRING_ARRAY, b"".join(_utf16(text) + b"\0\0" for _, text in event.data)))
        values.append(_Value(BINARY, event.binary) if event.binary else _Value(NULL))
    elif event.user_data is not None:
        wrapper, pairs = event.user_data
        template = _user_data_template(wrapper, tuple(name for name, _ in pairs))
        values.append(_Value(BINXML, _Instance(template, [_Value(STRING, _utf16(text)) for _, text in pairs])))
    elif len(names) == len(event.data):
        texts = [_Value(STRING, _utf16(text)) for _, text in event.data]
        values.append(_Value(BINXML, _Instance(_data_template(names), texts)))
    else:
        raise ValueError("only a forwarded event can have Data with and without names")
    return _Instance(_event_template(event.provider, event.guid, event.source, classic=classic), values)


def _spelled_out(event: Event) -> _Element:
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
        parts.append(_Element("RenderingInfo", culture, texts))
    return _Element("Event", (("xmlns", NAMESPACE),), tuple(parts))


def _event_data(data: Sequence[tuple[str | None, str | _Substitution]], binary: bytes = b"") -> _Element:
    children = [_Element("Data", _named(("Name", name)), () if text == "" else (text,)) for name, text in data]
    if binary:
        children.append(_leaf("Binary", binary.hex().upper()))
    return _Element("EventData", children=tuple(children))


def _user_data(wrapper: str, pairs: Sequence[tuple[str, str | _Substitution]]) -> _Element:
    inner = _Element(wrapper, (("xmlns", "Event_NS"),), tuple(_leaf(name, text) for name, text in pairs))
    return _Element("UserData", children=(inner,))


def _system(
    provider: tuple[tuple[str, str | _Substitution], ...], fields: Sequence[str | _Substitution | None]
) -> _Element:
    """Build the System element from its fields, each a text or a place in a template, or None if left out."""
    qualifiers, event_id, version, level, task, opcode, keywords, time, record_id = fields[:9]
    activity_id, process_id, thread_id, channel, computer, user_sid = fields[9:]
    return _Element(
        "System",
        children=(
            _Element("Provider", provider),
            _Element("EventID", _named(("Qualifiers", qualifiers)), _leaf("", event_id).children),
            _leaf("Version", version),
            _leaf("Level", level),
            _leaf("Task", task),
            _leaf("Opcode", opcode),
            _leaf("Keywords", keywords),
            _Element("TimeCreated", _named(("SystemTime", time))),
            _leaf("EventRecordID", record_id),
            _Element("Correlation", _named(("ActivityID", activity_id))),
            _Element("Execution", _named(("ProcessID", process_id), ("ThreadID", thread_id))),
            _leaf("Channel", channel),
            _leaf("Computer", computer),
            _Element("Security", _named(("UserID", user_sid))),
        ),
    )


def chunks(events: Iterable[Event], *, records_per_chunk: int = 0) -> Iterator[bytes]:
    """Yield the chunks: each is as full as can be, or holds as many records as asked for."""
    chunk = _Chunk()
    for event in events:
        if records_per_chunk and len(chunk.numbers) == records_per_chunk:
            yield chunk.finish()
            chunk = _Chunk()
        try:
            chunk.add(event)
        except ChunkFullError:
            if not chunk.numbers:
                raise
            yield chunk.finish()
            chunk = _Chunk()
            chunk.add(event)
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
