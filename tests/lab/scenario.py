"""Reads a scenario file: which hosts there are, which sites they enrol at, and what is wrong with each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.lab.faults import Fault, read_fault
from tests.lab.node import Node, ScenarioError
from tests.lab.site_scenario import SiteScenario, site
from tests.lab.state_scenario import HostState, state

_SCENARIOS = Path(__file__).parent / "scenarios"
DEFAULT, REMEDIATE = _SCENARIOS / "default.yml", _SCENARIOS / "remediate.yml"
LANGUAGES = ("en-US", "de-DE")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,14}")
_FIELDS = ("context", "url", "message_text", "method", "stage", "error_code")


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
    state: HostState = field(default_factory=HostState)
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """A scenario file: its hosts, and the sites that they reach."""

    hosts: tuple[HostScenario, ...]
    sites: tuple[SiteScenario, ...] = ()


def load(path: Path = DEFAULT) -> list[HostScenario]:
    """The hosts of a scenario; as load_scenario()."""
    return list(load_scenario(path).hosts)


def load_scenario(path: Path = DEFAULT) -> Scenario:
    """Reads and checks a scenario.

    Raises:
        ScenarioError: it cannot be read, or something in it is wrong.
    """
    where = f"scenario {path}"
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{where}: cannot be read: {error}") from error
    top = Node(document, where)
    failures = {name: _failure(node) for name, node in top.named("failures")}
    hosts = top.node("hosts").rest()
    sites = {name: site(name, node, list(map(str, hosts))) for name, node in top.named("sites")}
    top.finish()
    if not hosts:
        raise ScenarioError(f"{where}: hosts: at least one is needed")
    found = [_host(name, value, where, failures, sites) for name, value in hosts.items()]
    return Scenario(tuple(found), tuple(sites.values()))


_Failure = tuple[int, tuple[str | None, ...], str]


def _failure(node: Node) -> _Failure:
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


def _host(
    name: object,
    value: object,
    where: str,
    failures: Mapping[str, _Failure],
    sites: Mapping[str, SiteScenario],
) -> HostScenario:
    where = f"{where}: host {name}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ScenarioError(f"{where}: a computer's name has 1 to 15 letters, digits and hyphens")
    node = Node(value or {}, where)
    node.text("about")
    host = HostScenario(
        name=name,
        down=node.flag("down", False),
        language=node.choice("language", LANGUAGES) or "en-US",
        time_zone=node.text("time_zone"),
        clock=node.duration("clock", signed=True) or timedelta(),
        started=node.duration("started") or HostScenario.started,
        groups=_groups(node),
        variables=Node(node.take("variables") or {}, f"{where}: variables").rest(),
        log=_log(Node(node.take("log") or {}, f"{where}: log")),
        happenings=tuple(_happening(entry, failures) for entry in node.nodes("events")),
        sources=tuple(_source(entry, failures) for entry in node.nodes("forwards")),
        state=state(node, sites),
        faults=tuple(read_fault(entry) for entry in node.nodes("faults")),
    )
    node.finish()
    return host


def _groups(node: Node) -> tuple[str, ...]:
    value = node.take("groups") or []
    if not isinstance(value, list) or not all(isinstance(name, str) and name.isidentifier() for name in value):
        raise node.wrong("groups", f"a list of group names is needed, not {value!r}")
    return tuple(value)


def _log(node: Node) -> LogSettings:
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


def _happening(node: Node, failures: Mapping[str, _Failure]) -> Happening:
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


def _source(node: Node, failures: Mapping[str, _Failure]) -> Source:
    computer = node.text("computer")
    if not computer:
        raise node.wrong("computer", "a name is needed")
    rendering = node.choice("rendering", LANGUAGES)
    source = Source(computer, rendering, tuple(_happening(entry, failures) for entry in node.nodes("events")))
    node.finish()
    return source
