"""What the tests of the reader of log files have in common."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ansible_collections.winpki.scep.plugins.plugin_utils import evtx_file
from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import Problem

from tests.unit.evtx_writer import Event, write

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
