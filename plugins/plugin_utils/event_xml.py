# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The XML of one event, as Windows renders it, to a raw event.

What goes to the XML parser is one `Event` element, never a document: so there is no place for a document type
declaration, no entity can be declared, and one event that is not well-formed spoils no other.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent, normal_time
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import FIELD_NAMES, PROVIDER, Selection
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import MalformedEventError

# What a decoder puts in the place of bytes that are none of its characters; Windows never writes it, as it is none.
UNDECODABLE = "\ufffe"

_NO_EVENT = "it has no EventID"
_EVENT_ID = re.compile(r"<EventID(?:\s[^<>]*)?>\s*([0-9]{1,9})\s*</EventID>", re.ASCII)
_RECORD_ID = re.compile(r"<EventRecordID>\s*([0-9]{1,20})\s*</EventRecordID>", re.ASCII)

# Windows writes control characters that XML 1.0 forbids, as they are or as references, and a lone carriage return
# would be read as a line feed. Each goes through the parser as one of the 32 noncharacters that XML allows.
_STAND_IN = 0xFDD0
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,9}));", re.ASCII)
_BETWEEN_TAGS = re.compile(r">[^<]+")
_RESTORE = {_STAND_IN + code: code for code in range(32)}


def select_event(text: str, selection: Selection) -> RawEvent | None:
    """Returns the event, or None if it is not a wanted one. What can't be wanted is not parsed.

    Raises:
        MalformedEventError: it may be a wanted one, but can't be read.
    """
    if PROVIDER not in text:
        return None
    event_id = _EVENT_ID.search(text)
    if event_id is not None and int(event_id[1]) not in selection.event_ids:
        return None
    event = parse_event(text)
    return event if selection.wants(event) else None


def record_id(text: str) -> int | None:
    """Returns the record id of an event that could not be parsed, if it still has one."""
    match = _RECORD_ID.search(text)
    return int(match[1]) if match else None


def parse_event(text: str) -> RawEvent:
    """Returns the raw event of one `Event` element.

    Raises:
        MalformedEventError: it is not well-formed, or no event.
    """
    if "\r" in text or "&#" in text:
        return _parse_protected(text)
    try:
        return _Reader().read(text)
    except (expat.ExpatError, UnicodeEncodeError):
        # It may have other characters that XML forbids: looking for them first would cost as much as parsing.
        return _parse_protected(text)


def _parse_protected(text: str) -> RawEvent:
    try:
        return _Reader(_RESTORE).read(_protect(text))
    except expat.ExpatError as error:
        raise MalformedEventError(expat.ErrorString(error.code)) from error


class _Reader:
    """Collects what a raw event needs: three levels down, in System, EventData and RenderingInfo."""

    def __init__(self, restore: dict[int, int] | None = None) -> None:
        """`restore` says which characters of the text stand for others."""
        self._restore = restore
        self._root: str | None = None
        self._system: dict[str, str] = {}
        self._data: list[tuple[str | None, str]] = []
        self._message: str | None = None
        self._depth = 0
        self._section = ""
        self._name: str | None = None
        self._text: list[str] = []

    def read(self, text: str) -> RawEvent:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.Parse(text, True)
        if self._root != "Event" or _integer(self._system.get("EventID")) is None:
            raise MalformedEventError(_NO_EVENT)
        return self._event()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            self._root = name
        elif self._depth == 2:
            self._section = name
        elif self._depth == 3:
            self._text.clear()
            if self._section == "System":
                for key, value in attributes.items():
                    self._system[f"{name}/{key}"] = self._restored(value)
            else:
                self._name = attributes.get("Name")

    def _end(self, name: str) -> None:
        if self._depth == 3:
            if self._section == "System":
                self._system[name] = self._restored("".join(self._text))
            elif self._section == "EventData" and name == "Data":
                self._data.append((self._name or None, self._restored("".join(self._text))))
            elif self._section == "RenderingInfo" and name == "Message":
                self._message = self._restored("".join(self._text))
        self._depth -= 1

    def _restored(self, text: str) -> str:
        return text.translate(self._restore) if self._restore else text

    def _event(self) -> RawEvent:
        system = self._system
        named: dict[str, str | None] = {}
        for name, text in self._data:
            if name in FIELD_NAMES:
                named.setdefault(name, text)
        event: RawEvent = {
            "record_id": _integer(system.get("EventRecordID")),
            "event_id": _integer(system.get("EventID")),
            "log": system.get("Channel") or None,
            "computer": system.get("Computer") or None,
            "provider": system.get("Provider/Name"),
            "level": _integer(system.get("Level")),
            "time_created": normal_time(system.get("TimeCreated/SystemTime")),
            "user_sid": system.get("Security/UserID") or None,
            "data": named,
            "message": self._message or None,
        }
        values = [text for name, text in self._data if name is None]
        if values:
            event["values"] = values
        return event


def _integer(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _protect(text: str) -> str:
    text = _REFERENCE.sub(_protect_reference, text)
    if "\r" in text:
        text = _BETWEEN_TAGS.sub(lambda match: match[0].replace("\r", chr(_STAND_IN + 13)), text)
    return _FORBIDDEN.sub(lambda match: _stand_in(ord(match[0])), text)


def _protect_reference(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else int(match[2])
    if code > 0x10FFFF:
        return "\ufffd"
    return _stand_in(code) if _FORBIDDEN.match(chr(code)) else match[0]


def _stand_in(code: int) -> str:
    return chr(_STAND_IN + code) if code < 32 else "\ufffd"
