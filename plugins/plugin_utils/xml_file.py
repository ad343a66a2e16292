# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events exported as XML: by `wevtutil qe`, by `wevtutil qe /e:Events`, by Event Viewer, by Get-WinEvent and ToXml().

The text is cut into its `Event` elements, whatever is around them: with or without a root, with or without line ends.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection
from ansible_collections.winpki.scep.plugins.plugin_utils.event_xml import (
    UNDECODABLE,
    record_id,
    select_event,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import (
    DocumentTypeError,
    EncodingError,
    MalformedEventError,
    NotAnExportError,
    Problem,
)

_BLOCK = 1 << 20
# An event has at most 64 KB. Escaped, rendered and with its markup it stays far below this many characters.
_LONGEST_EVENT = 1 << 21
_LONGEST_TOKEN = 16  # with the character after it

# What wevtutil writes when there are no events; PowerShell puts a byte order mark before that.
IS_EMPTY = "is empty"
_CUT_OFF = "its end is missing"
_TOO_LONG = f"its end is missing, or more than {_LONGEST_EVENT:,} characters away"
_NOT_CLOSED = "after it, a comment or CDATA section has no end"

_DECLARATION = re.compile(rb"\s*<\?xml\s[^>]{0,200}?\sencoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']")
_TOKEN = re.compile(
    r"""<(?:
      (?P<start> Event(?=[\s>]) )
    | (?P<end> /Event\s{0,4}> )
    | (?P<user_data> UserData(?=[\s>]) )
    | (?P<root> Events(?=[\s/>]) )
    | !(?: (?P<comment> -- ) | (?P<cdata> \[CDATA\[ ) | (?P<declaration> (?:DOCTYPE|ENTITY)\b ) )
    )""",
    re.VERBOSE,
)


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Puts a mark in the place of bytes that can't be decoded, so that they can be told from what Windows wrote."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNDECODABLE, error.end


codecs.register_error("winpki.scep.mark", _mark)


class _Piece(NamedTuple):
    """One event of the file: its text, its number (from 1), and what is wrong with it, if its end is missing."""

    text: str
    number: int
    damage: str = ""


def read_xml(file: BinaryIO, selection: Selection, encoding: str | None = None) -> Iterator[RawEvent | Problem]:
    """Yields the wanted events in the order of the file, and what could not be read, where it occurs.

    Args:
        file: at its start.
        selection: the wanted events.
        encoding: of a file that says nothing itself, by a byte order mark or an XML declaration. UTF-8 by default.

    Raises:
        LogFileError: it is no export of events, or one that is refused.
    """
    name = _encoding(file.read(512), encoding)
    file.seek(0)
    try:
        "<".encode(name)
    except (LookupError, UnicodeError) as error:
        raise EncodingError(name) from error
    text = io.TextIOWrapper(file, encoding=name, errors="winpki.scep.mark", newline="")
    undecodable = 0
    for piece in _pieces(text):
        place = f"event {piece.number}"
        known = record_id(piece.text)
        if known is not None:
            place += f" (record {known})"
        if piece.damage:
            yield Problem(place if piece.number else "", piece.damage)
            continue
        try:
            event = select_event(piece.text, selection)
        except MalformedEventError as error:
            yield Problem(place, str(error))
            continue
        if event is not None:
            undecodable += piece.text.count(UNDECODABLE)
            yield event
    if undecodable:
        yield Problem(
            "", f"{undecodable} places in its events are not {name}, set the option encoding to what they are"
        )


def _encoding(start: bytes, default: str | None) -> str:
    """Returns the name of the file's encoding, from its first bytes."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if start.startswith(mark):
            return name
    # Without a mark, every second byte of UTF-16 markup is 0.
    if start[1:2] == b"\0" and start[:1] != b"\0":
        return "utf-16-le"
    if start[:1] == b"\0" and start[1:2] != b"\0":
        return "utf-16-be"
    declared = _DECLARATION.match(start)
    if declared is not None:
        name = declared[1].decode("ascii").lower()
        # A text that was UTF-16 when it was made, and was saved as something else: by its bytes it is not UTF-16.
        if not name.startswith(("utf-16", "utf16", "ucs-2", "unicode")):
            return name
    return default or "utf-8"


class _Scanner:
    """Cuts text that comes in blocks into events, and keeps no more of it than the event that is being read."""

    def __init__(self) -> None:
        self.number = 0
        self.is_export = False
        self.is_empty = True
        self._text = ""
        self._position = 0
        self._skip_to = ""
        # Where the open event starts, or -1; how many elements named Event are open; whether its UserData has been
        # reached, in which an element may have any name.
        self._start = -1
        self._depth = 0
        self._in_user_data = False
        # Up to here the text is read again, after an event that had no end: nothing in it is taken as nested.
        self._again_until = 0

    def feed(self, block: str, *, last: bool) -> Iterator[_Piece]:
        self.is_empty = self.is_empty and not block.strip()
        self._text += block
        while True:
            yield from self._scan(len(self._text) if last else len(self._text) - _LONGEST_TOKEN)
            too_long = len(self._text) - self._start > _LONGEST_EVENT
            if self._start < 0 or not (last or too_long):
                break
            yield self._give_up(_TOO_LONG if too_long else _CUT_OFF)
        if last and self._skip_to:
            yield _Piece("", self.number, _NOT_CLOSED)
        keep = self._position if self._start < 0 else self._start
        self._text = self._text[keep:]
        self._position -= keep
        self._again_until -= keep
        self._start = min(self._start, 0)

    def _give_up(self, damage: str) -> _Piece:
        """Ends the open event, and lets what was taken for its content be read again."""
        piece = _Piece(self._text[self._start : self._start + _LONGEST_EVENT], self.number, damage)
        self._again_until = len(self._text)
        self._position = self._start + len("<Event")
        self._start = -1
        self._skip_to = ""
        return piece

    def _scan(self, limit: int) -> Iterator[_Piece]:
        """Reads tokens that start before the limit, so that none is cut off."""
        while self._position < limit:
            if self._skip_to:
                end = self._text.find(self._skip_to, self._position)
                self._position = limit if end < 0 else end + len(self._skip_to)
                self._skip_to = self._skip_to if end < 0 else ""
                continue
            token = _TOKEN.search(self._text, self._position)
            if token is None or token.start() >= limit:
                self._position = limit
                return
            self._position = token.end()
            if token["start"]:
                yield from self._open(token.start())
            elif token["end"]:
                yield from self._close(token.end())
            else:
                self._note(token)

    def _open(self, start: int) -> Iterator[_Piece]:
        if self._start >= 0:
            if self._in_user_data and start >= self._again_until:
                self._depth += 1
                return
            yield _Piece(self._text[self._start : start], self.number, _CUT_OFF)
        self.is_export = True
        self.number += 1
        self._start = start
        self._depth = 1
        self._in_user_data = False

    def _close(self, end: int) -> Iterator[_Piece]:
        self._depth -= 1
        if self._start >= 0 and self._depth == 0:
            yield _Piece(self._text[self._start : end], self.number)
            self._start = -1

    def _note(self, token: re.Match[str]) -> None:
        if token["user_data"]:
            self._in_user_data = True
        elif token["root"]:
            self.is_export = True
        elif token["comment"]:
            self._skip_to = "-->"
        elif token["cdata"]:
            self._skip_to = "]]>"
        elif self._start < 0:
            raise DocumentTypeError


def _pieces(text: io.TextIOWrapper) -> Iterator[_Piece]:
    scanner = _Scanner()
    while True:
        block = text.read(_BLOCK)
        yield from scanner.feed(block, last=not block)
        if not block:
            break
    if scanner.is_empty:
        yield _Piece("", 0, IS_EMPTY)
    elif not scanner.is_export:
        raise NotAnExportError
