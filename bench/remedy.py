"""Each remedy on a host that needs none, against ansible.windows.win_ping, task by task in turn within one run."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import Row
from bench._tasks import against_win_ping, not_measured
from tests.integration.aik_host import write_task
from tests.integration.host_state import put_certificate
from tests.integration.profile_host import ID, write_profile
from tests.lab import pki
from tests.lab.engine import EngineNotFoundError, find_engine
from tests.lab.fleet import Lab
from tests.lab.ndes import Ndes

LIMIT = 1.3
TRUST, HTTP, DISABLE = (
    f"{module}, where nothing is to be done" for module in ("trust_chain", "profile to HTTP", "aik_task disabled")
)


def measure() -> list[Row]:
    """Measures whole tasks, as the controller sees them: the chain is trusted, the URL HTTP, the task disabled."""
    try:
        engine = find_engine()
    except EngineNotFoundError as error:
        return not_measured((TRUST, HTTP, DISABLE), LIMIT, error)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        lab = stack.enter_context(Lab(Path(folder), engine))
        ndes = stack.enter_context(Ndes("ndes01.lab.example"))
        host = lab.host("CLIENT1")
        put_certificate(host.folder, "Root", ndes.pki.root.certificate)
        put_certificate(host.folder, "CA", ndes.pki.issuing.certificate)
        write_profile(host.folder, ndes.url("http"), pki.thumbprint(ndes.pki.issuing.certificate))
        write_task(host.folder, Enabled=False)
        chain = {
            "certificates": [ndes.trusted_root, ndes.intermediate],
            "pins": [pki.sha256(ndes.pki.root.certificate)],
        }
        switch = {
            "profile_id": ID,
            "from_url": ndes.url(),
            "url": ndes.url("http"),
            "allow_port": ndes.site.port("http"),
        }
        tasks: dict[str, Any] = {
            TRUST: {"winpki.scep.trust_chain": chain},
            HTTP: {"winpki.scep.profile": switch},
            DISABLE: {"winpki.scep.aik_task": {"state": "disabled", "isolated_network": True}},
        }
        return against_win_ping(lab.start(host), tasks, LIMIT, lambda one: one.result["changed"] is False)
