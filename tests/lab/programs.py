r"""The programs of a simulated host that are not PowerShell: what its AIK task runs, and the MDM client's enrolment.

Each is a script that starts enrolment.py as the host. PowerShell finds ``dmcertinst.exe`` by its name, and by its path
in System32 as long as it is run from the host's folder, where every command of the lab's begins.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.lab.engine import REPOSITORY, Engine, EngineNotFoundError, Runner
from tests.lab.enrolment import Enrolment

ENROLMENT_SECONDS = 120.0
MDM_CLIENT = "dmcertinst.exe"
_SPELLINGS = (
    f"path/{MDM_CLIENT}",
    # A file's name may hold a backslash here, and a path with one is a name.
    f"C:\\Windows\\System32\\{MDM_CLIENT}",
    f"C:\\Windows\\system32\\{MDM_CLIENT}",
    f"C:\\Windows/System32/{MDM_CLIENT}",
)

_ENROL = f'cd {shlex.quote(str(REPOSITORY))} && exec {shlex.quote(sys.executable)} -s -m tests.lab.enrolment "$HOME"'
_ON_RUN = f"""#!/bin/sh
case "$1" in
*AikCertEnrollTask) {_ENROL} aik ;;
esac
"""
_MDM_CLIENT = f"""#!/bin/sh
# dmcertinst.exe -s -k "Software\\Microsoft\\SCEP\\MS DM Server\\<id>\\Install" -h HKLM -t <id>
id=
while [ $# -gt 0 ]; do
  case "$1" in
  -t) id=$2; shift ;;
  -k|-h) shift ;;
  -s) ;;
  *) exit 87 ;;
  esac
  shift
done
[ -n "$id" ] || exit 87
{_ENROL} profile "$id"
"""


def enrol_as_host(runner: Runner, folder: Path, profile: str | None = None) -> list[Enrolment]:
    """Runs enrolment.py as a host: for one profile, or for all that the host would by itself.

    Raises:
        LookupError: the host has no such profile.
        EngineNotFoundError: what runs this fleet's commands cannot play a host.
        OSError: enrolment.py came to grief, as it never should.
    """
    if not isinstance(runner, Engine):
        raise EngineNotFoundError("enrolment is played by the lab engine's hosts only")
    what = ["all"] if profile is None else ["profile", profile]
    command = [str(runner.as_host), str(folder), sys.executable, "-s", "-m", "tests.lab.enrolment", str(folder), *what]
    env = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    # In a session of its own: a Ctrl-C is for the lab, which waits for the enrolment's end.
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=ENROLMENT_SECONDS,
        start_new_session=True,
    )
    if done.stderr:
        raise (LookupError if done.stderr.count("\n") == 1 else OSError)(done.stderr.strip())
    return [Enrolment(**json.loads(each)) for each in done.stdout.splitlines()]


def install(folder: Path) -> None:
    """Puts the programs into a host's folder."""
    for name, text in (("tasks/on_run", _ON_RUN), *((spelling, _MDM_CLIENT) for spelling in _SPELLINGS)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755)
