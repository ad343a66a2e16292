"""How long an enrolment is waited for, also while the host can't be reached."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.winpki.scep.plugins.action.verify_enrolment import ActionModule

from tests.unit.evidence_data import profile

URL = "https://ndes01.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"
OTHER = "https://ndes02.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"
AIK_URL = "https://IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net/templates/Aik/scep"
AIK_TASK = "\\Microsoft\\Windows\\CertificateServicesClient\\AikCertEnrollTask"
LOG = {"name": "Application", "enabled": True, "rolled_over": False}
GONE = AnsibleConnectionFailure("timed out")
LIBRARY = OSError("reset by peer")
"""What a connection plugin lets out of the libraries below it."""
ARGUMENTS = {"wait": 30.0, "interval": 10.0, "silent_urls": [], "log_level": 4}


def answer(*event_ids: int) -> dict[str, Any]:
    events = [
        {"record_id": number, "event_id": event_id, "data": {"Url": URL, "Context": "LAB\\C1$"}, "message": None}
        for number, event_id in enumerate(event_ids, 8)
    ]
    return {"events": events, "log": LOG}


class Host(ActionModule):
    """A host that answers as it is told, on a clock of its own."""

    def __init__(self, *answers: dict[str, Any] | Exception, check: bool = False) -> None:
        self._vars = {"ansible_host": "client1"}
        self.__dict__["_task"] = SimpleNamespace(check_mode=check)
        self.__dict__["_display"] = SimpleNamespace(vvv=lambda _text: None)
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def _execute_module(self, module_name: Any = None, *unused: Any, **given: Any) -> dict[str, Any]:
        assert (unused, given["task_vars"]) == ((), self._vars)
        self.asked.append((module_name.removeprefix("winpki.scep."), given["module_args"]))
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only sleeping moves."""
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return now


@pytest.mark.parametrize(
    ("answers", "more", "outcomes", "seconds"),
    [
        ([answer(88)], {}, ["succeeded"], 0),
        ([answer(), answer(), answer(86)], {}, ["failed"], 20),
        ([GONE, LIBRARY, answer(88)], {}, ["succeeded"], 20),
        ([{"failed": True, "msg": "The log is denied."}, answer(88)], {}, ["succeeded"], 10),
        ([answer(88), GONE, GONE, GONE], {"urls": [URL, OTHER]}, ["succeeded", "open"], 30),
        ([answer(), answer()], {"wait": 5.0}, ["open"], 5),
        ([answer()], {"wait": 0.0}, ["open"], 0),
        ([answer(88)] * 4, {"silent_urls": [OTHER]}, ["succeeded", "quiet"], 30),
        ([answer()], {"check": True}, ["open"], 0),
    ],
)
def test_the_wait(answers: list[Any], more: dict[str, Any], outcomes: list[str], seconds: float) -> None:
    host = Host(*answers, check=more.pop("check", False))
    urls = more.pop("urls", [URL])
    verdicts, spots, waited = host._wait(urls, [], {"last_record_id": 7}, {**ARGUMENTS, **more}, 100.0)
    assert [one["outcome"] for one in verdicts] == outcomes
    assert (spots, waited) == ([], seconds)
    assert host.asked == [("event_info", {"after_record_id": 7})] * len(answers)


def test_a_host_that_never_answers() -> None:
    host = Host(GONE, GONE, GONE, GONE)
    verdicts, spots, _unused = host._wait([URL], [], {"last_record_id": None}, ARGUMENTS, 100.0)
    assert [one["outcome"] for one in verdicts] == ["open"]
    assert spots == ["The event log could not be read."]
    assert host.asked[0] == ("event_info", {"after_record_id": 0})


DEVICE = profile(URL, id="ScepDevice")
USER = profile(URL, scope="user", id="ScepUser", path="HKU\\S")


@pytest.mark.parametrize(
    ("reply", "started", "detail"),
    [
        ({"enrollment": {"started": True, "detail": "It ended with 0."}}, True, "It ended with 0."),
        ({"enrollment": {"started": False, "detail": "There is no program."}}, False, "There is no program."),
        ({"failed": True, "msg": "There is no such profile."}, False, "There is no such profile."),
        (GONE, False, "The connection failed, so it may be started or not: timed out"),
        (LIBRARY, False, "The connection failed, so it may be started or not: OSError: reset by peer"),
    ],
)
def test_what_is_started(reply: Any, started: bool, detail: str) -> None:
    host = Host(reply)
    found = host._start([URL, URL + "?a=b"], [USER, DEVICE], {"wait": 0.0, "role": "verify"})
    assert found == [
        {
            "profile_id": "ScepUser",
            "task": None,
            "started": False,
            "detail": "It is a user's profile, whose enrolment only that user's own session can start.",
        },
        {"profile_id": "ScepDevice", "task": None, "started": started, "detail": detail},
    ]
    options = {"profile_id": "ScepDevice", "enroll": True, "enroll_timeout": 1.0, "role": "verify"}
    assert host.asked == [("profile", options)]


@pytest.mark.parametrize(
    ("reply", "started", "detail"),
    [
        ({"enrollment": {"started": True, "detail": "The task was started."}}, True, "The task was started."),
        ({"enrollment": {"started": False, "detail": "The task runs already."}}, False, "The task runs already."),
        ({"failed": True, "enrollment": None, "msg": "The task is disabled."}, False, "The task is disabled."),
        (GONE, False, "The connection failed, so it may be started or not: timed out"),
    ],
)
def test_the_task_of_the_aik_is_started_once(reply: Any, started: bool, detail: str) -> None:
    host = Host(reply)
    found = host._start([AIK_URL, AIK_URL.replace("IFX", "intc"), URL], [], {"wait": 0.0, "role": "verify"})
    assert found == [{"profile_id": None, "task": AIK_TASK, "started": started, "detail": detail}]
    assert host.asked == [("aik_task", {"state": "started"})]


def test_nothing_is_started_in_check_mode() -> None:
    host = Host(check=True)
    found = host._start([AIK_URL, URL], [DEVICE], {"wait": 0.0, "role": "verify"})
    detail = "In check mode no enrolment is started."
    assert found == [
        {"profile_id": None, "task": AIK_TASK, "started": False, "detail": detail},
        {"profile_id": "ScepDevice", "task": None, "started": False, "detail": detail},
    ]
    assert host.asked == []
