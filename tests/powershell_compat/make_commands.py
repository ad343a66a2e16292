"""Writes commands.txt: which parameters the cmdlets of Windows PowerShell 5.1 and of PowerShell 7 have.

usage: python make_commands.py POWERSHELL_DOCS WINDOWS_POWERSHELL_DOCS > commands.txt

Both are clones of Microsoft's documentation: MicrosoftDocs/PowerShell-Docs (the in-box modules, one folder a version)
and MicrosoftDocs/windows-powershell-docs (modules of Windows itself, the same for both PowerShells).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

IN_BOX = (
    "Microsoft.PowerShell.Core",
    "Microsoft.PowerShell.Management",
    "Microsoft.PowerShell.Security",
    "Microsoft.PowerShell.Utility",
    "CimCmdlets",
)
OF_WINDOWS = ("ScheduledTasks", "TrustedPlatformModule")
OLD, NEW = "5.1", "7.4"

_PAGE = re.compile(r"[A-Z][A-Za-z]+-[A-Za-z0-9]+\.md")
_PARAMETER = re.compile(r"[\[ \n(]-([A-Za-z][A-Za-z0-9]*)")
# Every cmdlet has these in both; ProgressAction is of 7.4.
COMMON = re.compile(
    "CommonParameters|Debug|(Error|Information|Warning)(Action|Variable)|OutBuffer|OutVariable|PipelineVariable"
    "|ProgressAction|Verbose"
)


def cmdlets(folder: Path) -> dict[str, set[str]]:
    """Returns the parameters of each cmdlet that has a page in the folder, as its syntax section names them."""
    found = {}
    for page in folder.iterdir():
        if _PAGE.fullmatch(page.name):
            text = page.read_text(encoding="utf-8-sig")
            syntax = text[text.index("## SYNTAX") : text.index("\n## DESCRIPTION")]
            found[page.stem] = {name for name in _PARAMETER.findall(syntax) if not COMMON.fullmatch(name)}
    return found


def main(powershell: Path, windows: Path) -> None:
    """Prints a line for each cmdlet."""
    old: dict[str, set[str]] = {}
    new: dict[str, set[str]] = {}
    for module in IN_BOX:
        old |= cmdlets(powershell / "reference" / OLD / module)
        new |= cmdlets(powershell / "reference" / NEW / module)
    for module in OF_WINDOWS:
        of_both = cmdlets(windows / "docset" / "winserver2016-ps" / module)
        old |= of_both
        new |= of_both
    lines = ["# cmdlet|where|parameters of both|only 5.1's|only 7's. Made by make_commands.py."]
    for name in sorted(old.keys() | new.keys()):
        where = "both" if name in old and name in new else "5.1" if name in old else "7"
        left, right = old.get(name, set()), new.get(name, set())
        columns = (left & right, left - right, right - left) if where == "both" else (set[str](), left, right)
        lines.append("|".join((name, where, *(" ".join(sorted(column)) for column in columns))))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
