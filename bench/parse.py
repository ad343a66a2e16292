"""parse_events and classify_events: time, memory and growth in plain Python, and the same through ansible-playbook."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import classify_events, load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.event import parse_events

from bench import Row
from tests.lab.playbook import ansible_environment, program

EVENTS, HOSTS = 100_000, 5_000
SIZES = (1_000, 10_000, EVENTS)
LIMIT_SECONDS = 5.0
LIMIT_MEGABYTES = 200
# Through a playbook it may take twice as long. Tagged data takes Ansible minutes to load: fewer events, and a share.
LIMIT_PLAYBOOK_SECONDS = 2 * LIMIT_SECONDS
TAGGED_EVENTS = 10_000
LIMIT_TAGGED_SECONDS = LIMIT_PLAYBOOK_SECONDS * TAGGED_EVENTS / EVENTS
# How much more work a further event may be among many than among few, if that is to be called linear.
LINEAR = 1.5
RUNS = 3
TIMEOUT = 300
_CHAIN = "winpki.scep.parse_events | winpki.scep.classify_events"
_FROM_FILE = "lookup('ansible.builtin.file', 'events.json') | from_json"

# Error code, stage and message of what a fleet fails with: an AIK service that can't be reached or knows no authority
# (each answer with a number of its own), TLS, a refused request, a success.
_ANSWER = (
    'GetCACaps\r\nGetCACaps: Not Found\r\n{{"Message":"The authority does not exist."}}\r\nHTTP/1.1 404 Not Found\r\n'
    "Date: Tue, 03 Nov 2026 10:15:{:02} GMT\r\nContent-Length: 121\r\nContent-Type: application/json\r\n"
    "x-ms-request-id: {}\r\n\r\n"
)
_DENIED = (
    "PkiStatus(2): SCEPDispositionFailure\r\nFailInfo(2): SCEPFailBadRequest\r\nEnrollStatus(256): EnrollDenied\r\n"
    "Submit(Request): OK\r\nHTTP/1.1 200 OK\r\nContent-Type: application/x-pki-message\r\n\r\n"
)
_NDES = "https://ndes{:02}.intra.example/certsrv/mscep/mscep.dll/pkiclient.exe"
_AIK = "https://AMD-KeyId-{:040x}.microsoftaik.azure.net/templates/Aik/scep"
_CASES = (
    (86, _NDES, "GetCACaps", "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"),
    (86, _AIK, "GetCACaps", "Name not resolved 0x80072ee7 (WinHttp: 12007 ERROR_WINHTTP_NAME_NOT_RESOLVED)"),
    (86, _AIK, _ANSWER, "Not found (404). 0x80190194 (-2145844844 HTTP_E_STATUS_NOT_FOUND)"),
    (87, _NDES, _DENIED, "The key is too short. 0x80094811 (-2146875375 CERTSRV_E_KEY_LENGTH)"),
    (88, _NDES, "Submit(Request): OK", None),
)


def raw_events(count: int, hosts: int) -> Iterator[dict[str, Any]]:
    """Yields raw events as module event_info returns them; each host fails for one reason, and enrols now and then."""
    for number in range(count):
        host = number % hosts
        event_id, url, text, error = _CASES[4 if number // hosts % 5 == 4 else host % 4]
        data = {
            "Context": f"INTRA\\CLIENT{host:05}$",
            "Url": url.format(host % 20),
            "MessageText": text.format(number % 60, number),
            "Method": f"GET({number % 90}ms)",
            "Stage": "GetCACaps",
        }
        seconds = number // hosts * 3600 + host
        yield {
            "record_id": 1000 + number,
            "event_id": event_id,
            "log": "Application",
            "computer": f"CLIENT{host:05}.intra.example",
            "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
            "level": 4 if error is None else 2,
            "time_created": time.strftime("2026-11-%dT%H:%M:%S", time.gmtime(seconds)) + f".{number:07}Z",
            "user_sid": "S-1-5-18",
            "data": data if error is None else {**data, "ErrorCode": error},
            "message": None,
        }


def measure() -> list[Row]:
    """Returns the figures of 100,000 raw events of 5,000 hosts."""
    plain = [_plain(size) for size in SIZES]
    seconds = [run["seconds"] for run in plain]
    # The differences, as each run has a start of equal length.
    first, second = ((seconds[step + 1] - seconds[step]) / (SIZES[step + 1] - SIZES[step]) for step in (0, 1))
    megabytes = plain[-1]["megabytes"]
    through = _through_playbook(EVENTS, _FROM_FILE)
    tagged = _through_playbook(TAGGED_EVENTS, "raw", "-e", "@variables.json")
    what = f"{EVENTS:,} raw events of {HOSTS:,} hosts"
    return [
        Row(
            f"parse and classify {what}", f"{seconds[-1]:.2f} s", f"{LIMIT_SECONDS:.0f} s", seconds[-1] <= LIMIT_SECONDS
        ),
        Row(
            f"the same through a playbook ({through / seconds[-1]:.1f} times as long)",
            f"{through:.2f} s",
            f"{LIMIT_PLAYBOOK_SECONDS:.0f} s",
            through <= LIMIT_PLAYBOOK_SECONDS,
        ),
        Row(
            f"{TAGGED_EVENTS:,} through a playbook, tagged as variables files are",
            f"{tagged:.2f} s",
            f"{LIMIT_TAGGED_SECONDS:.0f} s",
            tagged <= LIMIT_TAGGED_SECONDS,
        ),
        *(
            Row(f"parse and classify {size:,}", f"{taken:.3f} s")
            for size, taken in zip(SIZES[:-1], seconds, strict=False)
        ),
        Row(
            f"work for one event more: beyond {SIZES[1]:,} against before",
            f"{second / first:.2f}",
            f"{LINEAR}",
            second / first <= LINEAR,
        ),
        Row(
            "memory at the highest, above the input",
            "not measured: needs Linux" if megabytes is None else f"{megabytes:.0f} MB",
            f"{LIMIT_MEGABYTES} MB",
            None if megabytes is None else megabytes <= LIMIT_MEGABYTES,
        ),
    ]


def _plain(size: int) -> dict[str, Any]:
    """Runs this file as a program, so that the memory is its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.parse", str(size)], check=True, stdout=subprocess.PIPE, timeout=TIMEOUT
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _program(size: int) -> dict[str, Any]:
    raw: Any = list(raw_events(size, max(1, size * HOSTS // EVENTS)))
    rules = load_rules()
    gc.collect()
    before = _memory("VmRSS")
    seconds = []
    for _unused in range(RUNS):
        started = time.process_time()
        findings = classify_events(parse_events(raw), rules)
        seconds.append(time.process_time() - started)
        if not findings:
            raise RuntimeError("no findings")
    peak = _memory("VmHWM")
    return {"seconds": min(seconds), "megabytes": None if peak is None or before is None else peak - before}


def _memory(name: str) -> float | None:
    """Returns a figure of /proc/self/status in MB; None where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(f"{name}:"))


def _through_playbook(count: int, source: str, *arguments: str) -> float:
    """Returns the processor time of both filters, with the rendering of what they give, in a real play.

    It is the difference of two tasks, the first of which only counts the events, and loads the filters as the second.

    Args:
        count: number of events.
        source: expression that gives them, from events.json or variables.json.
        *arguments: for ansible-playbook.
    """
    tasks = [
        {"name": name, "ansible.builtin.set_fact": {"found": f"{{{{ {expression} }}}}"}, "no_log": True}
        for name, expression in (
            ("First", "1"),
            ("Count", f"({source} | length) + ([] | {_CHAIN} | length)"),
            ("Wait", "1"),
            ("Classify", f"{source} | {_CHAIN}"),
            ("Wait again", "1"),
            ("End", "1"),
        )
    ]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        events = list(raw_events(count, max(1, count * HOSTS // EVENTS)))
        (folder / "events.json").write_text(json.dumps(events), "utf-8")
        (folder / "variables.json").write_text(json.dumps({"raw": events}), "utf-8")
        (folder / "play.yml").write_text(yaml.safe_dump([play]), "utf-8")
        times = folder / "times"
        done = subprocess.run(
            [program("ansible-playbook"), "-i", "localhost,", "play.yml", *arguments],
            env=ansible_environment(
                folder,
                ANSIBLE_CALLBACK_PLUGINS=str(Path(__file__).parent / "callback"),
                ANSIBLE_CALLBACKS_ENABLED="task_cpu",
                TASK_CPU=str(times),
            ),
            cwd=folder,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
        if done.returncode:
            raise RuntimeError(f"ansible-playbook failed: {done.stdout[-2000:]}")
        at = {line["task"]: line["seconds"] for line in map(json.loads, times.read_text("ascii").splitlines())}
    # A task's worker is counted when the next task but one begins: here with the short one's before it.
    return float((at["End"] - at["Classify"]) - (at["Classify"] - at["Count"]))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_program(int(sys.argv[1]))))
