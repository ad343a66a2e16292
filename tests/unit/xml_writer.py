"""Writes events as Windows' own tools export them to XML: wevtutil and Event Viewer."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

from tests.unit.evtx_writer import NAMESPACE, Event

# What Event Viewer escapes besides markup.
_LINE_ENDS = {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}


def wevtutil(events: Iterable[Event], *, root: bool = False) -> str:
    """What `wevtutil qe` prints: all in one line; with `/e:Events` there is a root."""
    text = "".join(element(event) for event in events)
    return f"<Events>{text}</Events>" if root else text


def event_viewer(events: Iterable[Event]) -> str:
    """What Event Viewer saves as XML: with a declaration and a root, in the order of its view, newest first."""
    text = "".join(element(event, _LINE_ENDS) for event in sorted(events, key=lambda event: event.time, reverse=True))
    return f'<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n<Events>{text}</Events>'


def element(event: Event, entities: dict[str, str] | None = None) -> str:
    """One event, with single quotes round attributes, and empty elements for what it does not have."""

    def text(value: str) -> str:
        return escape(value, entities or {})

    def attributes(*pairs: tuple[str, object]) -> str:
        return "".join(f" {name}='{escape(str(value))}'" for name, value in pairs if value is not None)

    system = (
        f"<Provider{attributes(('Name', event.provider), ('Guid', event.guid), ('EventSourceName', event.source))}/>"
        f"<EventID{attributes(('Qualifiers', event.qualifiers))}>{event.event_id}</EventID>"
        f"<Version>{event.version}</Version><Level>{event.level}</Level><Task>{event.task}</Task>"
        f"<Opcode>{event.opcode}</Opcode><Keywords>{event.keywords:#x}</Keywords>"
        f"<TimeCreated SystemTime='{event.time}'/><EventRecordID>{event.record_id}</EventRecordID>"
        f"<Correlation{attributes(('ActivityID', event.activity_id))}/>"
        f"<Execution ProcessID='{event.process_id}' ThreadID='{event.thread_id}'/>"
        f"<Channel>{text(event.channel)}</Channel><Computer>{text(event.computer)}</Computer>"
        f"<Security{attributes(('UserID', event.user_sid))}/>"
    )
    data = "".join(f"<Data{attributes(('Name', name))}>{text(value)}</Data>" for name, value in event.data)
    rendered = "".join(f"<{name}>{text(value)}</{name}>" for name, value in event.rendering if name != "Culture")
    culture = attributes(*(pair for pair in event.rendering if pair[0] == "Culture"))
    information = f"<RenderingInfo{culture}>{rendered}</RenderingInfo>" if event.rendering else ""
    return f"<Event xmlns='{NAMESPACE}'><System>{system}</System><EventData>{data}</EventData>{information}</Event>"
