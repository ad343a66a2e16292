# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The six fields of an event from values without names or from the rendered text, and what MessageText holds.

All of it may come from a hostile server: every expression here is anchored to a line or to a character that rarely
stands there, so that the time grows with the length of the text only.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict


class Fields(NamedTuple):
    """The fields of an event as texts, in the order in which the event has them, and its id if the text tells it."""

    context: str | None = None
    url: str | None = None
    text: str | None = None
    method: str | None = None
    stage: str | None = None
    error: str | None = None
    event_id: int | None = None


class Http(TypedDict):
    """An HTTP answer as MessageText shows it. Header names are in lower case; equal ones are joined with a comma."""

    status: int
    reason: str | None
    headers: dict[str, str]


class Scep(TypedDict):
    """The verdict of a SCEP server as MessageText shows it (RFC 8894 3.2.1.3 and 3.2.1.4, and Windows' own).

    Attributes:
        pki_status: 0 success, 2 failure, 3 pending, 11 pending challenge.
        fail_info: 0 bad algorithm, 1 bad message check, 2 bad request, 3 bad time, 4 bad certificate id.
        enroll_status: Windows' EnrollmentEnrollStatus: 16 error, 256 denied.
    """

    pki_status: int | None
    fail_info: int | None
    enroll_status: int | None


TextLanguage = Literal["en", "de", "other"]

# A sentence in an unknown language may go on right behind the URL without a space, so: printable ASCII only.
_URL = re.compile(r"https?://[!#-;=?-~]+", re.IGNORECASE | re.ASCII)
# What a sentence puts right behind a URL without meaning it.
_BEHIND_URL = ":;,.'"
_METHOD = re.compile(r"\b[A-Z]{3,10}\([0-9]{1,9}\s?ms\)", re.ASCII)
_HRESULT = re.compile(r"(?<![0-9A-Za-z_])0x[0-9A-Fa-f]{8}(?![0-9A-Za-z_])")
_CONTEXT = re.compile(r"[^\s\\]+\\(?:[^\s\\$]+\$|[^\s\\]+)")
_LABEL = re.compile(r"[^:\uff1a\r\n]{0,40}[:\uff1a]\s*")
_LABEL_AT_END = re.compile(r"[^\s:\uff1a]{1,40}\s?[:\uff1a]\s*\Z")

_ENGLISH_HEAD = re.compile(
    r"SCEP Certificate enrollment (?P<start>initialization )?for (?P<context>.+?)"
    r" via (?P<url>\S*) (?P<end>failed|succeeded):"
)
_GERMAN_HEADS = tuple(
    re.compile(rf"SCEP-Zertifikatregistrierung f\u00fcr (?P<context>.+?) \u00fcber (?P<url>{url}\S+)")
    for url in ("[A-Za-z][A-Za-z0-9+.-]{0,20}://", "")  # a context may hold the word, a URL may be broken
)


def _tail(method: str, stage: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Returns what finds the two labelled lines at the end, and the same in a text whose line ends were lost."""
    return (
        re.compile(rf"^[ \t]*{method}:([^\r\n]*)\r?\n[ \t]*{stage}:([^\r\n]*)", re.MULTILINE),
        re.compile(rf"(?:\s|\A){method}:\s{{0,9}}(\S*)\s{{1,9}}{stage}:\s{{0,9}}(\S*)"),
    )


_TAILS = {"en": _tail("Method", "Stage"), "de": _tail("Methode", "Phase")}

_HTTP_STATUS = re.compile(r"^[ \t]*HTTP/[0-9](?:\.[0-9])? ([1-5][0-9]{2})(?![0-9])([^\r\n]*)", re.MULTILINE)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}):(.*)")
_SCEP = re.compile(r"^[ \t]*(PkiStatus|FailInfo|EnrollStatus)\(([0-9]{1,9})\):", re.MULTILINE)


def read_values(values: Sequence[str], event_id: int | None) -> Fields:
    """Returns the fields of an event whose values have no names.

    All six (five in 88, which has no error code) are taken by position. With fewer, empty ones were left out and the
    rest moved up: then the URL, the method and the HRESULT tell themselves by their form, and the others by standing
    between them.
    """
    if len(values) == 6 or (event_id == 88 and len(values) == 5):
        context, url, text, method, stage, error = [*(value or None for value in values), None][:6]
        return Fields(context, url, text, method, stage, error)
    rest = list(values)
    context = url = method = stage = error = None
    if rest and _HRESULT.search(rest[-1]):
        error = rest.pop()
    at = next((i for i in range(len(rest) - 1, -1, -1) if _METHOD.fullmatch(rest[i])), None)
    if at is not None:
        stage = rest[at + 1] if at + 1 < len(rest) else None
        method = rest[at]
        del rest[at:]
    at = next((i for i, value in enumerate(rest[:2]) if _URL.fullmatch(value)), None)
    if at is not None:
        context = rest[0] if at == 1 else None
        url = rest[at]
        del rest[: at + 1]
    elif rest and _is_context(rest[0]):
        context = rest.pop(0)
    if method is None and len(rest) > 1 and rest[-1].isalnum():
        stage = rest.pop()
    return Fields(context, url, "\n".join(rest) or None, method, stage, error)


def read_text(message: str) -> tuple[Fields, TextLanguage]:
    """Returns the fields of a rendered event text and the language that it is in.

    English and German are read by their templates, every other language by what does not change: the URL,
    ``GET(47ms)``, the HRESULT. A text that is none of these comes back whole, as ``text``.
    """
    first_line = message.splitlines()[0] if message else ""
    english = _ENGLISH_HEAD.match(first_line)
    if english is not None:
        event_id = 88 if english["end"] == "succeeded" else 86 if english["start"] else 87
        return _read_tail(message[english.end() :], "en", english["context"], english["url"], event_id), "en"
    for head in _GERMAN_HEADS:
        german = head.search(first_line)
        if german is not None:
            return _read_german(message, german), "de"
    return _read_structure(message, first_line), "other"


def _read_german(message: str, head: re.Match[str]) -> Fields:
    before = message[: head.start()].lower()
    url, end = head["url"], head.end()
    if url.endswith(":"):
        url = url[:-1]
    else:
        end = message.find(":", end) + 1 or end
    event_id = 86 if "initialisierung" in before else 87 if "fehler" in before else 88
    return _read_tail(message[end:], "de", head["context"], url, event_id)


def _read_tail(rest: str, language: TextLanguage, context: str, url: str, event_id: int) -> Fields:
    """Returns the fields, given the text behind the head and what stood in the head.

    The last pair of labels counts: MessageText stands before it and may hold the same labels, ErrorCode does not.
    """
    by_line, in_line = _TAILS[language]
    tail = _last(by_line, rest) or _last(in_line, rest)
    if tail is None:
        text, method, stage, error = _tail_by_form(rest)
    else:
        text, method, stage, error = rest[: tail.start()], tail[1], tail[2], rest[tail.end() :]
    return Fields(
        context.strip() or None,
        url or None,
        text.strip() or None,
        method.strip() or None,
        stage.strip() or None,
        error.strip() or None,
        event_id,
    )


def _read_structure(message: str, first_line: str) -> Fields:
    url = _URL.search(first_line)
    line_ends_lost = _METHOD.search(first_line) is not None
    head_end = len(first_line) if not line_ends_lost else url.end() if url else 0
    head = first_line[:head_end]
    text, method, stage, error = _tail_by_form(message[head_end:])
    if url is None and not method and not error:
        return Fields(text=message or None)
    return Fields(
        _context_in(head[: url.start()] + " " + head[url.end() :] if url else head),
        url[0].rstrip(_BEHIND_URL) if url else None,
        text.strip().lstrip(":\uff1a").strip() or None,
        method or None,
        stage.strip() or None,
        error.strip() or None,
    )


def _tail_by_form(text: str) -> tuple[str, str, str, str]:
    """Returns MessageText, method, stage and error of what stands behind the head, whatever the labels are."""
    method = _last(_METHOD, text)
    if method is None:
        error = _error_line(text)
        return text[: len(text.rstrip()) - len(error)] if error else text, "", "", error
    label_at = max(0, method.start() - 60)
    before = text[:label_at] + _LABEL_AT_END.sub("", text[label_at : method.start()])
    behind = text[method.end() :].strip()
    label = _LABEL.match(behind)
    if label is not None:
        behind = behind[label.end() :]
    parts = behind.split("\n" if "\n" in behind else None, 1)
    return before, method[0], parts[0] if parts else "", parts[1] if len(parts) > 1 else ""


def _context_in(head: str) -> str | None:
    if "local system" in head.lower():
        return "Local system"
    match = _CONTEXT.search(head)
    return match[0].rstrip(_BEHIND_URL) if match else None


def _is_context(value: str) -> bool:
    return "\\" in value[:-1] or value.lower() == "local system"


def _error_line(text: str) -> str:
    """Returns the last line if it holds an HRESULT, else an empty text."""
    last = text.rstrip().rpartition("\n")[2]
    return last if _HRESULT.search(last) else ""


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    matches = deque(pattern.finditer(text), maxlen=1)
    return matches[0] if matches else None


def parse_http(text: str) -> Http | None:
    """Returns the HTTP answer in a MessageText: the last status line (a body may hold others) and its headers."""
    if "HTTP/" not in text:
        return None
    status = _last(_HTTP_STATUS, text)
    if status is None:
        return None
    headers: dict[str, str] = {}
    for line in text[status.end() :].splitlines()[1:]:
        header = _HEADER.fullmatch(line.strip())
        if header is None:
            break
        # Interned, as thousands of answers differ in few headers.
        name, value = sys.intern(header[1].lower()), sys.intern(header[2].strip())
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return {"status": int(status[1]), "reason": status[2].strip() or None, "headers": headers}


def parse_scep(text: str) -> Scep | None:
    """Returns the SCEP verdict in a MessageText, or None. The first of each counts: the client writes it on top."""
    if "Status(" not in text and "FailInfo(" not in text:
        return None
    found: dict[str, int] = {}
    for match in _SCEP.finditer(text):
        found.setdefault(match[1], int(match[2]))
    if not found:
        return None
    return {
        "pki_status": found.get("PkiStatus"),
        "fail_info": found.get("FailInfo"),
        "enroll_status": found.get("EnrollStatus"),
    }
