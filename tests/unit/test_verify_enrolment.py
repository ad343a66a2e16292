"""How long an enrolment is waited for, also while the host can't be reached."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.winpki.scep.plugins.action.verify_enrolment import ActionModule
from ansible_collections.winpki.scep.plugins.plugin_utils.verification import blind_spots

from tests.unit.evidence_data import profile

URL = "https://ndes01.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"
OTHER = "https://ndes02.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"
AIK_URL = "https://IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net/templates/Aik/scep"
AIK_TASK = "\\Microsoft\\Windows\\CertificateServicesClient\\AikCertEnrollTask"
LOG = {"name": "Application", "enabled": True, "oldest_record": 1, "record_count": 9, "rolled_over": False}
GONE = AnsibleConnectionFailure("timed out")
LIBRARY = OSError("reset by peer")
"""What a connection plugin lets out of the libraries below it."""
ARGUMENTS = {"wait": 30.0, "interval": 10.0, "silent_urls": [], "contexts": {}}
MARK = {"last_record_id": 7, "log": LOG}


def answer(*event_ids: int, context: str = "LAB\\C1$") -> dict[str, Any]:
    events = [
        {"record_id": number, "event_id": event_id, "data": {"Url": URL, "Context": context}, "message": None}
        for number, event_id in enumerate(event_ids, 8)
    ]
    return {"events": events, "log": LOG}


class Host(ActionModule):
    """A host that answers as it is told, on a clock of its own."""

    def __init__(self, *answers: dict[str, Any] | Exception, check: bool = False) -> None:
        self._vars = {"ansible_host": "client1"}
        self.__dict__["_task"] = SimpleNamespace(check_mode=check)
        self.__dict__["_display"] = SimpleNamespace(vvv=lambda _text: None)
        self.__dict__["_connection"] = SimpleNamespace(reset=self.reset)
        self.resets = 0
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def reset(self) -> None:
        self.resets += 1

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


DENIED = {"failed": True, "msg": "The log is denied."}


@pytest.mark.parametrize(
    ("answers", "more", "outcomes", "seconds"),
    [
        ([answer(88)], {}, ["succeeded"], 0),
        ([answer(), answer(), answer(86)], {}, ["failed"], 20),
        ([GONE, LIBRARY, answer(88)], {}, ["succeeded"], 20),
        ([DENIED, answer(88)], {}, ["succeeded"], 10),
        ([answer(), answer()], {"wait": 5.0}, ["open"], 5),
        ([answer()], {"wait": 0.0}, ["open"], 0),
        ([answer(88)] * 4, {"silent_urls": [OTHER]}, ["succeeded", "quiet"], 30),
        ([answer()], {"check": True}, ["open"], 0),
        # Without a wait there is no silence.
        ([answer()], {"check": True, "silent_urls": [OTHER]}, ["open", "open"], 0),
        ([answer()], {"wait": 0.0, "silent_urls": [OTHER]}, ["open", "open"], 0),
        # One more look, if the last one was not answered.
        ([answer(), GONE, GONE, GONE, answer(88)], {}, ["succeeded"], 40),
        ([GONE, GONE, GONE, GONE, answer()], {"silent_urls": [OTHER]}, ["open", "quiet"], 40),
        # Somebody else's success: the one that was asked for is waited for.
        (
            [answer(88), answer(), answer(88, context="intra\\RUDI")],
            {"contexts": {URL: ["INTRA\\rudi"]}},
            ["succeeded"],
            20,
        ),
        ([answer(88)] * 4, {"contexts": {URL: ["INTRA\\rudi"]}}, ["open"], 30),
        ([answer(88)], {"contexts": {URL: ["Local system"]}}, ["succeeded"], 0),
    ],
)
def test_the_wait(
    answers: list[Any], more: dict[str, Any], outcomes: list[str], seconds: float, clock: list[float]
) -> None:
    given = dict(more)
    host = Host(*answers, check=given.pop("check", False))
    verdicts, watch = host._wait([URL], [], MARK, 4, {**ARGUMENTS, **given}, 100.0)
    assert [one["outcome"] for one in verdicts] == outcomes
    assert (blind_spots(watch), clock[0] - 100.0) == ([], seconds)
    assert host.asked == [("event_info", {"after_record_id": 7})] * len(answers)


@pytest.mark.parametrize(
    ("answers", "outcomes", "spot"),
    [
        ([GONE] * 5, ["open", "open"], "The event log could not be read (timed out)."),
        ([DENIED] * 5, ["open", "open"], "The event log could not be read (The log is denied)."),
        (
            [answer(88), *[GONE] * 4],
            ["succeeded", "open"],
            "The event log could be read for 0 s, and then no more (timed out).",
        ),
        (
            [*[{**answer(), "log": {**LOG, "enabled": False}}] * 4],
            ["open", "open"],
            "The log Application is disabled, so no event is written to it.",
        ),
    ],
)
def test_a_host_that_was_not_seen_is_not_quiet(answers: list[Any], outcomes: list[str], spot: str) -> None:
    """As after the AIK's task was disabled: the host is away, or its log says nothing, at the end of the wait."""
    host = Host(*answers)
    verdicts, watch = host._wait([URL], [], MARK, 4, {**ARGUMENTS, "silent_urls": [OTHER]}, 100.0)
    assert [one["outcome"] for one in verdicts] == outcomes
    assert blind_spots(watch) == [spot]
    assert spot in verdicts[1]["detail"]
    assert host.answers == []


def test_a_broken_connection_is_made_anew() -> None:
    """A shell that the host has forgotten would be asked for ever."""
    host = Host(answer(), GONE, LIBRARY, answer())
    host._wait([URL], [], MARK, 4, ARGUMENTS, 100.0)
    assert host.resets == 2


@pytest.mark.usefixtures("clock")
def test_a_host_whose_log_was_empty() -> None:
    host = Host(answer(88))
    host._wait([URL], [], {"last_record_id": None}, 4, ARGUMENTS, 100.0)
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


LEVEL = {"value": None, "effective": 3, "key_exists": False, "kind": None, "data": None}
READ = {"changed": False, "before": LEVEL, "after": LEVEL, "change_id": None}
RAISED = {"changed": True, "before": LEVEL, "after": {**LEVEL, "effective": 4}, "change_id": "C1"}
UNDONE = {"changed": True, "change_id": "C1"}
START: list[Any] = [READ, MARK, {"profiles": []}]
WHOLE = {
    **ARGUMENTS,
    "urls": [URL],
    "start": False,
    "look_again": 8.0,
    "log_level": 4,
    "required": False,
    "role": "verify",
}


def test_the_whole_of_it() -> None:
    host = Host(*START, RAISED, answer(88), UNDONE)
    found = host._verify(WHOLE)
    assert (found["outcome"], found["changed"], found.get("failed"), found["look_again"]) == (
        "succeeded",
        True,
        None,
        None,
    )
    assert found["log_level"] == {
        "before": 3,
        "raised_to": 4,
        "put_back": True,
        "change_id": "C1",
        "detail": "The log level was raised from 3 to 4, and put back.",
    }
    assert found["blind_spots"] == []
    assert host.asked == [
        ("log_level", {}),
        ("event_info", {"max_events": 1}),
        ("profile_info", {}),
        ("log_level", {"level": 4, "role": "verify"}),
        ("event_info", {"after_record_id": 7}),
        ("log_level", {"undo": "C1"}),
    ]


def test_look_again_where_something_is_only_quiet() -> None:
    host = Host(*START, RAISED, answer(88), answer(88), UNDONE)
    found = host._verify({**WHOLE, "silent_urls": [OTHER], "wait": 10.0, "required": True})
    assert (found["outcome"], found.get("failed")) == ("quiet", None)
    assert found["look_again"] is not None


def test_a_host_that_was_not_seen_fails_where_a_proof_is_required() -> None:
    host = Host(*START, RAISED, GONE, GONE, GONE, UNDONE)
    found = host._verify({**WHOLE, "urls": [], "silent_urls": [OTHER], "wait": 10.0, "required": True})
    assert (found["outcome"], found["failed"]) == ("open", True)
    # Said once.
    assert found["msg"].count("could not be read") == 1


STILL = (
    "The log level may still be raised from 3 to 4: the connection failed (timed out). Take it back with "
    "winpki.scep.rollback and rollback_roles: [verify]."
)


@pytest.mark.parametrize(
    ("answers", "outcome", "message"),
    [
        ([READ, GONE], None, "The host could not be reached, so nothing was verified: timed out"),
        ([{"failed": True, "msg": "Denied."}], None, "Denied."),
        (
            [*START, {"failed": True, "msg": "Denied.", "change_id": None}],
            None,
            "The log level could not be raised, so nothing was verified: Denied.",
        ),
        (
            [*START, GONE, GONE, GONE, GONE],
            None,
            f"The connection failed while the log level was raised, so nothing was verified: timed out {STILL}",
        ),
    ],
)
def test_nothing_is_verified(answers: list[Any], outcome: str | None, message: str) -> None:
    host = Host(*answers)
    found = host._verify(WHOLE)
    assert (found["failed"], found.get("outcome"), found["msg"]) == (True, outcome, message)
    assert host.answers == []


def test_what_was_seen_stands_though_the_level_was_not_put_back() -> None:
    found = Host(*START, RAISED, answer(88), GONE, GONE, GONE)._verify(WHOLE)
    assert (found["failed"], found["outcome"], found["log_level"]["put_back"]) == (True, "succeeded", False)
    assert found["msg"].endswith(f"says that a certificate was enrolled. {STILL}")


def test_the_level_is_put_back_whatever_happens() -> None:
    host = Host(*START, RAISED, {"log": LOG}, UNDONE)
    with pytest.raises(KeyError):
        host._verify(WHOLE)
    assert host.asked[-1] == ("log_level", {"undo": "C1"})


def test_a_context_that_nothing_is_verified_for_is_refused_before_the_host_is_changed() -> None:
    host = Host(*START)
    found = host._verify({**WHOLE, "contexts": {OTHER: ["INTRA\\rudi"]}})
    assert (found["failed"], found["msg"].startswith(f"contexts: {OTHER} is none of")) == (True, True)
