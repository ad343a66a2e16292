# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exported event logs on the controller: which files are meant, and what is in each of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection
from ansible_collections.winpki.scep.plugins.plugin_utils.evtx_file import is_evtx, read_evtx
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import (
    LogFileError,
    NotAFileError,
    Problem,
    UnreadableFileError,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.xml_file import IS_EMPTY, read_xml

SUFFIXES = (".evtx", ".xml")
_PROBLEMS_SHOWN = 5


class FoundLogs(NamedTuple):
    """What a term stands for.

    Attributes:
        paths: of files, in order.
        named: whether the term is the path of a file, which then has to be readable.
        problems: sentences on folders that could not be listed.
    """

    paths: list[Path]
    named: bool
    problems: list[str]


class LogEvents(NamedTuple):
    """What was read from one file.

    Attributes:
        events: the wanted ones, oldest first.
        problems: sentences, without the file's name, on what could not be read.
    """

    events: list[RawEvent]
    problems: list[str]


class NoLogsError(LogFileError):
    """There is nothing to be read. The message goes on from the term."""


class NotFoundError(NoLogsError):
    """There is no such path, and nothing that matches."""

    def __init__(self, bases: Iterable[str]) -> None:
        """Says where was looked."""
        places = ", ".join(shown(base) for base in bases)
        super().__init__("is no file, no folder and no pattern that matches any" + (f", in {places}" if places else ""))


class EmptyFolderError(NoLogsError):
    """The folder has no logs."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Says what was looked for, and what was in the way."""
        text = f"is a folder without {' or '.join(SUFFIXES)} files, also in the folders below it"
        super().__init__("; ".join([text, *problems]))


def find_logs(term: str, bases: Iterable[str]) -> FoundLogs:
    """Returns the files that a term stands for: a file, a folder with all logs below it, or a pattern.

    A path comes before a pattern, so a file whose name holds `*` or `[` can be named too.

    Args:
        term: a path or pattern, absolute, below the home folder (`~`) or below one of the bases.
        bases: folders; the first in which the term is found counts.

    Raises:
        NoLogsError: there is nothing.
        UnreadableFileError: it can't be looked for.
    """
    path = _expanded(term)
    folders = [Path(base) for base in ([path.anchor] if path.is_absolute() else dict.fromkeys(bases))]
    try:
        found = _find_path(path, folders) or _find_pattern(path, folders)
    except OSError as error:
        raise UnreadableFileError(error) from error
    if not term or found is None:
        raise NotFoundError(str(folder) for folder in folders)
    return found


def read_log(path: Path, selection: Selection, encoding: str | None = None) -> LogEvents:
    """Returns the wanted events of a file, oldest first, whatever order the file has them in.

    Args:
        path: of the file.
        selection: the wanted events.
        encoding: of XML that does not say it itself; UTF-8 by default.

    Raises:
        LogFileError: nothing of the file can be read; the message goes on from its name.
    """
    events: list[RawEvent] = []
    problems: list[str] = []
    more = 0
    for item in _read(path, selection, encoding):
        if not isinstance(item, Problem):
            events.append(item)
        elif len(problems) < _PROBLEMS_SHOWN:
            problems.append(f"{item.place}: {item.reason}" if item.place else item.reason)
        else:
            more += 1
    if more:
        problems.append(f"and {more} more places like these")
    events.sort(key=lambda event: event["time_created"] or "")
    return LogEvents(events, problems)


def shown(path: str) -> str:
    """Returns a path as it can be shown on a terminal: what is not printable is escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in path
    )


def _expanded(term: str) -> Path:
    path = Path(term)
    try:
        return path.expanduser()
    except RuntimeError:
        # No such user: then it is a file that is named so.
        return path


def _find_path(path: Path, bases: Iterable[Path]) -> FoundLogs | None:
    for base in bases:
        candidate = base / path
        if candidate.is_dir():
            problems: list[str] = []
            paths = list(_logs_below(candidate, problems))
            if not paths:
                raise EmptyFolderError(problems)
            return FoundLogs(paths, named=False, problems=problems)
        if candidate.exists():
            return FoundLogs([candidate], named=True, problems=[])
    return None


def _find_pattern(path: Path, bases: Iterable[Path]) -> FoundLogs | None:
    pattern = str(path.relative_to(path.anchor))
    if not any(character in pattern for character in "*?["):
        return None
    for base in bases:
        problems: list[str] = []
        paths: list[Path] = []
        for match in sorted(base.glob(pattern)):
            paths += _logs_below(match, problems) if match.is_dir() else [match]
        if paths:
            return FoundLogs(paths, named=False, problems=problems)
    return None


def _read(path: Path, selection: Selection, encoding: str | None) -> Iterator[RawEvent | Problem]:
    try:
        status = path.stat()
        # Opening a pipe would wait, and a device may have no end.
        if not stat.S_ISREG(status.st_mode):
            raise NotAFileError
        if status.st_size == 0:
            yield Problem("", IS_EMPTY)
            return
        with path.open("rb") as file:
            yield from _reader(file, selection, encoding)
    except OSError as error:
        raise UnreadableFileError(error) from error


def _reader(file: BinaryIO, selection: Selection, encoding: str | None) -> Iterator[RawEvent | Problem]:
    return read_evtx(file, selection) if is_evtx(file) else read_xml(file, selection, encoding)


def _logs_below(folder: Path, problems: list[str]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        problems.append(f"the folder {shown(str(error.filename))} can't be listed: {error.strerror}")

    for parent, folders, names in os.walk(folder, onerror=note):
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES):
                yield Path(parent, name)
