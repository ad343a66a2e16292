"""evidence_info against ansible.windows.win_ping, on one host of the lab, task by task in turn within one run."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from bench import Row
from tests.integration.aik_host import endorsement, key_id, write_tpm
from tests.integration.host_state import put_certificate
from tests.integration.profile_host import write_profile
from tests.lab import pki
from tests.lab.aik import AikService
from tests.lab.engine import EngineNotFoundError, find_engine
from tests.lab.fleet import Lab
from tests.lab.ndes import Ndes
from tests.lab.playbook import run_playbook

ROUNDS = 9
LIMIT = 2.5
PING, READ = "win_ping", "evidence_info"
WHAT = "evidence_info: an NDES, an AIK service, a profile, a TPM"
_ADDRESS = "127.0.0.1"
_CALLBACKS = (Path(__file__).parent / "callback", Path(__file__).parents[1] / "tests" / "lab" / "callback")


def measure() -> list[Row]:
    """Measures whole tasks, as the controller sees them; both services answer."""
    limit = f"{LIMIT} x win_ping"
    try:
        engine = find_engine()
    except EngineNotFoundError as error:
        return [Row(WHAT, f"not measured: {error}", limit)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Lab(Path(folder), engine) as lab:
        times = _times(lab, Path(folder) / "seconds.jsonl")
    ping, read = median(times[PING]), median(times[READ])
    figure = f"{read / ping:.2f} x win_ping ({read:.2f} s, win_ping {ping:.2f} s)"
    return [Row(WHAT, figure, limit, read / ping <= LIMIT)]


def _times(lab: Lab, path: Path) -> dict[str, list[float]]:
    with ExitStack() as stack:
        ndes = stack.enter_context(Ndes("ndes01.lab.example"))
        service = stack.enter_context(AikService(address=_ADDRESS))
        maker = pki.Authority.root("TPM maker")
        host = lab.host("CLIENT1")
        (host.folder / "hosts").write_text(f"{_ADDRESS} *\n", "ascii")
        put_certificate(host.folder, "Root", ndes.pki.root.certificate, service.root.certificate)
        write_profile(host.folder, ndes.url(), pki.thumbprint(ndes.pki.issuing.certificate))
        write_tpm(host.folder, endorsement(maker, "IFX"))
        name = f"IFX-KeyId-{key_id(maker)}.microsoftaik.azure.net"
        urls = [ndes.url(), f"https://{name}:{service.site.port('https')}/templates/Aik/scep"]
        tasks: list[dict[str, Any]] = [
            {"name": PING, "ansible.windows.win_ping": {}},
            {"name": READ, "winpki.scep.evidence_info": {"urls": urls}},
        ]
        # Forwards and backwards, so that a machine that becomes slower or faster meanwhile weighs on both alike.
        order = [task for number in range(ROUNDS + 1) for task in (tasks if number % 2 else reversed(tasks))]
        play = {"name": "Measure", "hosts": "all", "gather_facts": False, "tasks": order}
        environment = {
            "ANSIBLE_CALLBACK_PLUGINS": ":".join(map(str, _CALLBACKS)),
            "ANSIBLE_CALLBACKS_ENABLED": "lab_results,task_seconds",
            "TASK_SECONDS": str(path),
        }
        done = run_playbook([play], lab.start(host).inventory_path, environment=environment, timeout=600)
    if done.exit_code:
        raise RuntimeError(f"the playbook failed:\n{done.stdout}\n{done.stderr}")
    for result in done.results:
        evidence = result.result.get("evidence")
        found = evidence and (len(evidence["endpoints"]), len(evidence["profiles"]), evidence["aik"]["matches"])
        if result.task == READ and found != (2, 1, True):
            raise RuntimeError(f"{READ} found {evidence}")
    lines = [json.loads(line) for line in path.read_text("ascii").splitlines()][len(tasks) :]
    return {task["name"]: [line["seconds"] for line in lines if line["task"] == task["name"]] for task in tasks}
