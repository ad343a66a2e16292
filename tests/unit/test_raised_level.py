"""The log level is put back, or said to be raised still, whatever answer is lost."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.winpki.scep.plugins.plugin_utils.raised_level import RaisedLevel

FOUND = {"value": None, "effective": 3, "key_exists": False, "kind": None, "data": None}
RAISED = {"changed": True, "change_id": "C1", "diff": {"before": "3", "after": "4"}}
UNDONE = {"changed": True, "change_id": "C1", "diff": {"before": "4", "after": "3"}}
GONE = AnsibleConnectionFailure("timed out")
RAISE, UNDO = ("log_level", {"level": 4, "role": "verify"}), ("log_level", {"undo": "C1"})
LOOK: tuple[str, dict[str, Any]] = ("undo_info", {})
LOST = "The connection failed while the log level was raised, so nothing was verified: timed out"
AGAIN = "Take it back with winpki.scep.rollback and rollback_roles: [verify]."
STILL = "The log level may still be raised from 3 to 4: "


def record(change_id: str, **changes: Any) -> dict[str, Any]:
    found = {"change_id": change_id, "module": "log_level", "role": "verify", "state": "done", "before": FOUND}
    return {**found, **changes}


class Answers:
    """A host that answers as it is told."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, **options: Any) -> dict[str, Any]:
        self.asked.append((name, options))
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return dict(found)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def run(
    *answers: Any, found: dict[str, Any] | None = None, level: int | None = 4
) -> tuple[RaisedLevel, Answers, str | None]:
    host = Answers(*answers)
    raised = RaisedLevel(host, found or FOUND, level, "verify")
    message = raised.raise_it()
    raised.put_back(5.0)
    assert host.answers == []
    return raised, host, message


@pytest.mark.parametrize(
    ("found", "level", "detail"),
    [
        ({**FOUND, "effective": 4}, 4, "The log level is 4, and was left as it is."),
        ({**FOUND, "effective": 5}, 4, "The log level is 5, and was left as it is."),
        (FOUND, None, "The log level is 3, and was left as it is."),
        (
            {**FOUND, "effective": None},
            4,
            "The log level is a value that Windows does not document, and was left as it is.",
        ),
    ],
)
def test_a_level_that_is_left(found: dict[str, Any], level: int | None, detail: str) -> None:
    raised, host, message = run(found=found, level=level)
    assert (host.asked, message, raised.effective) == ([], None, found["effective"])
    assert raised.outcome() == {
        "before": found["effective"],
        "raised_to": None,
        "put_back": None,
        "change_id": None,
        "detail": detail,
    }


def test_raised_and_put_back(pauses: list[float]) -> None:
    raised, host, message = run(RAISED, UNDONE)
    assert (host.asked, message, raised.effective, pauses) == ([RAISE, UNDO], None, 4, [])
    assert raised.diffs == [RAISED["diff"], UNDONE["diff"]]
    assert raised.outcome()["put_back"] is True


def test_check_mode() -> None:
    raised, host, _message = run({"changed": True, "change_id": None})
    assert host.asked == [RAISE]
    assert raised.outcome() == {
        "before": 3,
        "raised_to": 4,
        "put_back": None,
        "change_id": None,
        "detail": "The log level would be raised from 3 to 4 meanwhile.",
    }


@pytest.mark.parametrize(
    ("answers", "asked", "put_back", "detail"),
    [
        # The answer of the change that puts it back is lost, and it is asked for again.
        ([RAISED, GONE, UNDONE], [RAISE, UNDO, UNDO], True, "The log level was raised from 3 to 4, and put back."),
        (
            [RAISED, GONE, GONE, GONE],
            [RAISE, UNDO, UNDO, UNDO],
            False,
            f"{STILL}the connection failed (timed out). {AGAIN}",
        ),
        # What is refused would be refused again.
        (
            [RAISED, {"failed": True, "msg": "Refused, nothing was changed."}],
            [RAISE, UNDO],
            False,
            f"{STILL}Refused, nothing was changed. {AGAIN}",
        ),
        # The change failed half-way.
        (
            [{"failed": True, "msg": "Half.", "change_id": "C1"}, UNDONE],
            [RAISE, UNDO],
            True,
            "The log level was raised from 3 to 4, and put back.",
        ),
    ],
)
def test_a_level_that_is_hard_to_put_back(
    answers: list[Any], asked: list[Any], put_back: bool, detail: str, pauses: list[float]
) -> None:
    raised, host, _message = run(*answers)
    assert host.asked == asked
    assert (raised.outcome()["put_back"], raised.outcome()["detail"]) == (put_back, detail)
    assert pauses == [5.0] * (len(asked) - 2)


@pytest.mark.parametrize(
    ("records", "asked", "put_back", "reason"),
    [
        ([record("C0", state="undone"), record("C1")], UNDO, True, None),
        ([record("C1", state="prepared")], UNDO, True, None),
        ([record("C0", state="undone")], None, False, "no change of it"),
        ([], None, False, "no change of it is found on the host, so most likely it was never raised"),
        ([record("C1", role="other")], None, False, "no change of it"),
        ([record("C1", module="aik_task")], None, False, "no change of it"),
        ([record("C1", before={**FOUND, "effective": 2})], None, False, "no change of it"),
    ],
)
def test_the_answer_of_the_raise_is_lost(
    records: list[Any], asked: Any, put_back: bool, reason: str | None, pauses: list[float]
) -> None:
    """The host is asked, after a while, whether it was raised."""
    raised, host, message = run(GONE, {"records": records}, *([UNDONE] if asked else []))
    assert message == LOST
    assert host.asked == [RAISE, LOOK, *([UNDO] if asked else [])]
    outcome = raised.outcome()
    assert (outcome["put_back"], outcome["change_id"]) == (put_back, "C1" if asked else None)
    assert outcome["detail"].startswith(f"{STILL}{reason}" if reason else "The log level was raised from 3 to 4, and")
    assert pauses == [5.0]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([GONE, GONE, GONE], "the connection failed (timed out)"),
        ([GONE, {"failed": True, "msg": "Denied."}], "Denied"),
    ],
)
def test_nobody_knows_whether_it_was_raised(answers: list[Any], reason: str) -> None:
    raised, _host, message = run(GONE, *answers)
    assert message == LOST
    assert raised.outcome()["detail"] == f"{STILL}{reason}. {AGAIN}"
