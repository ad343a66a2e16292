"""Writes the folder of a simulated host: what it is called, its clock and language, and what its event logs hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from tests.lab import programs
from tests.lab.events import Event, line, stamp

_LCIDS = {"en-US": 1033, "de-DE": 1031}


class LogConfig(NamedTuple):
    """What else is to be said of a log; None leaves it as the host has it by itself.

    Attributes:
        enabled: whether events are written to it.
        maximum_size: in bytes.
        file_size: in bytes.
        oldest_record: the number of the oldest record, where it is not the first in the file.
        record_count: how many records the log says it has.
        access_denied: whether reading it is refused.
        missing: whether the log is not there at all.
        open_error: the Win32 code that opening it fails with.
        read_error: after how many events reading fails, and with which Win32 code.
        read_delay_ms: how long each event takes to read.
    """

    enabled: bool | None = None
    maximum_size: int | None = None
    file_size: int | None = None
    oldest_record: int | None = None
    record_count: int | None = None
    access_denied: bool | None = None
    missing: bool | None = None
    open_error: int | None = None
    read_error: tuple[int, int] | None = None
    read_delay_ms: int | None = None

    def document(self) -> dict[str, Any]:
        """The content of the log's configuration file."""
        found: dict[str, Any] = {
            "enabled": self.enabled,
            "maximumSize": self.maximum_size,
            "fileSize": self.file_size,
            "oldestRecordNumber": self.oldest_record,
            "recordCount": self.record_count,
            "accessDenied": self.access_denied,
            "missing": self.missing,
            "openError": self.open_error,
            "readDelayMs": self.read_delay_ms,
        }
        if self.read_error is not None:
            found["readError"] = {"after": self.read_error[0], "code": self.read_error[1]}
        return {key: value for key, value in found.items() if value is not None}


def write_host(
    folder: Path,
    name: str,
    *,
    language: str = "en-US",
    time_zone: str | None = None,
    clock_seconds: float = 0,
    started: timedelta = timedelta(days=1),
    environment: Mapping[str, str] | None = None,
    no_publisher: bool = False,
) -> Path:
    """Makes a host.

    Args:
        folder: where; made if it is not there.
        name: the computer's name.
        language: en-US or de-DE, of its messages.
        time_zone: as TZ has it, such as Europe/Berlin.
        clock_seconds: how far its clock is ahead of this machine's.
        started: how long it has been running.
        environment: further variables of its processes.
        no_publisher: whether the message texts of the CertEnroll provider are missing.

    Returns:
        The folder.
    """
    (folder / "eventlogs").mkdir(parents=True, exist_ok=True)
    (folder / "hostname").write_text(f"{name}\n", encoding="ascii")
    variables = {**({"TZ": time_zone} if time_zone else {}), **(environment or {})}
    (folder / "environment").write_text("".join(f"{key}={value}\n" for key, value in variables.items()), "utf-8")
    if clock_seconds:
        (folder / "clock").write_text(f"{clock_seconds:+}\n", encoding="ascii")
    _write_json(folder / "eventlogs" / "_host.json", {"language": language, "noPublisher": no_publisher})
    _write_operating_system(folder, language, host_time(clock_seconds) - started)
    programs.install(folder)
    return folder


def host_time(clock_seconds: float = 0) -> datetime:
    """The time by the clock of a host whose clock is that far ahead, in UTC."""
    return datetime.now(timezone.utc) + timedelta(seconds=clock_seconds)


def write_log(
    folder: Path, events: Iterable[Event | str] = (), *, log: str = "Application", config: LogConfig | None = None
) -> None:
    """Writes an event log of a host, oldest event first, in place of what it had.

    Args:
        folder: the host's.
        events: in the order of the log.
        log: the log's name.
        config: what else is to be said of it.
    """
    stem = log.replace("/", "%4")
    with (folder / "eventlogs" / f"{stem}.jsonl").open("w", encoding="ascii", newline="\n") as stream:
        stream.writelines(f"{line(event)}\n" for event in events)
    _write_config(folder, stem, config)


def write_log_file(folder: Path, path: str, events: Iterable[Event | str]) -> None:
    r"""Writes an exported log on a host's own disk, such as ``C:\Logs\old.evtx``."""
    drive, rest = path.split(":", 1)
    target = folder / f"drive_{drive.lower()}" / rest.strip("\\").replace("\\", "/")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="ascii", newline="\n") as stream:
        stream.writelines(f"{line(event)}\n" for event in events)


def _write_config(folder: Path, stem: str, config: LogConfig | None) -> None:
    path = folder / "eventlogs" / f"{stem}.config.json"
    document = config.document() if config is not None else {}
    if document:
        _write_json(path, document)
    else:
        path.unlink(missing_ok=True)


def _write_operating_system(folder: Path, language: str, started: datetime) -> None:
    instance = {
        "Name": "Microsoft Windows 11 Enterprise|C:\\WINDOWS|\\Device\\Harddisk0\\Partition3",
        "Caption": "Microsoft Windows 11 Enterprise",
        "Version": "10.0.22631",
        "BuildNumber": "22631",
        "ProductType": 1,
        "CSName": "@name",
        "OSLanguage": _LCIDS.get(language, 1033),
        "MUILanguages": [language],
        "LastBootUpTime": stamp(started, 6),
        "LocalDateTime": "now",
    }
    texts = ("Name", "BuildNumber", "Version")
    times = ("LastBootUpTime", "LocalDateTime")
    document = {
        "Bases": ["CIM_OperatingSystem", "CIM_LogicalElement", "CIM_ManagedSystemElement"],
        "Key": "Name",
        "Types": {**dict.fromkeys(texts, "string"), **dict.fromkeys(times, "datetime")},
        "Instances": [instance],
    }
    target = folder / "cim" / "root_cimv2"
    target.mkdir(parents=True, exist_ok=True)
    _write_json(target / "Win32_OperatingSystem.json", document)


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1), encoding="ascii")
