# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""findings.json and findings.csv: their bytes, and how they get onto the disk."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.winpki.scep.plugins.plugin_utils.cause import Finding
from ansible_collections.winpki.scep.plugins.plugin_utils.text_layout import visible

FILE_MODE = 0o640
FOLDER_MODE = 0o750
COLUMNS = (
    "host",
    "state",
    "cause",
    "certainty",
    "count",
    "first_seen",
    "last_seen",
    "endpoint_kind",
    "endpoint",
    "error",
    "error_name",
    "summary",
    "advice",
    "message",
    "contexts",
    "event_ids",
    "notes",
    "resolved_by",
    "computer",
    "key",
)
# JSON itself leaves these as they are; as escapes they do not steer the terminal of whoever looks at the file.
_STEERING = re.compile("[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]")
# A spreadsheet takes a cell that begins so for a formula. Where the list separator is a semicolon, or a quote is not
# understood, a cell also begins behind one of the separators.
_FORMULA = re.compile("(^|[;\t\r\n])([ \"'\u00a0]*)(?=[=+\\-@\t\r\uff0b\uff0d\uff1d\uff20])")


class WriteError(Exception):
    """The files can't be written."""

    def __init__(self, folder: Path, reason: str) -> None:
        """Names the folder and the reason."""
        super().__init__(f"the report can't be written to {folder}: {reason}")


def to_json(value: object) -> bytes:
    """Returns JSON in UTF-8, keys sorted, complete: what is read from it equals ``value``."""
    text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True)
    return (_STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n").encode()


def to_csv(findings: Iterable[Finding]) -> bytes:
    """Returns CSV (RFC 4180, UTF-8 with a byte order mark, as Excel and Import-Csv want it), one row a finding.

    A cell that a spreadsheet would calculate gets a ``'`` in front, and control characters but line breaks are
    written as escapes: the JSON is the place for the exact text.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for finding in findings:
        row = _row(finding)
        writer.writerow([harmless(row[column]) for column in COLUMNS])
    return b"\xef\xbb\xbf" + buffer.getvalue().encode()


def _row(finding: Finding) -> dict[str, str]:
    error, endpoint, success = finding["error"], finding["endpoint"], finding["resolved_by"]
    values: dict[str, Any] = {
        **finding,
        "endpoint_kind": endpoint["kind"] if endpoint else None,
        "endpoint": _url(endpoint) if endpoint else None,
        "error": error["hresult"] if error else None,
        "error_name": error["name"] if error else None,
        "resolved_by": success["time"] if success else None,
    }
    return {column: _text(values[column]) for column in COLUMNS}


def _url(endpoint: Mapping[str, Any]) -> str:
    host = endpoint["host"] or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if endpoint["port"] is None else f":{endpoint['port']}"
    scheme = f"{endpoint['scheme']}://" if endpoint["scheme"] else ""
    return f"{scheme}{host}{port}{endpoint['path'] or ''}"


def _text(value: object) -> str:
    if value is None:
        return ""
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def harmless(cell: str) -> str:
    """Returns ``cell`` without a formula for spreadsheets, and without controls but line breaks and tabs."""
    return visible(_FORMULA.sub(r"\1'\2", cell), keep="\r\n\t")


def check_folder(folder: str) -> None:
    """Sees, without making anything, whether write_files will be able to write into ``folder``.

    Raises:
        WriteError: it won't.
    """
    target = Path(folder).expanduser().absolute()
    there = next(path for path in (target, *target.parents) if path.exists())
    if not there.is_dir():
        raise WriteError(target, f"{there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise WriteError(target, f"no right to write to {there}")


def write_files(folder: str, files: Mapping[str, bytes]) -> dict[str, str]:
    """Writes ``files`` (name to content) into ``folder``, which is made if need be; returns name to absolute path.

    Each file is written beside its place and then put there in one step: a reader never sees half a file, and an
    earlier one stays where the new one can't be written.

    Raises:
        WriteError: the folder can't be made or a file can't be written.
    """
    target = Path(folder).expanduser().absolute()
    temporary: dict[Path, Path] = {}
    try:
        target.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        for name, content in files.items():
            temporary[target / name] = _write_beside(target / name, content)
        for path, beside in temporary.items():
            beside.replace(path)
    except OSError as error:
        for beside in temporary.values():
            beside.unlink(missing_ok=True)
        raise WriteError(target, error.strerror or str(error)) from error
    return {name: str(target / name) for name in files}


def write_json(path: str, document: object) -> str:
    """Writes ``document`` to ``path`` as write_files does, and returns the absolute path.

    Raises:
        WriteError: as write_files.
    """
    target = Path(path)
    return write_files(str(target.parent), {target.name: to_json(document)})[target.name]


def _write_beside(path: Path, content: bytes) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            os.fchmod(stream.fileno(), FILE_MODE)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    return beside
