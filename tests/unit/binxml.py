"""Chunks of event logs, and the BinXml in them, for the files that tests and examples need.

The format: [MS-EVEN6] 2.2.12 to 2.2.17 (BinXml), and for the chunk around it the documentation of libevtx,
"Windows XML Event Log (EVTX) format".
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass

CHUNK_SIZE = 65536
CHUNK_HEADER_SIZE = 512
FRAGMENT_HEADER = b"\x0f\x01\x01\x00"
END_OF_STREAM = b"\x00"

STRING, UINT8, UINT16, UINT32, UINT64, BINARY, GUID_TYPE, FILETIME, SID, HEX64, BINXML, STRING_ARRAY = (
    0x01, 0x04, 0x06, 0x08, 0x0A, 0x0E, 0x0F, 0x11, 0x13, 0x15, 0x21, 0x81,
)  # fmt: skip
NULL = 0x00


@dataclass(frozen=True)
class Substitution:
    """A place in a template: which value goes there, of which type, and whether an empty one leaves the place out."""

    index: int
    type: int
    optional: bool = False


@dataclass(frozen=True)
class Element:
    name: str
    attributes: tuple[tuple[str, str | Substitution], ...] = ()
    children: tuple[Element | str | Substitution, ...] = ()


@dataclass(frozen=True, eq=False)
class Template:
    """The definition of a template: a chunk holds it once."""

    element: Element
    identity: bytes


@dataclass(frozen=True)
class Value:
    """What goes into one place of a template: bytes, or for BinXml an instance of another template."""

    type: int
    content: bytes | Instance = b""


@dataclass(frozen=True)
class Instance:
    template: Template
    values: list[Value]


class ChunkFullError(Exception):
    """The record does not fit into what is left of the chunk."""


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


class Chunk:
    """One chunk of 64 KiB, filled record by record."""

    def __init__(self) -> None:
        self.buffer = bytearray(CHUNK_HEADER_SIZE)
        self.names: dict[str, int] = {}
        self.templates: dict[Template, int] = {}
        self.numbers: list[int] = []
        self.last_record = CHUNK_HEADER_SIZE

    def add(self, number: int, written: int, content: Element | Instance) -> None:
        """Append one record, or leave the chunk as it was and raise ChunkFullError.

        Args:
            number: the record's.
            written: time of the record, in steps of 100 ns since 1601.
            content: the event.
        """
        start = len(self.buffer)
        self.buffer += struct.pack("<4sIQQ", b"**\0\0", 0, number, written)
        self.buffer += FRAGMENT_HEADER
        if isinstance(content, Element):
            self._element(content, in_template=False)
        else:
            self._instance(content)
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
        for known, offset in self.templates.items():
            self._link(384 + 4 * (int.from_bytes(known.identity[:4], "little") % 32), offset)
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
        encoded = utf16(name)
        self.buffer += struct.pack("<IIHH", self.names[name], 0, _name_hash(name), len(encoded) // 2)
        self.buffer += encoded + b"\0\0"

    def _text(self, text: str | Substitution) -> None:
        if isinstance(text, Substitution):
            self.buffer += struct.pack("<BHB", 0x0E if text.optional else 0x0D, text.index, text.type)
        else:
            encoded = utf16(text)
            self.buffer += struct.pack("<BBH", 0x05, STRING, len(encoded) // 2) + encoded

    def _size_field(self) -> int:
        self.buffer += bytes(4)
        return len(self.buffer)

    def _set_size(self, start: int) -> None:
        struct.pack_into("<I", self.buffer, start - 4, len(self.buffer) - start)

    def _element(self, element: Element, *, in_template: bool) -> None:
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
                if isinstance(child, Element):
                    self._element(child, in_template=in_template)
                else:
                    self._text(child)
            self.buffer.append(0x04)
        else:
            self.buffer.append(0x03)
        self._set_size(start)

    def _instance(self, instance: Instance) -> None:
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
    for (unit,) in struct.iter_unpack("<H", utf16(name)):
        result = (result * 65599 + unit) & 0xFFFFFFFF
    return result & 0xFFFF


def define(element: Element) -> Template:
    """Make a template; equal ones get the same identity."""
    return Template(element, uuid.uuid5(uuid.NAMESPACE_OID, repr(element)).bytes_le)
