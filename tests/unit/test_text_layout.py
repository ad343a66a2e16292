"""Aligned text from hostile text."""

from __future__ import annotations

import unicodedata

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.text_layout import (
    cells,
    cut,
    pad,
    plural,
    short_time,
    table,
    visible,
    wrap,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zürich 東京 {{ x }} <b>", "Zürich 東京 {{ x }} <b>"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("user\u202egpj.exe", "user\\u202egpj.exe"),
        ("zero\u200bwidth\ufeff\u2028", "zero\\u200bwidth\\ufeff\\u2028"),
        ("half \ud83d", "half \\ud83d"),
        ("tag \U000e0041", "tag \\U000e0041"),
        ("INTRA\\rudi", "INTRA\\rudi"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    """What steers a terminal or hides is written out; all else stays."""
    assert visible(text) == shown


def test_visible_leaves_no_hidden_character() -> None:
    """Over all of Unicode."""
    shown = visible("".join(map(chr, range(0x110000))))
    assert {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} == set()


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("é", 1), ("e\u0301", 1), ("東京", 4), ("\uff21", 2), ("\uff71", 1), ("😀", 2)],
)
def test_cells(text: str, width: int) -> None:
    """East Asian wide characters fill two columns, combining ones none."""
    assert cells(text) == width


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("東京都港区", 10, "東京都港区"),
        ("東京都港区", 9, "東京都..."),
        ("東京都港区", 8, "東京..."),
        ("e" + "\u0301" * 100, 6, "e" + "\u0301" * 11 + "..."),
    ],
)
def test_cut(text: str, width: int, expected: str) -> None:
    """A wide character is never halved, and combining ones end somewhere."""
    assert cut(text, width) == expected


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, []),
        ("  \n ", 10, []),
        ("one two three", 8, ["one two", "three"]),
        ("one\n\n two", 10, ["one two"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("x abcdefghij y", 4, ["x", "abcd", "efgh", "ij y"]),
        ("東京都 港区", 6, ["東京都", "港区"]),
        ("東京都港区", 5, ["東京", "都港", "区"]),
        ("a\x1bb", 10, ["a\\x1bb"]),
    ],
)
def test_wrap(text: str, width: int, lines: list[str]) -> None:
    """Lines end at spaces; what is longer than a line is split by columns."""
    assert wrap(text, width) == lines


def test_pad() -> None:
    """By columns, not by characters."""
    assert pad("東京", 6) == "東京  "
    assert pad("12", 4, right=True) == "  12"


def test_table_aligns() -> None:
    """Numbers to the right, wide characters by their columns, no trailing spaces."""
    rows = [("東京-1", "7", "a b"), ("c", "1,234", "")]
    assert table(("host", "n", "x"), rows, 40, right=(1,)) == [
        "host        n  x",
        "東京-1      7  a b",
        "c       1,234",
    ]


def test_table_cuts_and_wraps() -> None:
    """Cuts the columns that may be cut, in their order, and wraps the last."""
    rows = [("h" * 30, "c" * 20, "one two three four five six seven eight")]
    assert table(("host", "cause", "what"), rows, 70, shrink=(0,)) == [
        "host              cause                 what",
        "hhhhhhhhhhhhh...  cccccccccccccccccccc  one two three four five six",
        "                                        seven eight",
    ]


def test_table_last_column_can_be_cut() -> None:
    """Where it is named."""
    assert table(("a", "b"), [("x", "y" * 50)], 20, shrink=(1,)) == ["a  b", "x  " + "y" * 14 + "..."]


def test_plural() -> None:
    """Numbers with a thousands separator."""
    assert [plural(1, "host"), plural(0, "host"), plural(1234, "success", "successes")] == [
        "1 host",
        "0 hosts",
        "1,234 successes",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("2026-11-24T14:20:59.1234567Z", "2026-11-24 14:20"), (None, "-"), ("", "-"), ("soon", "soon")],
)
def test_short_time(value: str | None, shown: str) -> None:
    """To the minute."""
    assert short_time(value) == shown
