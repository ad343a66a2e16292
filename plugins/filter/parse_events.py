# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter parse_events: raw SCEP enrolment events to parsed ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.winpki.scep.plugins.plugin_utils.event import NotAnEventError, parse_events
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import (
    as_data,
    no_garbage_collection,
    plain_items,
    type_name,
)

DOCUMENTATION = r"""
name: parse_events
author: winpki.scep contributors
version_added: "0.1.0"
short_description: Reads raw SCEP enrolment events
description:
  - Reads the events 86, 87 and 88 of the provider C(Microsoft-Windows-CertificateServicesClient-CertEnroll), as
    M(winpki.scep.event_info) and the lookup P(winpki.scep.event_file#lookup) return them.
  - The fields that an event names come first. Without names, all six values are read by position, and fewer by their
    form. Without values, the rendered text is read, in English and German by the templates of Windows, in any other
    language by what does not change in it (URL, C(GET(47ms)), HRESULT).
  - Each raw event gives one parsed event, in the same order. What is not in an event is V(null). An event that can't
    be read is kept with its text.
  - No text of an event is ever taken for a template.
options:
  _input:
    description: Raw events.
    type: list
    elements: dict
    required: true
seealso:
  - plugin: winpki.scep.classify_events
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what the clients of two exported logs could not reach
  ansible.builtin.debug:
    msg: "{{ events | map(attribute='endpoint') | map(attribute='host') | unique | sort }}"
  vars:
    events: "{{ query('winpki.scep.event_file', 'client1.evtx', 'client2.xml') | winpki.scep.parse_events }}"

- name: Read a text that someone has sent
  ansible.builtin.debug:
    msg: "{{ ([{'message': text}] | winpki.scep.parse_events | first).error }}"
  vars:
    text: >-
      SCEP Certificate enrollment initialization for INTRA\rudi via
      https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe failed: GetCACaps Method: GET(47ms)
      Stage: GetCACaps A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)
"""

RETURN = r"""
_value:
  description: Parsed events.
  type: list
  elements: dict
  contains:
    record_id:
      description: Number of the event in its log.
      type: int
    event_id:
      description: V(86), V(87) or V(88); from the text if the source does not give it.
      type: int
    log:
      description: Channel that the event was written to.
      type: str
    computer:
      description: Name of the computer that wrote the event.
      type: str
    provider:
      description: Name of the provider.
      type: str
    level:
      description: Level, V(2) for an error, V(4) for an information.
      type: int
    time_created:
      description: Time in ISO 8601 UTC with seven decimals; of a folded event the newest's.
      type: str
    user_sid:
      description: Security identifier of the account that wrote the event.
      type: str
    context:
      description: On whose behalf was enrolled.
      type: dict
      contains:
        raw:
          description: As in the event.
          type: str
        kind:
          description: V(machine), V(user) or V(system).
          type: str
        domain:
          description: Domain or workgroup.
          type: str
        name:
          description: Name of the account.
          type: str
    url:
      description: URL of the SCEP server.
      type: str
    endpoint:
      description: What the URL points at.
      type: dict
      contains:
        kind:
          description: >-
            V(ndes) for a path below C(/certsrv/mscep/), V(aik) for a host of Microsoft's AIK service, else V(other).
          type: str
        scheme:
          description: In lower case.
          type: str
        host:
          description: In lower case.
          type: str
        port:
          description: Only if the URL names one.
          type: int
        path:
          description: Without the query.
          type: str
        tpm_vendor:
          description: TPM maker's id in an AIK host name, in upper case.
          type: str
        key_id:
          description: Key id in an AIK host name, 40 hex digits in lower case.
          type: str
    stage:
      description: Step that failed or succeeded, such as V(GetCACaps).
      type: str
    method:
      description: HTTP verb.
      type: str
    duration_ms:
      description: How long the request took, in milliseconds.
      type: int
    text:
      description: The event's field MessageText; of an event that can't be read, all its text.
      type: str
    http:
      description: The server's answer, if the text shows one.
      type: dict
      contains:
        status:
          description: Status, such as V(404).
          type: int
        reason:
          description: Reason phrase.
          type: str
        headers:
          description: Headers by name in lower case.
          type: dict
    scep:
      description: The SCEP server's verdict, if the text shows one.
      type: dict
      contains:
        pki_status:
          description: V(0) success, V(2) failure, V(3) pending, V(11) pending challenge.
          type: int
        fail_info:
          description: >-
            V(0) bad algorithm, V(1) bad message check, V(2) bad request, V(3) bad time, V(4) bad certificate id.
          type: int
        enroll_status:
          description: Status that Windows gives, V(16) for an error, V(256) for denied.
          type: int
    error:
      description: The error.
      type: dict
      contains:
        hresult:
          description: HRESULT in lower case, such as V(0x80072f8f).
          type: str
        name:
          description: Symbolic name, such as V(ERROR_WINHTTP_SECURE_FAILURE).
          type: str
        family:
          description: V(winhttp), V(http), V(win32), V(crypt), V(channel), V(certsrv), V(tpm) or V(other).
          type: str
        code:
          description: Number that the family itself uses (WinHTTP V(12175), HTTP V(404)), else the HRESULT's low word.
          type: int
        text:
          description: Sentence in the system's language.
          type: str
    language:
      description: >-
        What the event was read from: V(structured) for fields, else the text's language, V(en), V(de) or V(other).
      type: str
    count:
      description: Number of events that this one stands for, V(1) unless the source folded equal ones.
      type: int
    first_seen:
      description: Time of the oldest of these.
      type: str
"""


def _parse_events(raw: Iterable[Any]) -> Any:
    if not isinstance(raw, (list, tuple)):
        raise AnsibleFilterError(f"parse_events: the input must be a list of raw events, not {type_name(raw)}")
    try:
        with no_garbage_collection():
            return as_data(parse_events(plain_items(raw)), raw)
    except NotAnEventError as error:
        raise AnsibleFilterError(f"parse_events: {error}") from error


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Returns the filter by its name."""
        return {"parse_events": _parse_events}
