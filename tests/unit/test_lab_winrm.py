"""The lab's WinRM service against the real pywinrm, with Python scripts in the engine's place."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from winrm.exceptions import InvalidCredentialsError, WinRMOperationTimeoutError, WSManFaultError
from winrm.protocol import Protocol

from tests.lab.engine import CommandNotFoundError, Launch
from tests.lab.fleet import Fleet, FleetHost

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the lab needs Linux, where all of 127.0.0.0/8 is the machine's own"
)

ECHO = """
import sys
data = sys.stdin.buffer.read()
sys.stdout.buffer.write(data)
sys.stderr.buffer.write(b"%d bytes" % len(data))
sys.exit(3)
"""
SHOW = """
import os, sys
text = f"{os.environ['LAB_NAME']}|{os.getcwd()}|{sys.argv[1:]}|{os.environ.get('Ä-variable')}"
sys.stdout.buffer.write(text.encode())
"""
LARGE = "import sys; sys.stdout.write('0123456789abcdef' * 100_000); sys.stderr.write('e' * 300_000)"
WAIT = "import os, sys; open('pid', 'w').write(str(os.getpid())); print('up', flush=True); sys.stdin.read()"
CHILD = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("pid", "w").write(str(child.pid))
print("up", flush=True)
child.wait()
"""
OVERLAP = """
import os, time
mine = f"running-{os.getpid()}"
open(mine, "w").close()
time.sleep(0.15)
print(len([name for name in os.listdir(".") if name.startswith("running-")]))
os.unlink(mine)
"""
DEAF = "import os; os.close(0); print('done')"
SCRIPTS = {"echo": ECHO, "show": SHOW, "large": LARGE, "wait": WAIT, "child": CHILD, "overlap": OVERLAP, "deaf": DEAF}


class PythonRunner:
    """Runs the scripts above by their names."""

    def launch(self, folder: Path, line: str, env: Mapping[str, str]) -> Launch:
        name, *arguments = line.split()
        if name == "none":
            return Launch([str(folder / "none")], {}, folder)
        if name == "killed":
            return Launch(["/bin/sh", "-c", "kill -9 $$"], {}, folder)
        if name not in SCRIPTS:
            raise CommandNotFoundError(name)
        argv = [sys.executable, "-I", "-c", SCRIPTS[name], *arguments]
        return Launch(argv, {**env, "LAB_NAME": folder.name, "PYTHONIOENCODING": "utf-8"}, folder)


@pytest.fixture
def hosts(tmp_path: Path) -> list[FleetHost]:
    found = [FleetHost(name, tmp_path / name) for name in ("CLIENT1", "CLIENT2")]
    for host in found:
        host.folder.mkdir()
    return [*found, FleetHost("CLIENT3", tmp_path / "CLIENT3", down=True)]


@pytest.fixture
def fleet(hosts: list[FleetHost], tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(hosts, PythonRunner(), tmp_path / "fleet", processes=2) as started:
        yield started


def connect(
    fleet: Fleet, host: str = "CLIENT1", *, user: str | None = None, password: str | None = None, timeout: int = 20
) -> Protocol:
    return Protocol(
        f"{'https' if fleet.https else 'http'}://{fleet.addresses[host]}:{fleet.port}/wsman",
        transport="basic",
        proxy=None,
        username=user or fleet.user,
        password=password or fleet.password,
        operation_timeout_sec=timeout,
        read_timeout_sec=timeout + 10,
        ca_trust_path=str(fleet.inventory_path.parent / "ca.pem"),
    )


@contextlib.contextmanager
def shell(protocol: Protocol, env: dict[str, str] | None = None) -> Iterator[str]:
    shell_id = protocol.open_shell(codepage=65001, env_vars=env)
    yield shell_id
    protocol.close_shell(shell_id)


def run(protocol: Protocol, shell_id: str, command: str, *arguments: str) -> tuple[bytes, bytes, int]:
    command_id = protocol.run_command(shell_id, command, arguments)
    try:
        output, error, code = protocol.get_command_output(shell_id, command_id)
    finally:
        protocol.cleanup_command(shell_id, command_id)
    return output, error, code


def started(protocol: Protocol, shell_id: str, folder: Path, command: str) -> tuple[str, int]:
    """Starts a script that writes a process's id, and waits until it has."""
    command_id = protocol.run_command(shell_id, command)
    assert protocol.get_command_output_raw(shell_id, command_id)[0] == b"up\n"
    return command_id, int((folder / "pid").read_text())


def is_gone(pid: int) -> bool:
    """Whether a process ends within five seconds; a zombie has ended."""
    for _unused in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def post(fleet: Fleet, body: bytes, *, password: str | None = None, path: str = "/wsman") -> requests.Response:
    url = f"http://{fleet.addresses['CLIENT1']}:{fleet.port}{path}"
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, data=body, auth=(fleet.user, password or fleet.password), timeout=10)


def test_output_error_and_exit_code(fleet: Fleet) -> None:
    protocol = connect(fleet)
    with shell(protocol) as shell_id:
        command_id = protocol.run_command(shell_id, "echo")
        protocol.send_command_input(shell_id, command_id, b"one ")
        protocol.send_command_input(shell_id, command_id, "zwei \u00e4".encode(), end=True)
        assert protocol.get_command_output(shell_id, command_id) == ("one zwei \u00e4".encode(), b"11 bytes", 3)
        protocol.cleanup_command(shell_id, command_id)


def test_runs_as_the_host_with_the_shells_variables(fleet: Fleet, hosts: list[FleetHost]) -> None:
    protocol = connect(fleet, "CLIENT2")
    with shell(protocol, {"\u00c4-variable": "\u20ac <&>"}) as shell_id:
        output, _unused, code = run(protocol, shell_id, "show", "\u00e4", "<b>&amp;")
    assert output.decode() == f"CLIENT2|{hosts[1].folder}|['\u00e4', '<b>&amp;']|\u20ac <&>"
    assert code == 0


def test_large_input(fleet: Fleet) -> None:
    protocol = connect(fleet)
    parts = [os.urandom(200_000) for _unused in range(10)]
    with shell(protocol) as shell_id:
        command_id = protocol.run_command(shell_id, "echo")
        for number, part in enumerate(parts, 1):
            protocol.send_command_input(shell_id, command_id, part, end=number == len(parts))
        output, error, code = protocol.get_command_output(shell_id, command_id)
    assert hashlib.sha256(output).digest() == hashlib.sha256(b"".join(parts)).digest()
    assert (error, code) == (b"2000000 bytes", 3)


def test_large_output_in_parts_of_an_envelope(fleet: Fleet) -> None:
    protocol = connect(fleet)
    with shell(protocol) as shell_id:
        command_id = protocol.run_command(shell_id, "large")
        parts, done = [], False
        while not done:
            output, error, code, done = protocol.get_command_output_raw(shell_id, command_id)
            # As base64, within the envelope of 150 KiB that pywinrm asks for.
            assert len(output) + len(error) <= 98_304
            parts.append((output, error))
    assert b"".join(output for output, _unused in parts) == b"0123456789abcdef" * 100_000
    assert b"".join(error for _unused, error in parts) == b"e" * 300_000
    assert code == 0


@pytest.mark.parametrize(
    ("command", "error", "code"),
    [
        ("ipconfig", b"'ipconfig' is not recognized as an internal or external command", 1),
        ("none", b"The lab could not start the command: ", 1),
        ("killed", b"", 137),
    ],
)
def test_command_that_does_not_run(fleet: Fleet, command: str, error: bytes, code: int) -> None:
    protocol = connect(fleet)
    with shell(protocol) as shell_id:
        found = run(protocol, shell_id, command)
    assert (found[0], found[2]) == (b"", code)
    assert found[1].startswith(error)


def test_input_that_nobody_reads(fleet: Fleet) -> None:
    protocol = connect(fleet)
    with shell(protocol) as shell_id:
        command_id = protocol.run_command(shell_id, "deaf")
        protocol.send_command_input(shell_id, command_id, b"x" * 300_000, end=True)
        assert protocol.get_command_output(shell_id, command_id) == (b"done\n", b"", 0)


def test_time_out_is_a_fault_that_pywinrm_knows(fleet: Fleet) -> None:
    protocol = connect(fleet, timeout=1)
    with shell(protocol) as shell_id:
        command_id = protocol.run_command(shell_id, "wait")
        assert protocol.get_command_output_raw(shell_id, command_id)[0] == b"up\n"
        before = time.monotonic()
        with pytest.raises(WinRMOperationTimeoutError):
            protocol.get_command_output_raw(shell_id, command_id)
        assert 0.9 < time.monotonic() - before < 3
        protocol.send_command_input(shell_id, command_id, b"", end=True)
        assert protocol.get_command_output(shell_id, command_id) == (b"", b"", 0)


@pytest.mark.parametrize(
    ("user", "password"), [("Administrator", "wrong"), ("other", None), ("Administrator", "wr\u00f6ng")]
)
def test_wrong_credentials(fleet: Fleet, user: str, password: str | None) -> None:
    with pytest.raises(InvalidCredentialsError, match="the specified credentials were rejected by the server"):
        connect(fleet, user=user, password=password).open_shell()


def test_user_names_know_no_case(fleet: Fleet) -> None:
    with shell(connect(fleet, user="ADMINISTRATOR")) as shell_id:
        assert shell_id


def test_no_credentials(fleet: Fleet) -> None:
    answer = requests.post(f"http://{fleet.addresses['CLIENT1']}:{fleet.port}/wsman", data=b"", timeout=10)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="WSMAN"')


def test_host_that_is_down(fleet: Fleet) -> None:
    with pytest.raises(requests.exceptions.ConnectionError, match="Connection refused"):
        connect(fleet, "CLIENT3").open_shell()


def test_shells_at_the_same_time_keep_to_the_places(fleet: Fleet) -> None:
    def one(number: int) -> int:
        protocol = connect(fleet, f"CLIENT{number % 2 + 1}")
        with shell(protocol) as shell_id:
            return int(run(protocol, shell_id, "overlap")[0])

    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(one, range(8)))
    assert len(counts) == 8
    assert max(counts) <= 2


def test_cleanup_ends_the_command_and_its_children(fleet: Fleet, hosts: list[FleetHost]) -> None:
    protocol = connect(fleet)
    with shell(protocol) as shell_id:
        command_id, pid = started(protocol, shell_id, hosts[0].folder, "child")
        protocol.cleanup_command(shell_id, command_id)
        assert is_gone(pid)
        with pytest.raises(WSManFaultError) as raised:
            protocol.get_command_output_raw(shell_id, command_id)
    assert raised.value.wsman_fault_code == 2150858843


def test_closing_the_shell_ends_its_commands(fleet: Fleet, hosts: list[FleetHost]) -> None:
    protocol = connect(fleet)
    with shell(protocol) as shell_id:
        pid = started(protocol, shell_id, hosts[0].folder, "wait")[1]
    assert is_gone(pid)
    with pytest.raises(WSManFaultError, match="the shell was not found on the server") as raised:
        protocol.run_command(shell_id, "echo")
    assert raised.value.wsman_fault_code == 2150858843


def test_stop_ends_commands_that_run_and_those_that_wait(fleet: Fleet, hosts: list[FleetHost]) -> None:
    protocol = connect(fleet)
    shell_id = protocol.open_shell()
    pids = [started(protocol, shell_id, hosts[0].folder, "wait")[1] for _unused in range(2)]
    waiting = protocol.run_command(shell_id, "wait")
    receiver = threading.Thread(target=lambda: _ignored(protocol, shell_id, waiting))
    receiver.start()
    before = time.monotonic()
    fleet.stop()
    fleet.stop()
    receiver.join(5)
    assert time.monotonic() - before < 5
    assert not receiver.is_alive()
    assert [is_gone(pid) for pid in pids] == [True, True]
    with pytest.raises(requests.exceptions.ConnectionError):
        connect(fleet).open_shell()


def test_no_shell_is_made_while_the_fleet_stops(fleet: Fleet) -> None:
    protocol = connect(fleet)
    protocol.open_shell()
    fleet.close_shells()
    with pytest.raises(requests.exceptions.ConnectionError):
        protocol.open_shell()


def _ignored(protocol: Protocol, shell_id: str, command_id: str) -> None:
    with contextlib.suppress(Exception):
        protocol.get_command_output_raw(shell_id, command_id)


def test_shell_that_nobody_asks_for_is_deleted(fleet: Fleet, hosts: list[FleetHost]) -> None:
    protocol = connect(fleet)
    shell_id = protocol.open_shell()
    pid = started(protocol, shell_id, hosts[0].folder, "wait")[1]
    fleet.close_idle(3600)
    os.kill(pid, 0)
    fleet.close_idle(-1)
    assert is_gone(pid)
    with pytest.raises(WSManFaultError):
        protocol.run_command(shell_id, "echo")


def test_https_with_a_certificate_that_is_checked(hosts: list[FleetHost], tmp_path: Path) -> None:
    with Fleet(hosts, PythonRunner(), tmp_path / "fleet", https=True) as fleet:
        with shell(connect(fleet)) as shell_id:
            assert shell_id
        url = f"https://{fleet.addresses['CLIENT2']}:{fleet.port}/wsman"
        with pytest.raises(requests.exceptions.SSLError, match="certificate verify failed"):
            requests.post(url, data=b"", timeout=10)
        assert fleet.port in (5986, 15986, 25986)


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b"<a><b></a>", 2150858817, "mismatched tag"),
        (b"", 2150858817, "no element found"),
        (b"<a/>", 2150858817, "the header has no Action or no MessageID"),
        (b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", 2150858817, "a document type is not allowed"),
        (
            b"<s><Header><Action>http://x/Pull</Action><MessageID>1</MessageID>"
            b"<ResourceURI>http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd</ResourceURI></Header></s>",
            2150858771,
            "does not support the action http://x/Pull",
        ),
        (
            b"<s><Header><Action>http://x/Get</Action><MessageID>1</MessageID>"
            b"<ResourceURI>http://x/winrm</ResourceURI></Header></s>",
            2150858752,
            "does not have the resource http://x/winrm",
        ),
    ],
)
def test_message_that_is_refused(fleet: Fleet, body: bytes, code: int, text: str) -> None:
    answer = post(fleet, body)
    assert answer.status_code == 500
    assert f'Code="{code}"' in answer.text
    assert text in answer.text


def test_other_paths_and_methods(fleet: Fleet) -> None:
    assert post(fleet, b"", path="/other").status_code == 404
    url = f"http://{fleet.addresses['CLIENT1']}:{fleet.port}/wsman"
    assert requests.get(url, auth=(fleet.user, fleet.password), timeout=10).status_code == 405
