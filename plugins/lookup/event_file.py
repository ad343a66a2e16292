# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup event_file: SCEP enrolment events from exported logs on the controller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError, AnsibleOptionsError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent
from ansible_collections.winpki.scep.plugins.plugin_utils.event_file import find_logs, read_log, shown
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection, SinceError, parse_since
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import LogFileError

_OPTIONS = ("computers", "encoding", "event_ids", "since")
_EVENT_IDS = [86, 87, 88]


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms: Iterable[Any], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[RawEvent]:
        """Returns the events of all terms, oldest first."""
        selection, encoding = _options(kwargs)
        events: list[RawEvent] = []
        for path, named in _paths(terms, self._bases(variables or {})).items():
            try:
                log = read_log(path, selection, encoding)
            except LogFileError as error:
                if named:
                    raise AnsibleLookupError(f"event_file: {shown(str(path))} {error}") from error
                _warn(f"{shown(str(path))} {error}")
                continue
            for problem in log.problems:
                _warn(f"{shown(str(path))}: {problem}")
            events += log.events
        events.sort(key=lambda event: event["time_created"] or "")
        return events

    def _bases(self, variables: Mapping[str, Any]) -> list[str]:
        """Returns the folders below which a relative path is looked for, in their order."""
        base: Callable[[Mapping[str, Any]], str] = self.get_basedir
        # ansible-core 2.17 has an empty one for a task of which it does not know the file.
        folders = [str(folder) for folder in variables.get("ansible_search_path") or [base(variables)] if folder]
        return [*(place for folder in folders for place in (f"{folder}/files", folder)), str(Path.cwd())]


def _options(given: Mapping[str, Any]) -> tuple[Selection, str | None]:
    """Returns the wanted events and the encoding. Ansible itself does not check a lookup's options."""
    unknown = ", ".join(sorted(given.keys() - {*_OPTIONS}))
    if unknown:
        raise AnsibleOptionsError(f"event_file: no such option: {unknown}; there are {', '.join(_OPTIONS)}")
    options = {name: value for name, value in given.items() if value is not None}
    try:
        event_ids = [int(value) for value in _list(options.get("event_ids", _EVENT_IDS))]
    except (TypeError, ValueError) as error:
        raise AnsibleOptionsError("event_file: event_ids: one of them is no whole number") from error
    try:
        since = parse_since(options["since"], datetime.now(timezone.utc)) if "since" in options else None
    except SinceError as error:
        raise AnsibleOptionsError(f"event_file: since: {error}") from error
    computers = [str(name).strip() for name in _list(options.get("computers", [])) if str(name).strip()]
    encoding = options.get("encoding")
    return Selection(event_ids, since, computers), None if encoding is None else str(encoding)


def _list(value: Any) -> list[Any]:
    """Returns a list as it is, the parts of a text that has commas between them, and anything else as a list of one."""
    if isinstance(value, list):
        return value
    return value.split(",") if isinstance(value, str) else [value]


def _paths(terms: Iterable[Any], bases: list[str]) -> dict[Path, bool]:
    """Returns each file once, with whether it was named itself."""
    paths: dict[Path, bool] = {}
    for term in (item for entry in terms for item in (entry if isinstance(entry, list) else [entry])):
        try:
            found = find_logs(str(term), bases)
        except LogFileError as error:
            raise AnsibleLookupError(f"event_file: '{shown(str(term))}' {error}") from error
        for problem in found.problems:
            _warn(problem)
        for path in found.paths:
            paths[path] = paths.get(path, False) or found.named
    return paths


def _warn(text: str) -> None:
    Display().warning(f"event_file: {text}")
