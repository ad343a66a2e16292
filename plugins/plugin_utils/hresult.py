# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ErrorCode field of an event: text in the system's language, an HRESULT, and what stands in brackets behind it."""

from __future__ import annotations

import re
from typing import Literal, TypedDict

from ansible_collections.winpki.scep.plugins.plugin_utils.error_names import NAMES

Family = Literal["winhttp", "http", "win32", "crypt", "channel", "certsrv", "tpm", "other"]


class EventError(TypedDict):
    """An error as an event tells it; what the event does not say is null.

    Attributes:
        hresult: in lower case with eight digits, ``0x80072f8f``.
        name: the symbolic name, ``ERROR_WINHTTP_SECURE_FAILURE``: the event's own, else the public headers'.
        family: where the number comes from.
        code: the family's own number: WinHTTP 12175, HTTP 404, else the low word of the HRESULT.
        text: the sentence in the system's language.
    """

    hresult: str
    name: str | None
    family: Family
    code: int
    text: str | None


_CODE = re.compile(
    r"""
    (?<![0-9A-Za-z_]) 0x (?P<hresult>[0-9A-Fa-f]{1,8}) (?![0-9A-Za-z_])
    (?: \s? \( (?:[A-Za-z0-9]{1,16}:\ ?)? -?[0-9]{1,10} (?:\ (?P<name>[A-Z][A-Z0-9_]{2,79}))? \) )?
  | # or the bracket alone: a signed HRESULT, or a number that says whose it is
    \( (?:(?P<origin>[A-Za-z0-9]{1,16}):\ ?(?=[0-9]) | (?=-)) (?P<number>-?[0-9]{1,10})
        (?:\ (?P<own_name>[A-Z][A-Z0-9_]{2,79}))? \)
    """,
    re.VERBOSE | re.ASCII,
)
_MAX_TEXT = 2000
_WIN32 = 0x80070000


def parse_error(text: str | None) -> EventError | None:
    """Returns the error that ``text`` (an ErrorCode field) tells, or None if there is no number in it.

    The last number counts: a sentence of Windows may quote another one before it.
    """
    if not text:
        return None
    text = text.strip()
    found = None
    for match in _CODE.finditer(text, max(0, len(text) - _MAX_TEXT)):
        found = match
    if found is None:
        return None
    value = int(found["hresult"], 16) if found["hresult"] else _from_number(int(found["number"]), found["origin"])
    before = text[: found.start()].strip()
    return describe(value, found["name"] or found["own_name"], before[:_MAX_TEXT] or None)


def describe(value: int, name: str | None = None, text: str | None = None) -> EventError:
    """Returns the error dict of the HRESULT ``value``; a plain Win32 number counts as its HRESULT."""
    value &= 0xFFFFFFFF
    if 0 < value < 0x10000:
        value |= _WIN32
    family, code = family_of(value)
    return {
        "hresult": f"0x{value:08x}",
        "name": name or NAMES.get(value),
        "family": family,
        "code": code,
        "text": text,
    }


def family_of(value: int) -> tuple[Family, int]:
    """Returns the family of an HRESULT and the family's own number for it."""
    high, low = value >> 16, value & 0xFFFF
    family: Family = "other"
    if high == 0x8007:
        family = "winhttp" if 12000 < low < 12200 else "win32"
    elif high == 0x8019:
        family = "http"
    elif high == 0x800B:
        family = "crypt"
    elif high == 0x8009:
        if 0x0300 <= low < 0x0400:
            family = "channel"
        elif 0x4000 <= low < 0x5000:
            family = "certsrv"
        else:
            family = "crypt"
    elif high in (0x8028, 0x8029):
        family = "tpm"
    return family, low


def _from_number(number: int, origin: str | None) -> int:
    """Returns the HRESULT of a number in brackets: a signed HRESULT, an HTTP status or a Win32 error."""
    if number < 0:
        return number & 0xFFFFFFFF
    if origin and origin.lower() == "http":
        return 0x80190000 | (number & 0xFFFF)
    return number
