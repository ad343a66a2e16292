# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain aligned text for a terminal, from text that nobody vouches for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

# Control, format (bidirectional overrides, zero-width), surrogate, private and unassigned characters, line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ODD = re.compile("[^ -~]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_CUT = "..."
_GAP = "  "


def visible(text: str, keep: str = "") -> str:
    r"""Returns ``text`` with each character that would steer a terminal or hide written as an escape: ``\x1b``.

    Args:
        text: any text.
        keep: characters to leave as they are.
    """
    if text.isprintable():
        return text
    return _ODD.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def _escape(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    if code < 0x100:
        return _NAMED.get(char, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def cells(text: str) -> int:
    """Returns how many columns of a terminal ``text`` fills."""
    return len(text) if text.isascii() else sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def cut(text: str, width: int) -> str:
    """Returns ``text`` in at most ``width`` columns; where something is left out it ends in three dots."""
    if cells(text) <= width and len(text) <= 4 * width:
        return text
    return _head(text, width - len(_CUT)) + _CUT


def _head(text: str, width: int) -> str:
    used = 0
    # Combining characters fill no column: without a limit of their own they would not end.
    for index, char in enumerate(text[: 4 * width]):
        used += _cells(char)
        if used > width:
            return text[:index]
    return text[: 4 * width]


def squeeze(text: str, width: int) -> str:
    """Returns ``text`` in at most ``width`` columns, without its middle: messages begin with where and end with why."""
    clean = visible(" ".join(text.split()))
    if cells(clean) <= width and len(clean) <= 4 * width:
        return clean
    head = _head(clean, width // 3)
    tail = _head(clean[::-1], width - cells(head) - len(_CUT))[::-1]
    return f"{head}{_CUT}{tail}"


def wrap(text: str, width: int) -> list[str]:
    """Returns ``text`` in lines of at most ``width`` columns (at least 2), broken at spaces; longer words are split."""
    lines: list[str] = []
    line = ""
    for word in visible(" ".join(text.split())).split(" "):
        rest = word
        if line and cells(line) + 1 + cells(rest) <= width:
            line = f"{line} {rest}"
            continue
        if line:
            lines.append(line)
        while cells(rest) > width or len(rest) > 4 * width:
            head = _head(rest, width)
            lines.append(head)
            rest = rest[len(head) :]
        line = rest
    return [*lines, line] if line else lines


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Returns ``text`` with spaces to ``width`` columns, behind it or, with ``right``, before it."""
    space = " " * (width - cells(text))
    return space + text if right else text + space


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    right: Collection[int] = (),
    shrink: Sequence[int] = (),
) -> list[str]:
    """Returns an aligned table in lines of at most ``width`` columns.

    Args:
        header: the columns' names.
        rows: the cells.
        width: columns of the terminal.
        right: columns that are aligned to the right.
        shrink: columns that are cut where the table is too wide, the first of them first, to no less than their
            header or 12. The last column is wrapped instead, if it is not among them.
    """
    clean = [[visible(cell) for cell in row] for row in rows]
    widths = [max(cells(row[index]) for row in (header, *clean)) for index in range(len(header))]
    last = len(header) - 1
    wraps = last not in shrink
    if wraps:
        widths[last] = min(widths[last], max(30, width - sum(widths[:last]) - len(_GAP) * last))
    for index in shrink:
        excess = sum(widths) + len(_GAP) * last - width
        widths[index] = min(widths[index], max(widths[index] - max(excess, 0), cells(header[index]), 12))
    lines = [_line(header, widths, right)]
    for row in clean:
        tail = (wrap(row[last], widths[last]) if wraps else [row[last]]) or [""]
        lines.append(_line([*row[:last], tail[0]], widths, right))
        lines += [_line([""] * last + [more], widths, right) for more in tail[1:]]
    return lines


def short_list(rows: Sequence[Sequence[str]], most: int, width: int) -> list[str]:
    """Returns the first ``most`` rows, indented, in aligned columns without names, and a line that says how many more.

    Args:
        rows: the cells, at least one row; the first column is cut where they are too wide, the last is wrapped.
        most: how many rows are shown.
        width: columns of the terminal.
    """
    indent = "  "
    shown = table([""] * len(rows[0]), rows[:most], width - len(indent), shrink=(0,))[1:]
    more = [f"and {len(rows) - most:,} more"] if len(rows) > most else []
    return [f"{indent}{line}".rstrip() for line in (*shown, *more)]


def _line(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> str:
    line = _GAP.join(
        pad(cut(cell, width), width, right=index in right)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return line.rstrip()


def plural(count: int, one: str, many: str = "") -> str:
    """Returns ``1 host``, ``2 hosts``; ``many`` where an s does not make the plural."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def short_time(value: str | None) -> str:
    """Returns ``2026-11-24 14:20`` of an ISO 8601 UTC time, any other text as it is, ``-`` if there is none."""
    if not value:
        return "-"
    match = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)", value, re.ASCII)
    return f"{match[1]} {match[2]}" if match else value
