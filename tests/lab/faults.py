"""Faults in the WinRM conversation of a host: what goes wrong at which message, as handlers around another one.

fleet.inject("CLIENT1", Fault("drop", operation="Receive", nth=2))     # the second Receive from now on
fleet.inject("CLIENT1", Fault("quota", operation="Create", times=0))   # every Create
fleet.clear_faults("CLIENT1")

| kind | what the client sees | what the host does with the message |
|---|---|---|
| drop | the connection is closed without an answer | nothing |
| lose | the same | carries it out |
| delay | the answer comes ``seconds`` late | carries it out, later |
| 401 | the credentials are refused | nothing |
| 500 | a server error without a body | nothing |
| cut | half of the answer's XML | carries it out |
| hang | the command gives no output and does not end, as long as the fault lasts | goes on with the command, unheard |
| quota | the fault of a shell (at Create) or operation too many | nothing |
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Literal, get_args

from tests.lab import wsman
from tests.lab.node import Node
from tests.lab.web import Handler, HangupError, Request, Response

Kind = Literal["drop", "lose", "delay", "401", "500", "cut", "hang", "quota"]
KINDS: tuple[Kind, ...] = get_args(Kind)
OPERATIONS = ("Create", "Command", "Send", "Receive", "Signal", "Delete")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        kind: one of `KINDS`.
        operation: the message that it meets, one of `OPERATIONS`; None for any.
        nth: from which of those messages on, counted from when it was put in. A Receive that brings nothing within
            the client's time-out is followed by another, and counts.
        times: how many of them; 0 for all.
        seconds: of a delay.
    """

    kind: Kind
    operation: str | None = None
    nth: int = 1
    times: int = 1
    seconds: float = 1.0

    def __post_init__(self) -> None:
        """Refuses what can never happen, so that no test waits for it."""
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not one of the faults {', '.join(KINDS)}")
        if self.operation not in (None, *OPERATIONS):
            raise ValueError(f"{self.operation!r} is not one of the operations {', '.join(OPERATIONS)}")
        if self.kind == "hang" and self.operation != "Receive":
            raise ValueError("a command hangs at Receive: that is the operation of this fault")
        if self.nth < 1 or self.times < 0 or self.seconds < 0:
            raise ValueError("nth is counted from 1; times and seconds are not negative")


@dataclass
class _Counted:
    fault: Fault
    messages: int = 0


class Faults:
    """The faults of one host; they can change while it is served."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._lock = threading.Lock()
        self._seen = [_Counted(fault) for fault in faults]
        self._closed = threading.Event()
        self.met: list[tuple[Fault, str]] = []
        """What has happened: the fault and the operation that it met."""

    def inject(self, fault: Fault) -> None:
        """Puts a fault in; it counts messages from now on."""
        with self._lock:
            self._seen.append(_Counted(fault))

    def clear(self) -> None:
        """Takes all faults out."""
        with self._lock:
            self._seen = []

    def close(self) -> None:
        """Lets go of everybody who is kept waiting."""
        self._closed.set()

    def around(self, handler: Handler, machine: str) -> Handler:
        """The handler with these faults around it; ``machine`` is the host's name, for SOAP faults."""

        def faulty(request: Request) -> Response:
            operation = _operation(request)
            fault = self._next(operation)
            return handler(request) if fault is None else self._answer(fault, handler, request, machine)

        return faulty

    def _next(self, operation: str) -> Fault | None:
        """Counts the message, and says which fault meets it; the first one that was put in."""
        hit: Fault | None = None
        with self._lock:
            for entry in self._seen:
                fault = entry.fault
                if fault.operation not in (None, operation):
                    continue
                entry.messages += 1
                place = entry.messages - fault.nth
                if hit is None and place >= 0 and (fault.times == 0 or place < fault.times):
                    hit = fault
            if hit is not None:
                self.met.append((hit, operation))
        return hit

    def _answer(self, fault: Fault, handler: Handler, request: Request, machine: str) -> Response:
        if fault.kind == "drop":
            raise HangupError
        if fault.kind == "401":
            return Response(401, headers={"WWW-Authenticate": 'Basic realm="WSMAN"'})
        if fault.kind == "500":
            return Response(500)
        if fault.kind == "quota":
            return _soap_fault(_quota(request), request, machine)
        if fault.kind == "hang":
            return self._hang(request, machine)
        if fault.kind == "delay":
            self._closed.wait(fault.seconds)
        answer = handler(request)
        if fault.kind == "lose":
            raise HangupError
        return answer._replace(body=answer.body[: len(answer.body) // 2]) if fault.kind == "cut" else answer

    def _hang(self, request: Request, machine: str) -> Response:
        """Nothing came within the time that the client waits for, and nothing ever does."""
        end = time.monotonic() + wsman.parse(request.body).timeout
        if self._closed.wait(max(0.0, end - time.monotonic())):
            raise HangupError
        return _soap_fault(wsman.timed_out(), request, machine)


def read_fault(node: Node) -> Fault:
    """Reads a fault of a scenario.

    Raises:
        ScenarioError: something in it is wrong.
    """
    kind = node.take("kind")
    number = {key: node.number(key, 0) for key in ("nth", "times", "seconds")}
    given = {key: value for key, value in number.items() if value is not None}
    # YAML reads 401 and 500 as numbers.
    name = next((known for known in KINDS if known == str(kind)), None)
    if name is None:
        raise node.wrong("kind", f"one of {', '.join(KINDS)} is needed, not {kind!r}")
    operation = node.choice("operation", OPERATIONS)
    try:
        fault = Fault(name, operation, **given)
    except ValueError as error:
        raise node.wrong("kind", str(error)) from error
    node.finish()
    return fault


def _operation(request: Request) -> str:
    try:
        return wsman.parse(request.body).action.rpartition("/")[2]
    except wsman.FaultError:
        return ""


def _quota(request: Request) -> wsman.FaultError:
    """Too many operations come from another part of Windows; clients that know its form make a new shell."""
    at_create = _operation(request) == "Create"
    what, code, limit = ("shells", 2150859173, 30) if at_create else ("operations", 2150859174, 15)
    return wsman.FaultError(
        code,
        "w:QuotaLimit",
        f"The WS-Management service cannot process the request. This user is allowed a maximum number of {limit} "
        f"concurrent {what}, which has been exceeded. Close existing {what} for this user, or raise the quota for "
        "this user.",
        from_wmi=not at_create,
    )


def _soap_fault(error: wsman.FaultError, request: Request, machine: str) -> Response:
    body = wsman.fault(error, wsman.parse(request.body).message_id, machine)
    return Response(500, body, {"Content-Type": "application/soap+xml;charset=UTF-8"})
