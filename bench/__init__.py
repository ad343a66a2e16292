"""The project's figures: `make bench` prints them as one table, each a ratio or a time within this one run."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        what: what was measured, and on how much.
        figure: the measured value, with its unit.
        limit: the value to reach, with its unit, or an empty string.
        ok: whether the limit was held; None where there is none, or it could not be measured (figure says why).
    """

    what: str
    figure: str
    limit: str = ""
    ok: bool | None = None
