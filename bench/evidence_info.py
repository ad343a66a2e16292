"""evidence_info against ansible.windows.win_ping, on one host of the lab, task by task in turn within one run."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import Row
from bench._tasks import against_win_ping, not_measured
from tests.integration.aik_host import endorsement, key_id, write_tpm
from tests.integration.host_state import put_certificate
from tests.integration.profile_host import write_profile
from tests.lab import pki
from tests.lab.aik import AikService
from tests.lab.engine import EngineNotFoundError, find_engine
from tests.lab.fleet import Lab
from tests.lab.ndes import Ndes
from tests.lab.playbook import TaskResult

LIMIT = 2.5
WHAT = "evidence_info: an NDES, an AIK service, a profile, a TPM"
_ADDRESS = "127.0.0.1"


def measure() -> list[Row]:
    """Measures whole tasks, as the controller sees them; both services answer."""
    try:
        engine = find_engine()
    except EngineNotFoundError as error:
        return not_measured([WHAT], LIMIT, error)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        lab = stack.enter_context(Lab(Path(folder), engine))
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
        tasks: dict[str, Any] = {WHAT: {"winpki.scep.evidence_info": {"urls": urls}}}
        return against_win_ping(lab.start(host), tasks, LIMIT, _is_whole)


def _is_whole(one: TaskResult) -> bool:
    evidence = one.result["evidence"]
    return (len(evidence["endpoints"]), len(evidence["profiles"]), evidence["aik"]["matches"]) == (2, 1, True)
