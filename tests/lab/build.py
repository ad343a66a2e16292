"""Makes the hosts of a scenario: their folders with the events as old as the scenario says."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.lab.engine import Runner
from tests.lab.events import FIELDS, Event, background_event, enrolment_event, forwarded, stamp
from tests.lab.fleet import Fleet, FleetHost
from tests.lab.host import LogConfig, host_time, write_host, write_log
from tests.lab.scenario import Happening, HostScenario, LogSettings, Scenario, Source
from tests.lab.sites import Sites
from tests.lab.state import write_state

_LOG_CLEARED = 15011


def repeated(hosts: Sequence[HostScenario], count: int) -> list[HostScenario]:
    """The first ``count`` hosts; where there are fewer, all of them again with a number after their names."""
    rounds = (divmod(index, len(hosts)) for index in range(count))
    return [replace(hosts[place], name=f"{hosts[place].name}{f'-{turn + 1}' * bool(turn)}") for turn, place in rounds]


def build(hosts: Iterable[HostScenario], folder: Path, sites: Sites | None = None) -> list[FleetHost]:
    """Writes the hosts' folders below ``folder``; ``sites`` are those of the scenario, running."""
    return [_host(host, folder / host.name, sites or Sites()) for host in hosts]


@contextlib.contextmanager
def scenario_fleet(
    scenario: Scenario,
    runner: Runner,
    *,
    folder: Path | None = None,
    count: int | None = None,
    https: bool = False,
    **settings: Any,
) -> Iterator[Fleet]:
    """Starts the sites and hosts of a scenario, and stops them.

    Args:
        scenario: as loaded.
        runner: the engine.
        folder: for all that is written; a temporary one if None.
        count: how many hosts; all by default.
        https: WinRM over HTTPS.
        **settings: further ones of Fleet.
    """
    with contextlib.ExitStack() as stack:
        path = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="winpki-lab-")))
        sites = stack.enter_context(Sites(scenario.sites))
        hosts = build(repeated(scenario.hosts, count or len(scenario.hosts)), path / "hosts", sites)
        variables = {"lab_sites": sites.write(path / "sites")} if scenario.sites else {}
        fleet = Fleet(hosts, runner, path, https=https, variables=variables, sites=sites, **settings)
        yield stack.enter_context(fleet)


def _host(host: HostScenario, folder: Path, sites: Sites) -> FleetHost:
    if not host.down:
        clock = host.clock.total_seconds()
        write_host(
            folder,
            host.name,
            language=host.language,
            time_zone=host.time_zone,
            clock_seconds=clock,
            started=host.started,
        )
        now = host_time(clock)
        write_log(folder, _application(host, now), config=_config(host.log))
        if host.sources:
            write_log(folder, _collected(host.sources, now), log="ForwardedEvents")
        write_state(folder, host.name, host.state, sites, now)
    return FleetHost(
        host.name, folder, down=host.down, groups=host.groups, variables=host.variables, faults=host.faults
    )


def _config(log: LogSettings) -> LogConfig:
    return LogConfig(
        enabled=None if log.enabled else False,
        oldest_record=log.first_record if log.first_record > 1 else None,
        access_denied=log.access_denied or None,
        missing=log.missing or None,
        read_error=None if log.read_error_after is None else (log.read_error_after, _LOG_CLEARED),
    )


def _application(host: HostScenario, now: datetime) -> list[Event]:
    step = host.log.begins / max(host.log.background, 1)
    noise = (
        (now - host.log.begins + step * index, background_event(index, host.name))
        for index in range(host.log.background)
    )
    own = ((time, event) for each in host.happenings for time, event in _occurrences(each, host.name, now))
    return _numbered([*noise, *own], host.log.first_record)


def _collected(sources: Sequence[Source], now: datetime) -> list[Event]:
    arrived: list[tuple[str, Source, Event]] = []
    for number, source in enumerate(sources, 1):
        own = [pair for each in source.happenings for pair in _occurrences(each, source.computer, now)]
        # Every source counts its own records, so the collector's log has equal and jumping numbers.
        arrived += [(event["time"], source, event) for event in _numbered(own, 1000 * number)]
    arrived.sort(key=lambda entry: entry[0])
    return [
        forwarded(event, number, language=source.rendering)
        for number, (_unused, source, event) in enumerate(arrived, 1)
    ]


def _occurrences(happening: Happening, computer: str, now: datetime) -> Iterator[tuple[datetime, Event]]:
    name = computer.partition(".")[0]
    values = [_filled(value, name) for value in happening.values]
    values[0] = values[0] or f"WORKGROUP\\{name}$"
    # A success has no error code.
    values = values[: len(FIELDS) - (happening.event_id == 88)]
    step = (happening.first - happening.last) / max(happening.times - 1, 1)
    for index in range(happening.times):
        time = now - happening.first + step * index
        yield (
            time,
            enrolment_event(
                happening.event_id,
                0,
                time,
                values,
                computer=computer,
                user=happening.user,
                named=happening.named,
                binary=None if happening.named else "0A0B",
            ),
        )


def _filled(value: str | None, host: str) -> str | None:
    return None if value is None else value.replace("{host}", host)


def _numbered(events: Iterable[tuple[datetime, Event]], first: int) -> list[Event]:
    ordered = sorted(events, key=lambda pair: pair[0])
    return [{**event, "record": first + index, "time": stamp(time)} for index, (time, event) in enumerate(ordered)]
