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

DOCUMENTATION = r"""
name: event_file
author: winpki.scep contributors
version_added: "0.1.0"
short_description: SCEP enrolment events from exported logs
description:
  - Reads the events 86, 87 and 88 of C(Microsoft-Windows-CertificateServicesClient-CertEnroll) from files on the
    controller and returns them as M(winpki.scep.event_info) does.
  - Reads event logs (C(.evtx)), also copied from a running Windows or from a collector of Windows Event Forwarding, and
    XML from C(wevtutil qe), with or without C(/e:Events), from Event Viewer (saved as XML), or of single events
    (C(ToXml)). The content of a file tells which it is, not its name.
  - The files are read piece by piece, so their size does not matter. Only the wanted events are held in memory.
  - What is damaged is left out and named in a warning; everything else is returned. A file that is no log at all is an
    error if it was named itself, and a warning if it was found in a folder or by a pattern.
options:
  _terms:
    description:
      - Files, folders or patterns. A folder stands for all C(.evtx) and C(.xml) files in it and in the folders below.
        A pattern has C(*), C(?), C([...]), or C(**) for folders at any depth, and stands for whatever it matches.
      - A relative path is looked for where Ansible looks for files (C(files) and the folder itself, of the role, then
        of the playbook), and after that in the folder in which Ansible was started.
      - It is an error if there is nothing by that name, or no log in the folder.
    type: list
    elements: str
    required: true
  event_ids:
    description:
      - The ids of the wanted events.
    type: list
    elements: int
    default: [86, 87, 88]
  since:
    description:
      - Only events from then on. A duration, counted back from now (V(7d), V(12h30m), V(P1DT12H)), or an ISO 8601 date
        or time (V(2026-03-02), V(2026-03-02T07:15:00Z)). Without a zone it is UTC.
    type: raw
  computers:
    description:
      - Only events of these computers, as the events name them. A name without a domain stands for that name in any
        domain. Upper and lower case are the same. All computers, if empty.
    type: list
    elements: str
    default: []
  encoding:
    description:
      - Encoding of XML files that do not say it themselves, by a byte order mark or in an XML declaration. When a
        command prompt sends the output of C(wevtutil qe) to a file, it is in the code page of the console, for example
        V(cp850) in western Europe or V(cp437) in the United States. Only with C(/uni:true) it is Unicode.
      - Without this option, such a file is UTF-8, or UTF-16 if its first bytes say so.
    type: str
notes:
  - Use C(query), or C(lookup) with C(wantlist=true). As with every lookup, C(lookup) alone gives the event itself where
    there is only one, not a list.
  - Files in the format C(.evtx) need the Python library C(evtx) on the controller.
seealso:
  - module: winpki.scep.event_info
  - plugin: winpki.scep.parse_events
    plugin_type: filter
  - plugin: winpki.scep.classify_events
    plugin_type: filter
"""

EXAMPLES = r"""
- name: What failed, by the logs that a colleague has sent
  ansible.builtin.debug:
    msg: >-
      {{ query('winpki.scep.event_file', 'logs/CLIENT1.evtx', 'logs/CLIENT2.xml')
         | winpki.scep.parse_events | winpki.scep.classify_events }}

- name: The refusals of the last week, in all logs below a folder
  ansible.builtin.debug:
    msg: "{{ query('winpki.scep.event_file', '/srv/exported', event_ids=[87], since='7d') }}"

- name: The events of one computer in the archived logs of a collector
  ansible.builtin.debug:
    msg: "{{ query('winpki.scep.event_file', '/srv/wec/Archive-ForwardedEvents-*.evtx', computers=['client1']) }}"

- name: An export that was made in a German command prompt
  ansible.builtin.debug:
    msg: "{{ query('winpki.scep.event_file', 'CLIENT3.xml', encoding='cp850') }}"
"""

RETURN = r"""
_raw:
  description:
    - The events of all files, oldest first. What an event does not have is null.
    - P(winpki.scep.parse_events#filter) takes them as they are.
  type: list
  elements: dict
  contains:
    record_id:
      description: Number of the event in the log that it was written to. Of a forwarded event that is its source's log.
      type: int
    event_id:
      description: 86, 87 or 88.
      type: int
    log:
      description: Log that the event was written to, C(Application) also for a forwarded event.
      type: str
    computer:
      description: Computer that wrote the event, as it names itself there.
      type: str
    provider:
      description: Always C(Microsoft-Windows-CertificateServicesClient-CertEnroll).
      type: str
    level:
      description: 2 for an error, 4 for information.
      type: int
    time_created:
      description: ISO 8601, UTC, with seven decimals.
      type: str
    user_sid:
      description: Security identifier of the account on whose behalf was enrolled.
      type: str
    data:
      description:
        - The fields that the event names, of C(Context), C(Url), C(MessageText), C(Method), C(Stage), C(ErrorCode).
      type: dict
    values:
      description: Only if the event has values without names, these in order.
      type: list
      elements: str
    message:
      description: The rendered text, in the language of the machine that rendered it, if the file has it.
      type: str
  sample:
    - record_id: 4711
      event_id: 86
      log: Application
      computer: client1.corp.example
      provider: Microsoft-Windows-CertificateServicesClient-CertEnroll
      level: 2
      time_created: '2026-03-02T07:15:00.1234567Z'
      user_sid: S-1-5-18
      data:
        Context: WORKGROUP\CLIENT1$
        Url: https://ndes01.corp.example/certsrv/mscep/mscep.dll/pkiclient.exe
        MessageText: GetCACaps
        Method: GET(47ms)
        Stage: GetCACaps
        ErrorCode: 'A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)'
      message: null
"""


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms: Iterable[Any], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[RawEvent]:
        """Returns the events of all terms, oldest first."""
        set_options: Callable[..., None] = self.set_options
        set_options(var_options=variables, direct=kwargs)
        option: Callable[[str], Any] = self.get_option
        selection = _selection(option)
        events: list[RawEvent] = []
        for path, named in _paths(terms, self._bases(variables or {})).items():
            try:
                log = read_log(path, selection, option("encoding"))
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
        folders = variables.get("ansible_search_path") or [base(variables)]
        return [*(place for folder in folders for place in (f"{folder}/files", str(folder))), str(Path.cwd())]


def _selection(option: Callable[[str], Any]) -> Selection:
    """Returns what the options ask for; Ansible does not check the elements of a lookup's lists."""
    try:
        event_ids = [int(value) for value in option("event_ids")]
    except (TypeError, ValueError) as error:
        raise AnsibleOptionsError("event_file: event_ids: one of them is no whole number") from error
    since = option("since")
    try:
        after = None if since is None else parse_since(since, datetime.now(timezone.utc))
    except SinceError as error:
        raise AnsibleOptionsError(f"event_file: since: {error}") from error
    return Selection(event_ids, after, [str(name) for name in option("computers")])


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
