"""Exported logs: event_file against the bare evtx library on the same file, and the memory that large files take."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.winpki.scep.plugins.plugin_utils.event_file import read_log
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import FIELD_NAMES, Selection
from evtx import PyEvtxParser

from bench import Row
from tests.unit.evtx_writer import Event, chunks, file_header, write

EVENTS, WANTED = 120_000, 1_000
LIMIT_TIMES = 1.3
LARGE_BYTES, LIMIT_MEGABYTES = 500_000_000, 50
ROUNDS = 7
TIMEOUT = 600
START = datetime(2026, 3, 2)
ALL = Selection([86, 87, 88])
TEXTS = (
    "CORP\\CLIENT1$",
    "https://ndes01.corp.example/certsrv/mscep/mscep.dll/pkiclient.exe",
    "GetCACaps",
    "GET(47ms)",
    "GetCACaps",
    "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)",
)


def measure() -> list[Row]:
    """Returns the ratios by how the wanted events lie among the others, and the peaks for large files."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        rows = []
        for layout, wanted in (("spread", range(0, EVENTS, EVENTS // WANTED)), ("in a row", range(WANTED))):
            path = folder / "log.evtx"
            write(path, _events(EVENTS, wanted))
            bare, own = _child("compare", path)
            what = (
                f".evtx, {EVENTS:,} events, {WANTED:,} of them wanted, {layout}: event_file against the library alone"
            )
            rows.append(Row(what, f"{own / bare:.2f} times", f"{LIMIT_TIMES} times", own / bare <= LIMIT_TIMES))
        write(path, _events(EVENTS // 4, range(EVENTS // 4)))
        bare, own = _child("compare", path)
        rows.append(Row(f".evtx, {EVENTS // 4:,} events, all of them wanted", f"{own:.1f} s, the library {bare:.1f} s"))
        path.unlink()
        for form, writer in ((".evtx", _large_evtx), ("XML", _large_xml)):
            size = writer(folder / "large") // 10**6
            seconds, megabytes = _child("peak", folder / "large")
            what = f"{form} of {size} MB, one event wanted, read in {seconds:.1f} s: memory above the start"
            rows.append(Row(what, f"{megabytes:.0f} MB", f"{LIMIT_MEGABYTES} MB", megabytes <= LIMIT_MEGABYTES))
    return rows


def _events(count: int, wanted: range) -> Iterator[Event]:
    fields = tuple(zip(FIELD_NAMES, TEXTS, strict=True))
    for number in range(count):
        moment = f"{START + timedelta(seconds=number):%Y-%m-%dT%H:%M:%S}.1234567Z"
        if number in wanted:
            yield Event(record_id=number + 1, time=moment, data=fields)
        else:
            data = tuple((None, f"value {index} of event {number}") for index in range(6))
            yield Event(
                1000 + number % 7, number + 1, moment, data, provider=f"Vendor {number % 5}", guid=None, source=None
            )


def _large_evtx(path: Path) -> int:
    """Writes one full chunk again and again, and then one with a wanted event; returns the size in bytes."""
    other = next(iter(chunks(_events(1000, range(0)))))
    wanted = next(iter(chunks(_events(1, range(1)))))
    count = LARGE_BYTES // len(other)
    with path.open("wb") as file:
        file.write(file_header(count + 1, 1001))
        for _unused in range(count):
            file.write(other)
        file.write(wanted)
    return path.stat().st_size


def _large_xml(path: Path) -> int:
    """Writes other events, as wevtutil does without a root, and then a wanted one; returns the size in bytes."""
    frame = (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='{provider}'/>"
        "<EventID Qualifiers='49754'>86</EventID><Version>0</Version><Level>2</Level><Task>0</Task><Opcode>0</Opcode>"
        "<Keywords>0x80000000000000</Keywords><TimeCreated SystemTime='2026-03-02T07:15:00.1234567Z'/>"
        "<EventRecordID>1</EventRecordID><Correlation/><Execution ProcessID='0' ThreadID='0'/>"
        "<Channel>Application</Channel><Computer>client1.corp.example</Computer><Security/></System><EventData><Data>{text}</Data></EventData></Event>"
    )
    block = frame.format(provider="Vendor", text="some text " * 30).encode() * 1000
    with path.open("wb") as file:
        for _unused in range(LARGE_BYTES // len(block)):
            file.write(block)
        file.write(frame.format(provider="Microsoft-Windows-CertificateServicesClient-CertEnroll", text="").encode())
    return path.stat().st_size


def _child(what: str, path: Path) -> tuple[float, float]:
    """Runs `compare` or `peak` in a process of its own, on one core, and returns what it returns."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.files", what, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=TIMEOUT,
    )
    first, second = json.loads(done.stdout)
    return first, second


def compare(path: Path) -> tuple[float, float]:
    """Returns the medians, in seconds, of the library alone and of event_file, by turns."""
    times: tuple[list[float], list[float]] = [], []
    for _unused in range(ROUNDS):
        for taken, reader in zip(times, (_bare, _own), strict=True):
            taken.append(_seconds(reader, path))
    return statistics.median(times[0]), statistics.median(times[1])


def peak(path: Path) -> tuple[float, float]:
    """Returns the seconds that reading takes, and by how many MB the process grows at most."""
    before = _memory("VmRSS")
    seconds = _seconds(_own, path)
    return seconds, _memory("VmHWM") - before


def _memory(field: str) -> float:
    """Returns what Linux says of this process, in MB; getrusage would count the parent's memory before exec."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def _bare(path: Path) -> int:
    records: Iterable[Any] = PyEvtxParser(str(path)).records_json()
    return sum(1 for _unused in records)


def _own(path: Path) -> int:
    return len(read_log(path, ALL).events)


def _seconds(reader: Callable[[Path], int], path: Path) -> float:
    # Processor time: both work on one thread, and others may be at work on the machine.
    start = time.process_time()
    reader(path)
    return time.process_time() - start


if __name__ == "__main__":
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    sys.stdout.write(json.dumps({"compare": compare, "peak": peak}[sys.argv[1]](Path(sys.argv[2]))))
