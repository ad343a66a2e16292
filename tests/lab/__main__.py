"""The lab's command line: ``up`` starts a fleet, ``demo`` triages one, ``demo-remediate`` mends one and back."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import yaml

from tests.lab import remediation_demo
from tests.lab.build import scenario_fleet
from tests.lab.engine import REPOSITORY, EngineNotFoundError, find_engine
from tests.lab.fleet import Fleet
from tests.lab.node import ScenarioError
from tests.lab.playbook import ansible_environment, program
from tests.lab.scenario import DEFAULT, REMEDIATE, load_scenario

OUTPUT = REPOSITORY / "triage-out"
REMEDIATION_OUTPUT = REPOSITORY / "remediation-out"
DEMO_FORKS = 10
# Only what was changed or failed, and the reports.
_QUIET = {"ANSIBLE_DISPLAY_OK_HOSTS": "false", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one of the lab's commands and returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start a fleet, print its inventory, run until Ctrl-C")
    demo = commands.add_parser(
        "demo", help="triage a fleet, or the exported logs in examples/ where there is no engine"
    )
    remediation = commands.add_parser("demo-remediate", help="mend a fleet: triage, plan, apply, verify, rollback")
    for command in (up, demo):
        command.add_argument("--hosts", type=_positive, metavar="N", help="how many; by default all of the scenario's")
        command.add_argument("--scenario", type=Path, default=DEFAULT, metavar="FILE", help="default: %(default)s")
    up.add_argument("--https", action="store_true", help="WinRM over HTTPS, with a certificate authority of the lab's")
    up.add_argument("--write-inventory", type=Path, metavar="FILE", help="write the inventory there, not to the screen")
    up.add_argument("--minutes", type=_positive, default=60, metavar="N", help="stop after this time, default 60")
    up.add_argument(
        "--enrol-every", type=_positive, metavar="SECONDS", help="let the hosts enrol for certificates by themselves"
    )
    up.set_defaults(run=_up)
    demo.add_argument("--output", type=Path, default=OUTPUT, metavar="FOLDER", help="default: %(default)s")
    demo.set_defaults(run=_demo)
    remediation.add_argument(
        "--output", type=Path, default=REMEDIATION_OUTPUT, metavar="FOLDER", help="default: %(default)s"
    )
    remediation.set_defaults(run=_demo_remediate)
    options = parser.parse_args(arguments)
    try:
        with _stopped_by_signals():
            status: int = options.run(options)
            return status
    except (EngineNotFoundError, ScenarioError, OSError) as error:
        _say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130


def _up(options: argparse.Namespace) -> int:
    with _fleet(options.scenario, options.hosts, https=options.https) as fleet, contextlib.suppress(KeyboardInterrupt):
        if options.write_inventory is None:
            sys.stdout.write("---\n" + yaml.safe_dump(fleet.inventory(), sort_keys=False, allow_unicode=True))
            sys.stdout.flush()
        else:
            fleet.write_inventory(options.write_inventory)
        if options.enrol_every is not None:
            fleet.enrol_every(options.enrol_every)
        _say(f"{len(fleet.hosts)} simulated hosts for at most {options.minutes} minutes; Ctrl-C stops them.")
        threading.Event().wait(options.minutes * 60)
    return 0


def _demo(options: argparse.Namespace) -> int:
    output = ("-e", json.dumps({"triage_output": str(options.output.absolute())}))
    try:
        fleet = _fleet(options.scenario, options.hosts, https=False)
    except EngineNotFoundError as error:
        _say(f"The exported logs in examples/ are triaged, in place of a simulated fleet: {error}.")
        files = ("-e", json.dumps({"triage_files": [str(REPOSITORY / "examples")]}))
        return _ansible("winpki.scep.triage_files", "-i", "localhost,", *files, *output)
    with fleet as running:
        _say(f"Triage of {len(running.hosts)} simulated Windows hosts, over WinRM on loopback addresses.")
        inventory = str(running.inventory_path)
        return _ansible("winpki.scep.triage", "-i", inventory, "--forks", str(DEMO_FORKS), *output)


def _demo_remediate(options: argparse.Namespace) -> int:
    with _fleet(REMEDIATE, None, https=False) as running:
        _say(f"Remediation of {len(running.hosts)} simulated Windows hosts, over WinRM on loopback addresses.")
        common = ("-i", str(running.inventory_path), "--forks", str(DEMO_FORKS))
        return remediation_demo.run(
            running, lambda arguments: _ansible(*arguments, *common, **_QUIET), options.output.absolute()
        )


def _fleet(scenario: Path, count: int | None, *, https: bool) -> contextlib.AbstractContextManager[Fleet]:
    engine = find_engine()
    return scenario_fleet(load_scenario(scenario), engine, count=count, https=https)


def _ansible(*arguments: str, **more: str) -> int:
    with tempfile.TemporaryDirectory(prefix="winpki-demo-") as folder:
        environment = ansible_environment(Path(folder), **more)
        del environment["ANSIBLE_NOCOLOR"]
        with subprocess.Popen([program("ansible-playbook"), *arguments], env=environment, cwd=REPOSITORY) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # Ansible ends its workers when it is interrupted; a SIGTERM to the lab alone has not reached it.
                process.send_signal(signal.SIGINT)
                process.wait()
                raise


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM ends things in the same order as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"1 or more is needed, not {value}")
    return number


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
