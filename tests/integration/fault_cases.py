"""What each fault of the WinRM conversation leaves behind, at each message of the command that changes a host."""

from __future__ import annotations

from typing import NamedTuple

from ansible.release import __version__

from tests.integration.fault_host import Disturbance
from tests.lab.faults import Fault, Kind

Words = tuple[str, ...]
NOT_DONE: tuple[Kind, ...] = ("drop", "401", "500", "quota")
"""The host does nothing with the message."""
UNHEARD: tuple[Kind, ...] = ("lose", "cut")
"""The host carries it out, and the client does not get the answer."""
KINDS: tuple[Kind, ...] = (*NOT_DONE, *UNHEARD)
PATIENT = {"ansible_winrm_operation_timeout_sec": 240, "ansible_winrm_read_timeout_sec": 270}
"""One Receive waits until there is output, however busy the machine is."""
IMPATIENT = {"ansible_winrm_operation_timeout_sec": 2, "ansible_winrm_read_timeout_sec": 30}
DEAF = {"ansible_winrm_operation_timeout_sec": 2, "ansible_winrm_read_timeout_sec": 15}
"""For a host that is not heard any more: Ansible gives up after the second."""
RETRIES_QUOTA = tuple(map(int, __version__.split(".")[:2])) >= (2, 18)
OK: Words = ("ok",)
FAILED: Words = ("failed", "unreachable")
OLD: Words = ("old",)
NEW: Words = ("new",)
ANY: Words = ("old", "part", "new")
BEFORE = ("Create", "Command", "Send1", "Send2", "Receive1")
"""The messages up to the change: the shell's, and the command's own. See `case`."""
AFTER = ("Receive2", "Signal", "Delete")


class Case(NamedTuple):
    """One host's disturbance.

    Attributes:
        host: its name, which says what happens.
        disturbance: that.
        status: what the task may be said to be.
        ends: how the host may end: as it was ("old"), changed ("new"), or with part of the change.
        variables: of the inventory.
    """

    host: str
    disturbance: Disturbance
    status: Words
    ends: Words
    variables: dict[str, int]


def case(kind: Kind, message: str, command: int, record: str) -> Case:
    """A fault at one message of the command that writes.

    Send1 is the first part of its input and Send2 the last; Receive2 is the first that comes after the change.
    """
    operation = message.rstrip("12")
    fault = Fault(kind, operation)
    variables, status, ends = PATIENT, FAILED, OLD
    if kind == "delay" or message == "Delete" or (kind, message, RETRIES_QUOTA) == ("quota", "Command", True):
        # Nothing of the result is lost.
        status, ends = OK, NEW
    elif operation == "Send" and kind == "cut":
        # Ansible does not read this answer.
        status, ends = OK, NEW
    elif message == "Create":
        status = ("unreachable",)
    elif message == "Send2" and kind in UNHEARD:
        # Ansible looks all the same whether there is a result.
        status, ends = OK, NEW
    elif operation == "Send":
        # The command waits for the rest of its input, and Ansible waits as long as one operation may take.
        variables = IMPATIENT
    elif message == "Receive1":
        # Ansible ends the command, which has just begun; or gone on, until it has brought some output, if not all.
        ends = ANY
    elif message in ("Receive2", "Signal"):
        ends = NEW
    started = 0 if message == "Create" else command
    made = record if message == "Receive2" else None
    return Case(f"{kind}-{message}", Disturbance(fault, started, message == "Send2", made), status, ends, variables)


def silence(command: int) -> Case:
    """A host that is not heard for so long that Ansible gives up: nobody knows how far it is then."""
    return Case("silence", Disturbance(Fault("delay", "Receive", seconds=120), command), FAILED, ANY, DEAF)


def hang(command: int) -> Case:
    """A host that is only silent for a while."""
    return Case("hang", Disturbance(Fault("hang", "Receive", times=2), command), OK, NEW, IMPATIENT)
