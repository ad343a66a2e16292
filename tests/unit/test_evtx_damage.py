"""Event log files that are damaged, cut off, or still in use: what can be read is returned, the rest is named."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils import evtx_file
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import Problem

from tests.unit.binxml import CHUNK_SIZE
from tests.unit.evtx_reading import log, many, numbers, read, unnamed
from tests.unit.evtx_writer import FILE_HEADER_SIZE, Event


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
