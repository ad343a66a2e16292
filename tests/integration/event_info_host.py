"""A host of a test's own, and the module event_info on it, without Ansible and WinRM around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.engine import Engine
from tests.lab.events import Event
from tests.lab.host import LogConfig, write_host, write_log
from tests.powershell.runner import ModuleRunner


@contextmanager
def event_info(engine: Engine, folder: Path) -> Iterator[ModuleRunner]:
    """The process for a file's tests; its host gives all of them their name, clock and time zone."""
    write_host(folder, "CLIENT1")
    with ModuleRunner(engine, folder, "event_info", "_EnrolmentEvent", "_EventLog") as runner:
        yield runner


class Host:
    """The host, with empty logs at first."""

    def __init__(self, folder: Path, runner: ModuleRunner) -> None:
        self.folder = write_host(folder, "CLIENT1")
        self._runner = runner

    def write(self, *events: Event, log: str = "Application", config: LogConfig | None = None) -> None:
        """Write a log of the host."""
        write_log(self.folder, events, log=log, config=config)

    def run(self, **options: Any) -> dict[str, Any]:
        """Run the module; it has to succeed."""
        result = self._runner.run(self.folder, **options)
        assert "msg" not in result, result["msg"]
        assert result["changed"] is False
        return result

    def fail(self, **options: Any) -> dict[str, Any]:
        """Run the module; it has to fail, with all that it always returns."""
        result = self._runner.run(self.folder, **options)
        assert result["failed"] is True
        assert (result["events"], result["truncated"], result["last_record_id"]) == ([], False, None)
        return result

    def fail_early(self, **options: Any) -> str:
        """Run the module with options that Ansible refuses by itself, and return what it says."""
        result = self._runner.run(self.folder, **options)
        assert result["failed"] is True
        return str(result["msg"])

    def ids(self, **options: Any) -> list[int]:
        """The record ids of the events that the module finds."""
        return [event["record_id"] for event in self.run(**options)["events"]]
