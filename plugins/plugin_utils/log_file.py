# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a log file: all of it (an error), or a part of it (a problem)."""

from __future__ import annotations

from typing import NamedTuple


class LogFileError(Exception):
    """The file can't be read at all. The message says why, going on from the file's name."""


class NotAnExportError(LogFileError):
    """The file holds something else."""

    def __init__(self) -> None:
        """Says what was looked for."""
        super().__init__("is neither an event log (.evtx) nor events as XML")


class DocumentTypeError(LogFileError):
    """The file declares a document type: entities, external files."""

    def __init__(self) -> None:
        """Says why the file is refused."""
        super().__init__("has a document type declaration (DOCTYPE), which no export of Windows has: it is not read")


class EncodingError(LogFileError):
    """The file's encoding is not known."""

    def __init__(self, name: str) -> None:
        """Says which encoding that is."""
        super().__init__(f"is in the encoding {name!r}, which Python does not know")


class MissingLibraryError(LogFileError):
    """The library for .evtx files is not installed."""

    def __init__(self, reason: str) -> None:
        """Says how to install it."""
        super().__init__(f"needs the Python library evtx on the controller: pip install evtx ({reason})")


class UnreadableFileError(LogFileError):
    """The system does not let the file be read."""

    def __init__(self, error: OSError) -> None:
        """Says what the system says."""
        super().__init__(f"can't be read: {error.strerror or error}")


class NotAFileError(LogFileError):
    """A device, a socket: nothing that has an end."""

    def __init__(self) -> None:
        """Says so."""
        super().__init__("is no regular file")


class MalformedEventError(Exception):
    """The text is not that of an event."""

    def __init__(self, reason: str) -> None:
        """Says why, without naming the place."""
        super().__init__(f"it can't be read: {reason}")


class UnreadableRecordError(MalformedEventError):
    """The library can make nothing of the record."""

    def __init__(self) -> None:
        """Says so."""
        super().__init__("its structure is damaged")


class Problem(NamedTuple):
    """A part of a file that could not be read, or may not be what Windows wrote.

    Attributes:
        place: where in the file; empty if it is about all of it.
        reason: what is wrong.
    """

    place: str
    reason: str
