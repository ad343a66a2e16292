"""Writes the event of an enrolment into a simulated host's Application log, as the host's own settings have it."""

from __future__ import annotations

import fcntl
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from tests.lab import registry
from tests.lab.events import FIELDS, enrolment_event, line

LEVEL_KEY = "HKLM\\SOFTWARE\\Microsoft\\Cryptography\\AutoEnrollment"
LEVEL = "LogLevel"
DEFAULT_LEVEL = 3
# The level that writes an event of this kind: 2 are errors, 4 is information too.
_WRITTEN_FROM = {86: 2, 87: 2, 88: 4}
_TAIL = 1 << 20


def write(folder: Path, event_id: int, url: str, message: str, method: str, stage: str, error_code: str | None) -> None:
    """Writes an event of the device's own enrolment, unless the log level or the log's settings keep it out."""
    level = registry.read(folder, LEVEL_KEY, LEVEL)
    if (level if isinstance(level, int) else DEFAULT_LEVEL) < _WRITTEN_FROM[event_id]:
        return
    config = _config(folder)
    if config.get("enabled") is False or config.get("missing"):
        return
    name = computer(folder)
    values = [f"WORKGROUP\\{name}$", url, message, method, stage, error_code][: len(FIELDS) - (event_id == 88)]
    path = folder / "eventlogs" / "Application.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        record = _last_record(stream) + 1
        event = enrolment_event(event_id, record, datetime.now(timezone.utc), values, computer=name)
        stream.write(f"{line(event)}\n".encode("ascii"))


def computer(folder: Path) -> str:
    """The computer's name."""
    return (folder / "hostname").read_text("ascii").strip()


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "eventlogs" / "Application.config.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def _last_record(stream: IO[bytes]) -> int:
    """The number of the newest event; 0 in an empty log."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _TAIL))
    lines = stream.read().splitlines()
    return int(json.loads(lines[-1])["record"]) if lines else 0
