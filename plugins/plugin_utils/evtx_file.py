# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event log files (.evtx), chunk by chunk. Format: [MS-EVEN6] 2.2, libevtx' "Windows XML Event Log (EVTX) format".

A log has many events and few wanted ones. A wanted one has the provider's name in itself or in the template that it is
an instance of, and both are in the same chunk, so a search of the chunk's bytes finds the records that can be wanted.
Only these are given to the library, in a copy of the chunk whose other records are skipped. That also reads round
damage: a broken record, chunk header or file header hides no other event.
"""

from __future__ import annotations

import io
import struct
import zlib
from bisect import bisect
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from ansible_collections.winpki.scep.plugins.plugin_utils import event_json, event_xml
from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import PROVIDER, Selection
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import (
    MalformedEventError,
    MissingLibraryError,
    Problem,
    UnreadableRecordError,
)

try:
    from evtx import PyEvtxParser

    _IMPORT_ERROR = ""
except ImportError as error:
    _IMPORT_ERROR = str(error)

_FILE_MAGIC = b"ElfFile\0"
_CHUNK_MAGIC = b"ElfChnk\0"
_FILE_HEADER_SIZE = 4096
_CHUNK_SIZE = 65536
_CHUNK_HEADER_SIZE = 512
_RECORD_MAGIC = b"**\0\0"
_RECORD_HEADER_SIZE = 24
_INSTANCE = _RECORD_HEADER_SIZE + 4  # after the fragment header: where an instance of a template starts
_INSTANCE_SIZE = 10  # up to the offset of its template
_RECORD_START = struct.Struct("<4sI")
_SMALLEST_RECORD = 28
_INSTANCE_MAGIC = b"\x0c\x01"
_DIRTY = 1
_NO_CHECKSUM = 4

_NAME = PROVIDER.encode("utf-16-le")
_EPOCH = datetime(1601, 1, 1)
# The library wants a whole file: this header and one chunk. It looks at the magic and the size of the header.
_FILE_HEADER = struct.pack("<8s32xH", _FILE_MAGIC, _FILE_HEADER_SIZE).ljust(_FILE_HEADER_SIZE, b"\0")


def is_evtx(file: BinaryIO) -> bool:
    """Says whether the file, which is at its start and is left there, is an event log. Its header may be damaged."""
    start = file.read(_FILE_HEADER_SIZE + len(_CHUNK_MAGIC))
    file.seek(0)
    return start.startswith(_FILE_MAGIC) or start[_FILE_HEADER_SIZE:] == _CHUNK_MAGIC


def read_evtx(file: BinaryIO, selection: Selection) -> Iterator[RawEvent | Problem]:
    """Yields the wanted events in the order of the file, and what is damaged, where it occurs.

    Args:
        file: at its start.
        selection: the wanted events.

    Raises:
        MissingLibraryError: there is no library evtx.
    """
    if _IMPORT_ERROR:
        raise MissingLibraryError(_IMPORT_ERROR)
    header = file.read(_FILE_HEADER_SIZE)
    if len(header) < _FILE_HEADER_SIZE:
        yield Problem("file header", "it is cut off")
        return
    flags, checksum = struct.unpack_from("<II", header, 120)
    intact = header.startswith(_FILE_MAGIC) and (flags & _NO_CHECKSUM or checksum == zlib.crc32(header[:120]))
    if not intact:
        yield Problem("file header", "it is damaged; the events were read without it")
    elif flags & _DIRTY:
        yield Problem("", "Windows had it open when it was copied: its newest events may be missing")
    declared = struct.unpack_from("<H", header, 42)[0] if intact else None
    used = _used_chunks(file, declared)
    if declared is not None and used < declared:
        yield Problem("", f"it is cut off: it has {used} of {declared} chunks")
    for number in range(used):
        chunk = file.read(_CHUNK_SIZE)
        place = f"chunk {number} (at byte {_FILE_HEADER_SIZE + number * _CHUNK_SIZE})"
        damage, end = _check_chunk(chunk)
        found = 0
        for item in _read_chunk(chunk, end, selection):
            if isinstance(item, Problem):
                yield item._replace(place=f"{place}, {item.place}")
            else:
                found += 1
                yield item
        if damage:
            yield Problem(place, f"{damage}; {found} events were read from it, others may be missing or altered")


def _used_chunks(file: BinaryIO, declared: int | None) -> int:
    """Returns how many chunks belong to the log, and leaves the file at the first.

    A log is made longer before it is written to, and what lies there can be anything that was on the disk before. The
    number in the header can be too low, as Windows writes it late: so the last chunk with a header counts too.

    Args:
        file: the log.
        declared: the number in the header, None if it is damaged.
    """
    size = file.seek(0, io.SEEK_END) - _FILE_HEADER_SIZE
    number = -(-size // _CHUNK_SIZE)
    while declared is not None and number > declared:
        file.seek(_FILE_HEADER_SIZE + (number - 1) * _CHUNK_SIZE)
        if file.read(len(_CHUNK_MAGIC)) == _CHUNK_MAGIC:
            break
        number -= 1
    file.seek(_FILE_HEADER_SIZE)
    return number


def _check_chunk(chunk: bytes) -> tuple[str, int]:
    """Returns what is wrong with the chunk, empty if nothing is or it is empty itself, and where its records end."""
    if len(chunk) < _CHUNK_SIZE:
        return "the file is cut off here", len(chunk)
    if not chunk.startswith(_CHUNK_MAGIC):
        return "it has no header" if chunk.strip(b"\0") else "", _CHUNK_SIZE
    free, checksum = struct.unpack_from("<II", chunk, 48)
    flags, header_checksum = struct.unpack_from("<II", chunk, 120)
    # Behind the records lie older ones that were overwritten in part.
    end = min(free, _CHUNK_SIZE)
    if flags & _NO_CHECKSUM:
        return "", end
    if header_checksum != zlib.crc32(chunk[128:_CHUNK_HEADER_SIZE], zlib.crc32(chunk[:120])):
        return "its header does not match its checksum", _CHUNK_SIZE
    if checksum != zlib.crc32(memoryview(chunk)[_CHUNK_HEADER_SIZE:end]):
        return "its events do not match their checksum", end
    return "", end


def _read_chunk(chunk: bytes, end: int, selection: Selection) -> Iterator[RawEvent | Problem]:
    records = _candidates(chunk, end)
    for record, text in zip(records, _render(chunk, records, PyEvtxParser.records_json), strict=True):
        number, written = struct.unpack_from("<QQ", chunk, record[0] + 8)
        try:
            event = _select(chunk, record, text, selection)
        except MalformedEventError as error:
            yield Problem(f"record {number}", str(error))
            continue
        if event is not None:
            event["time_created"] = _exact_time(event["time_created"], written)
            yield event


def _select(chunk: bytes, record: tuple[int, int], text: str | None, selection: Selection) -> RawEvent | None:
    if text is None:
        raise UnreadableRecordError
    try:
        return event_json.select_event(text, selection)
    except event_json.IncompleteJsonError as error:
        (xml,) = _render(chunk, [record], PyEvtxParser.records)
        if xml is None:
            raise UnreadableRecordError from error
        return event_xml.select_event(xml, selection)


def _candidates(chunk: bytes, end: int) -> list[tuple[int, int]]:
    """Returns start and size of the records that have the provider's name in themselves or in their template."""
    position = chunk.find(_NAME, _CHUNK_HEADER_SIZE, end)
    if position < 0:
        return []
    sizes = _records(chunk, end)
    starts = list(sizes)
    chosen: set[int] = set()
    while position >= 0:
        start = starts[bisect(starts, position) - 1] if starts else end
        if start <= position < start + sizes.get(start, 0):
            chosen.add(start)
            instance = chunk[start + _INSTANCE : start + _INSTANCE + _INSTANCE_SIZE]
            if instance.startswith(_INSTANCE_MAGIC):
                chosen.update([other for other in starts if chunk.startswith(instance, other + _INSTANCE)])
        position = chunk.find(_NAME, position + len(_NAME), end)
    return [(start, sizes[start]) for start in sorted(chosen)]


def _records(chunk: bytes, end: int) -> dict[int, int]:
    """Returns the size of each record by its start, ascending.

    Where the chain of records is broken it goes on with the next that looks like one.
    """
    sizes: dict[int, int] = {}
    start = _CHUNK_HEADER_SIZE
    last = end - _SMALLEST_RECORD
    while True:
        while start <= last:
            magic, size = _RECORD_START.unpack_from(chunk, start)
            if magic != _RECORD_MAGIC or not _SMALLEST_RECORD <= size <= end - start:
                break
            sizes[start] = size
            start += size
        # Not nearer: _render needs the room of a record between two that are not side by side.
        start = chunk.find(_RECORD_MAGIC, start + _SMALLEST_RECORD, end)
        while 0 <= start <= last and not _ends_with_size(chunk, start):
            start = chunk.find(_RECORD_MAGIC, start + 1, end)
        if not 0 <= start <= last:
            return sizes


def _ends_with_size(chunk: bytes, start: int) -> bool:
    """Says whether a record at this offset would end as records do, with its size once more."""
    size = chunk[start + 4 : start + 8]
    end = start + int.from_bytes(size, "little")
    return chunk[end - 4 : end] == size


def _render(chunk: bytes, records: list[tuple[int, int]], form: Callable[..., Any]) -> list[str | None]:
    """Returns the text of each of the records in this form, None for one that the library can't read.

    The copy of the chunk has a header of its own, without the tables of names and templates, which the library can do
    without. Its records are the wanted ones, numbered from 1, and between them empty ones with the number 0.
    """
    rendered: list[str | None] = [None] * len(records)
    if not records:
        return rendered
    copy = bytearray(chunk)
    copy.extend(bytes(_CHUNK_SIZE - len(copy)))
    end = _CHUNK_HEADER_SIZE
    for number, (start, size) in enumerate(records, start=1):
        if start != end:
            struct.pack_into("<4sIQQB", copy, end, _RECORD_MAGIC, start - end, 0, 0, 0)
        struct.pack_into("<Q", copy, start + 8, number)
        end = start + size
    copy[:_CHUNK_HEADER_SIZE] = bytes(_CHUNK_HEADER_SIZE)
    struct.pack_into("<8s24xQ8xI", copy, 0, _CHUNK_MAGIC, len(records), end)
    reader = form(PyEvtxParser(io.BytesIO(_FILE_HEADER + copy), indent=False))
    while True:
        try:
            record: Any = next(reader)
        except StopIteration:
            return rendered
        except RuntimeError:
            # A record that the library can't read: it goes on with the next one.
            continue
        if record["event_record_id"]:
            rendered[record["event_record_id"] - 1] = record["data"]


def _exact_time(time: str | None, written: int) -> str | None:
    """Returns the time with its seventh decimal, which the library leaves out.

    An event that was not forwarded was written to its log at its own time, so its record has the same one.

    Args:
        time: of the event.
        written: time of the record, in steps of 100 ns since 1601.
    """
    if time is None or time[26] != "0":
        return time
    since = datetime.fromisoformat(time[:26]) - _EPOCH
    same = since // timedelta(microseconds=1) == written // 10
    return f"{time[:26]}{written % 10}Z" if same else time
