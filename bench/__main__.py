"""Measures every module of this package that has `measure()` and prints one table.

`python -m bench` measures all, `python -m bench parse report` only those named. Exit status 1: a limit was not held.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import textwrap
from collections.abc import Sequence

import bench
from bench import Row

COLUMNS = ("what", "figure", "limit", "held")


def render(rows: Sequence[Row]) -> str:
    """Lay the rows out as an aligned table."""
    verdict = {True: "yes", False: "NO", None: "-"}
    cells = [COLUMNS, *((row.what, row.figure, row.limit, verdict[row.ok]) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def main(names: Sequence[str]) -> int:
    """Measure the named modules, or all of them; return the exit status."""
    known = [module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_")]
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.stderr.write(f"no measurement is called {', '.join(unknown)}; there are: {', '.join(known)}\n")
        return 2
    rows: list[Row] = []
    for name in names or known:
        module = importlib.import_module(f"bench.{name}")
        sys.stderr.write(f"measuring {name}: {textwrap.shorten(module.__doc__ or '', 100)}\n")
        rows += module.measure()
    sys.stdout.write(render(rows) + "\n")
    return int(any(row.ok is False for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
