"""Reads a scenario file: which hosts there are and what is wrong with each. scenarios/default.yml shows all of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

DEFAULT = Path(__file__).parent / "scenarios" / "default.yml"
LANGUAGES = ("en-US", "de-DE")
_DURATION = re.compile(r"(-?)(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,14}")
_FIELDS = ("context", "url", "message_text", "method", "stage", "error_code")


class ScenarioError(Exception):
    """A scenario that cannot be used; the message names the file, the host and the key."""


@dataclass(frozen=True)
class Happening:
    """An event that a host has had, once or several times at equal distances.

    Attributes:
        event_id: 86, 87 or 88.
        values: the six fields in order; None is one that the scenario leaves out.
        user: SID.
        named: whether the Data elements carry names.
        times: how often.
        first: how long ago the first was.
        last: how long ago the last was.
    """

    event_id: int
    values: tuple[str | None, ...]
    user: str
    named: bool
    times: int
    first: timedelta
    last: timedelta


@dataclass(frozen=True)
class Source:
    """A computer whose events a collector has; ``rendering`` is the language of their text, None if they have none."""

    computer: str
    rendering: str | None
    happenings: tuple[Happening, ...]


@dataclass(frozen=True)
class LogSettings:
    """The Application log: how far back it goes, what else is in it, and whether it can be read."""

    begins: timedelta = timedelta(days=14)
    first_record: int = 1
    background: int = 240
    enabled: bool = True
    access_denied: bool = False
    missing: bool = False
    read_error_after: int | None = None


@dataclass(frozen=True)
class HostScenario:
    """One host."""

    name: str
    down: bool = False
    language: str = "en-US"
    time_zone: str | None = None
    clock: timedelta = timedelta()
    started: timedelta = timedelta(days=2)
    groups: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    log: LogSettings = LogSettings()
    happenings: tuple[Happening, ...] = ()
    sources: tuple[Source, ...] = ()


class _Node:
    """A mapping of the file, read key by key; what is left over at the end is a mistake."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ScenarioError(f"{where}: a mapping is needed, not {value!r}")
        self._left = dict(value)
        self.where = where

    def rest(self) -> dict[str, Any]:
        """What is left, for a mapping whose keys are names of the user's."""
        left, self._left = self._left, {}
        return left

    def take(self, key: str) -> Any:
        return self._left.pop(key, None)

    def wrong(self, key: str, what: str) -> ScenarioError:
        return ScenarioError(f"{self.where}: {key}: {what}")

    def text(self, key: str) -> str | None:
        value = self.take(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, f"text is needed, not {value!r}")
        return value

    def choice(self, key: str, among: tuple[str, ...]) -> str | None:
        value = self.text(key)
        if value is not None and value not in among:
            raise self.wrong(key, f"one of {', '.join(among)} is needed, not {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.take(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, f"true or false is needed, not {value!r}")
        return default if value is None else value

    def number(self, key: str, least: int) -> int | None:
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.wrong(key, f"a whole number from {least} up is needed, not {value!r}")
        return value

    def duration(self, key: str, *, signed: bool = False) -> timedelta | None:
        value = self.take(key)
        if value is None:
            return None
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if found is None or (found[1] and not signed):
            raise self.wrong(key, f"a duration such as 90s, 15m, 2h or 3d is needed, not {value!r}")
        return timedelta(**{_UNITS[found[3]]: int(found[1] + found[2])})

    def nodes(self, key: str) -> list[_Node]:
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(key, f"a list is needed, not {value!r}")
        return [_Node(entry, f"{self.where}: {key} {number}") for number, entry in enumerate(value, 1)]

    def finish(self) -> None:
        if self._left:
            raise ScenarioError(f"{self.where}: {', '.join(map(str, self._left))}: there is no such key")


def load(path: Path = DEFAULT) -> list[HostScenario]:
    """Reads and checks a scenario.

    Raises:
        ScenarioError: it cannot be read, or something in it is wrong.
    """
    where = f"scenario {path}"
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{where}: cannot be read: {error}") from error
    top = _Node(document, where)
    failures = _Node(top.take("failures") or {}, f"{where}: failures")
    hosts = _Node(top.take("hosts") or {}, f"{where}: hosts")
    top.finish()
    known = {str(name): _failure(_Node(value, f"{failures.where}: {name}")) for name, value in failures._left.items()}
    if not hosts._left:
        raise ScenarioError(f"{where}: hosts: at least one is needed")
    return [_host(name, value, where, known) for name, value in hosts._left.items()]


_Failure = tuple[int, tuple[str | None, ...], str]


def _failure(node: _Node) -> _Failure:
    event_id = node.number("id", 1) or 86
    if event_id not in (86, 87, 88):
        raise node.wrong("id", f"86, 87 or 88 is needed, not {event_id}")
    values = tuple(_lines(node.text(key)) for key in _FIELDS)
    user = node.text("user") or "S-1-5-18"
    node.finish()
    return event_id, values, user


def _lines(value: str | None) -> str | None:
    # Windows' text has CR LF, a YAML block has LF.
    return None if value is None else value.replace("\r\n", "\n").replace("\n", "\r\n")


def _host(name: object, value: object, where: str, failures: Mapping[str, _Failure]) -> HostScenario:
    where = f"{where}: host {name}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ScenarioError(f"{where}: a computer's name has 1 to 15 letters, digits and hyphens")
    node = _Node(value or {}, where)
    node.text("about")
    host = HostScenario(
        name=name,
        down=node.flag("down", False),
        language=node.choice("language", LANGUAGES) or "en-US",
        time_zone=node.text("time_zone"),
        clock=node.duration("clock", signed=True) or timedelta(),
        started=node.duration("started") or HostScenario.started,
        groups=_groups(node),
        variables=_Node(node.take("variables") or {}, f"{where}: variables").rest(),
        log=_log(_Node(node.take("log") or {}, f"{where}: log")),
        happenings=tuple(_happening(entry, failures) for entry in node.nodes("events")),
        sources=tuple(_source(entry, failures) for entry in node.nodes("forwards")),
    )
    node.finish()
    return host


def _groups(node: _Node) -> tuple[str, ...]:
    value = node.take("groups") or []
    if not isinstance(value, list) or not all(isinstance(name, str) and name.isidentifier() for name in value):
        raise node.wrong("groups", f"a list of group names is needed, not {value!r}")
    return tuple(value)


def _log(node: _Node) -> LogSettings:
    default = LogSettings()
    background = node.number("background", 0)
    settings = LogSettings(
        begins=node.duration("begins") or default.begins,
        first_record=node.number("first_record", 1) or default.first_record,
        background=default.background if background is None else background,
        enabled=node.flag("enabled", True),
        access_denied=node.flag("access_denied", False),
        missing=node.flag("missing", False),
        read_error_after=node.number("read_error_after", 0),
    )
    node.finish()
    return settings


def _happening(node: _Node, failures: Mapping[str, _Failure]) -> Happening:
    name = node.text("failure")
    if name is None or name not in failures:
        raise node.wrong("failure", f"{name!r} is not among the scenario's failures: {', '.join(failures)}")
    at, first, last = node.duration("at"), node.duration("from"), node.duration("to")
    times = node.number("times", 1)
    if at is not None:
        if (first, last, times) != (None, None, None):
            raise node.wrong("at", "goes without from, to and times")
        first = last = at
    if first is None or last is None:
        raise node.wrong("from", "either at, or from and to, are needed")
    if first < last:
        raise node.wrong("from", "is to be longer ago than to")
    event_id, values, user = failures[name]
    happening = Happening(event_id, values, user, node.flag("named", True), times or 1, first, last)
    node.finish()
    return happening


def _source(node: _Node, failures: Mapping[str, _Failure]) -> Source:
    computer = node.text("computer")
    if not computer:
        raise node.wrong("computer", "a name is needed")
    rendering = node.choice("rendering", LANGUAGES)
    source = Source(computer, rendering, tuple(_happening(entry, failures) for entry in node.nodes("events")))
    node.finish()
    return source
