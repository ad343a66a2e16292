# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw events of SCEP enrolment (86, 87, 88) to parsed ones. The shapes: docs/data.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, TypedDict, TypeVar

from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import Endpoint, parse_endpoint
from ansible_collections.winpki.scep.plugins.plugin_utils.event_text import (
    Fields,
    Http,
    Scep,
    parse_http,
    parse_scep,
    read_text,
    read_values,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.hresult import EventError, parse_error

Language = Literal["structured", "en", "de", "other"]


class _RawEvent(TypedDict):
    record_id: int | None
    event_id: int | None
    log: str | None
    computer: str | None
    provider: str | None
    level: int | None
    time_created: str | None
    user_sid: str | None
    data: dict[str, str | None]
    message: str | None


class RawEvent(_RawEvent, total=False):
    """An event as a source gives it: module event_info, lookup event_file.

    Attributes:
        data: the fields that the event names: Context, Url, MessageText, Method, Stage, ErrorCode.
        values: only if the event has values without names: these, in order.
        message: the rendered text, in the language of the machine that rendered it.
        count: how many equal failures this one stands for, if the source folded them; the rest is the newest's.
        first_seen: time of the oldest of these.
        last_seen: time of the newest of these.
        host: the inventory name of the host whose own log this was read from, where the reader knows it.
    """

    values: list[str]
    count: int
    first_seen: str
    last_seen: str
    host: str


class Context(TypedDict):
    r"""On whose behalf was enrolled: ``INTRA\rudi`` is the user ``rudi`` of the domain ``INTRA``."""

    raw: str
    kind: Literal["machine", "user", "system"]
    domain: str | None
    name: str | None


class _Event(TypedDict):
    # One key more than 21, and Python gives every event's dict twice the memory.
    record_id: int | None
    event_id: int | None
    log: str | None
    computer: str | None
    provider: str | None
    level: int | None
    time_created: str | None
    user_sid: str | None
    context: Context | None
    url: str | None
    endpoint: Endpoint | None
    stage: str | None
    method: str | None
    duration_ms: int | None
    text: str | None
    http: Http | None
    scep: Scep | None
    error: EventError | None
    language: Language | None
    count: int
    first_seen: str | None


class Event(_Event, total=False):
    """A parsed event; what is not in the event is null. Equal parts of several events may be one object: do not change.

    Attributes:
        time_created: ISO 8601 UTC with seven decimals, so that times compare as text.
        text: MessageText; of an event that could not be read, all the text that it has.
        duration_ms: how long the request took.
        http: the server's answer, if MessageText shows one.
        scep: the server's verdict, if MessageText shows one (event 87).
        language: of the text that the event was read from, ``structured`` where it has fields, null if it has neither.
        count: how many events this one stands for; 1 unless the source folded them, then the rest is the newest's.
        first_seen: time of the oldest of these.
        host: only if the reader knew it: the inventory name of the host whose log the event is from.
    """

    host: str


_METHOD = re.compile(r"\s*([A-Za-z]{1,20})\s?\(\s?([0-9]{1,9})\s?ms\)\s*", re.ASCII)
_TIME = re.compile(
    r"""
    (?P<seconds>[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2})
    (?:[.,](?P<fraction>[0-9]{1,9}))?
    (?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
_CACHE_LIMIT = 10_000
_NOTHING = Fields()
_T = TypeVar("_T")


class NotAnEventError(TypeError):
    """An element of the list is no event."""

    def __init__(self, index: int, item: object) -> None:
        """Says which element it is, counted from 0, and what it is instead."""
        super().__init__(f"element {index} is not an event (a dict) but of type {type(item).__name__}")


class _Reader:
    """Reads events, and remembers the parts that many events have in common, up to a limit."""

    def __init__(self) -> None:
        self._contexts: dict[str, Context] = {}
        self._endpoints: dict[str, Endpoint | None] = {}
        self._errors: dict[str, EventError | None] = {}
        self._methods: dict[str, tuple[str | None, int | None]] = {}
        self._texts: dict[str, tuple[Http | None, Scep | None]] = {}

    def read(self, raw: Mapping[str, Any]) -> Event:
        event_id = _int(raw.get("event_id"))
        fields, language = _fields(raw, event_id)
        time = first = normal_time(raw.get("time_created"))
        if "count" in raw:
            time = normal_time(raw.get("last_seen")) or time
            first = normal_time(raw.get("first_seen")) or first
        method, duration = self._method(fields.method)
        http, scep = self._text(fields.text)
        count = _int(raw.get("count"))
        event: Event = {
            "record_id": _int(raw.get("record_id")),
            "event_id": fields.event_id if event_id is None else event_id,
            "log": _str(raw.get("log")),
            "computer": _str(raw.get("computer")),
            "provider": _str(raw.get("provider")),
            "level": _int(raw.get("level")),
            "time_created": time,
            "user_sid": _str(raw.get("user_sid")),
            "context": self._context(fields.context),
            "url": fields.url,
            "endpoint": self._endpoint(fields.url),
            "stage": fields.stage,
            "method": method,
            "duration_ms": duration,
            "text": fields.text,
            "http": http,
            "scep": scep,
            "error": self._error(fields.error),
            "language": language,
            "count": count if count is not None and count > 0 else 1,
            "first_seen": first,
        }
        host = _str(raw.get("host"))
        if host is not None:
            event["host"] = host
        return event

    def _context(self, text: str | None) -> Context | None:
        if not text:
            return None
        known = self._contexts.get(text)
        if known is None:
            known = _remember(self._contexts, text, parse_context(text))
        return known

    def _endpoint(self, url: str | None) -> Endpoint | None:
        if not url:
            return None
        known = self._endpoints.get(url)
        if known is None:
            known = _remember(self._endpoints, url, parse_endpoint(url))
        return known

    def _error(self, text: str | None) -> EventError | None:
        if not text:
            return None
        if text in self._errors:
            return self._errors[text]
        return _remember(self._errors, text, parse_error(text))

    def _method(self, text: str | None) -> tuple[str | None, int | None]:
        if not text:
            return None, None
        known = self._methods.get(text)
        if known is None:
            known = _remember(self._methods, text, _parse_method(text))
        return known

    def _text(self, text: str | None) -> tuple[Http | None, Scep | None]:
        if not text:
            return None, None
        known = self._texts.get(text)
        if known is None:
            known = _remember(self._texts, text, (parse_http(text), parse_scep(text)))
        return known


def parse_events(raw: Iterable[RawEvent]) -> list[Event]:
    """Returns the parsed events, one for each raw event and in the same order.

    Raises:
        NotAnEventError: an element is not a dict; the message says which.
    """
    reader = _Reader()
    events = []
    for index, item in enumerate(raw):
        if not isinstance(item, Mapping):
            raise NotAnEventError(index, item)
        events.append(reader.read(item))
    return events


def parse_event(raw: RawEvent) -> Event:
    """Returns the parsed event."""
    return parse_events([raw])[0]


def parse_context(text: str) -> Context:
    r"""Returns the parts of a Context field: ``DOMAIN\user``, ``DOMAIN\HOST$`` or ``Local system``."""
    stripped = text.strip()
    domain, backslash, name = stripped.rpartition("\\")
    if stripped.casefold() == "local system":
        return {"raw": text, "kind": "system", "domain": None, "name": None}
    return {
        "raw": text,
        "kind": "machine" if name.endswith("$") else "user",
        "domain": domain if backslash else None,
        "name": name or None,
    }


def normal_time(value: object) -> str | None:
    """Returns an ISO 8601 time as UTC with seven decimals and Z, or None if it is none. Without a zone it is UTC."""
    if not isinstance(value, str):
        return None
    try:
        if not _is_normal(value):
            return _normal_time(value)
        datetime.fromisoformat(value[:19])
    except (ValueError, OverflowError):
        return None
    return value


def _is_normal(value: str) -> bool:
    """Returns whether this can only be a time with seven decimals and Z: faster than the regular expression."""
    return (
        len(value) == 28
        and value.isascii()
        and value[20:27].isdigit()
        and value[4] + value[7] + value[10] + value[19] + value[27] == "--T.Z"
    )


def _normal_time(value: str) -> str | None:
    match = _TIME.fullmatch(value.strip())
    if match is None:
        return None
    moment = datetime.fromisoformat(match["seconds"].upper())
    zone = (match["zone"] or "Z").upper()
    if zone != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        moment = moment - offset if zone[0] == "+" else moment + offset
    return f"{moment.isoformat()}.{(match['fraction'] or '')[:7]:0<7}Z"


def time_of(value: str | None) -> datetime | None:
    """Returns a time of an event as a datetime (to the microsecond), or None."""
    normal = normal_time(value)
    if normal is None:
        return None
    return datetime.fromisoformat(normal[:26]).replace(tzinfo=timezone.utc)


def _fields(raw: Mapping[str, Any], event_id: int | None) -> tuple[Fields, Language | None]:
    data = raw.get("data")
    if isinstance(data, Mapping) and data:
        fields = Fields(
            _field(data.get("Context")),
            _field(data.get("Url")),
            _field(data.get("MessageText")),
            _field(data.get("Method")),
            _field(data.get("Stage")),
            _field(data.get("ErrorCode")),
        )
        if fields == _NOTHING:
            fields = Fields(text="\n".join(f"{name}: {value}" for name, value in data.items()))
        return fields, "structured"
    values = raw.get("values")
    if isinstance(values, list) and values:
        return read_values([value.strip() for value in values if isinstance(value, str)], event_id), "structured"
    message = _field(raw.get("message"))
    if message:
        return read_text(message)
    return _NOTHING, None


def _parse_method(text: str) -> tuple[str | None, int | None]:
    match = _METHOD.fullmatch(text)
    if match is None:
        return text.strip() or None, None
    return match[1].upper(), int(match[2])


def _field(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _str(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _int(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit():
        return int(value)
    return None


def _remember(cache: dict[str, _T], key: str, value: _T) -> _T:
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
    cache[key] = value
    return value
