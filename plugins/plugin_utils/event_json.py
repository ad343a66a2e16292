# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An event of a log file (.evtx), as the library evtx gives it in JSON, to a raw event.

JSON, not the XML that the library also has: it takes every character as it is, and is read four times as fast.
An element becomes its text, or an object of its children with the attributes under `#attributes` and the text under
`#text`. The Data elements of EventData become members by their names; those without one become the member `Data`, its
text a list if there are several, but are left out if there are others with a name.
"""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent, normal_time
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import FIELD_NAMES, PROVIDER, Selection
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import MalformedEventError

_NO_EVENT = "it has no EventID"
_COMPLETE: tuple[set[str], ...] = ({*FIELD_NAMES}, {*FIELD_NAMES[:-1]}, set())


class IncompleteJsonError(Exception):
    """The event may have values without names beside its named ones: they are only in its XML."""


def select_event(text: str, selection: Selection) -> RawEvent | None:
    """Returns the event, or None if it is not a wanted one.

    Raises:
        MalformedEventError: it may be a wanted one, but can't be read.
        IncompleteJsonError: it may be a wanted one, but there may be more to it.
    """
    if PROVIDER not in text:
        return None
    try:
        event = json.loads(text)["Event"]
        system = event["System"]
        event_id = int(_text(system["EventID"]))
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedEventError(_NO_EVENT) from error
    data = event.get("EventData")
    if not isinstance(data, dict):
        data = {}
    unnamed = data.get("Data")
    # With all fields of 86 and 87, or of 88, an event is complete.
    if not isinstance(unnamed, dict) and data.keys() - {"Binary"} not in _COMPLETE:
        raise IncompleteJsonError
    rendering = event.get("RenderingInfo")
    raw: RawEvent = {
        "record_id": _integer(system.get("EventRecordID")),
        "event_id": event_id,
        "log": _text(system.get("Channel")) or None,
        "computer": _text(system.get("Computer")) or None,
        "provider": _attribute(system, "Provider", "Name"),
        "level": _integer(system.get("Level")),
        "time_created": normal_time(_attribute(system, "TimeCreated", "SystemTime")),
        "user_sid": _attribute(system, "Security", "UserID"),
        "data": {name: _text(data[name]) for name in FIELD_NAMES if name in data},
        "message": (_text(rendering.get("Message")) if isinstance(rendering, dict) else "") or None,
    }
    if isinstance(unnamed, dict):
        values = unnamed.get("#text")
        raw["values"] = [_text(value) for value in values] if isinstance(values, list) else [_text(values)]
    return raw if selection.wants(raw) else None


def _attribute(parent: dict[str, Any], element: str, name: str) -> str | None:
    value = parent.get(element)
    attributes = value.get("#attributes") if isinstance(value, dict) else None
    return (_text(attributes.get(name)) or None) if isinstance(attributes, dict) else None


def _text(value: Any) -> str:
    """Returns the text of an element; numbers come as such."""
    if isinstance(value, dict):
        value = value.get("#text")
    return "" if value is None else str(value)


def _integer(value: Any) -> int | None:
    text = _text(value)
    return int(text) if text.isascii() and text.isdigit() else None
