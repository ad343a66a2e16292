"""The messages of WS-Management's Windows remote shell ([MS-WSMV]): requests read, answers and faults written."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Iterable
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from tests.lab import element
from tests.lab.element import Element

SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
CMD_RESOURCE = f"{SHELL}/cmd"
CREATE, DELETE = f"{TRANSFER}/Create", f"{TRANSFER}/Delete"
COMMAND, SEND, RECEIVE, SIGNAL = (f"{SHELL}/{verb}" for verb in ("Command", "Send", "Receive", "Signal"))
TERMINATE = f"{SHELL}/signal/terminate"
CTRL_C = f"{SHELL}/signal/ctrl_c"
ANONYMOUS = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
_WMI_ERROR = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError"
FAULT_ACTION = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"

_NAMESPACES = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "p": "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd",
    "x": TRANSFER,
    "rsp": SHELL,
}
_DECLARED = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NAMESPACES.items())
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_DEFAULT_TIMEOUT = 60.0


class FaultError(Exception):
    """A SOAP fault: Windows' own number tells clients what it is, the text tells people."""

    def __init__(self, code: int, subcode: str, text: str, *, receiver: bool = False, from_wmi: bool = False) -> None:
        super().__init__(text)
        self.from_wmi = from_wmi
        self.code = code
        self.subcode = subcode
        self.receiver = receiver


def timed_out() -> FaultError:
    """Nothing to receive within the client's OperationTimeout: the client is to ask again."""
    text = "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.  "
    return FaultError(2150858793, "w:TimedOut", text, receiver=True)


def shell_not_found(shell_id: str) -> FaultError:
    """No such shell; clients make a new one."""
    return FaultError(
        2150858843,
        "w:InvalidSelectors",
        f"The request for the Windows Remote Shell with ShellId {shell_id} failed because the shell was not found on "
        "the server.",
    )


def command_not_found(command_id: str) -> FaultError:
    """No such command in the shell; Windows has the same number for it."""
    return FaultError(2150858843, "w:InvalidSelectors", f"The command identifier {command_id} does not exist.")


def resource_not_found(resource: str) -> FaultError:
    """A kind of shell that the lab does not have."""
    text = f"The lab does not have the resource {resource or '(none)'}."
    return FaultError(2150858752, "a:DestinationUnreachable", text)


def action_not_supported(action: str) -> FaultError:
    """An operation that the lab does not have."""
    return FaultError(2150858771, "a:ActionNotSupported", f"The lab does not support the action {action}.")


def bad_message(why: str) -> FaultError:
    """XML that cannot be read, or that lacks what it must have."""
    return FaultError(2150858817, "w:SchemaValidationError", f"The request is not a WS-Management message: {why}.")


class Request(NamedTuple):
    """A message as far as the lab needs it.

    Attributes:
        action: the URI of the operation.
        resource: the URI of the kind of shell.
        message_id: as sent, to be answered in RelatesTo.
        timeout: how long the client waits for the answer, in seconds.
        shell_id: the ShellId selector, or an empty string.
        body: the first element in the body, or an empty one.
    """

    action: str
    resource: str
    message_id: str
    timeout: float
    shell_id: str
    body: Element


def parse(message: bytes) -> Request:
    """Reads a request.

    Raises:
        FaultError: it is not XML, or has no envelope, action or message id.
    """
    try:
        envelope = element.parse(message)
    except ValueError as error:
        raise bad_message(str(error)) from error
    header, body = envelope.child("Header"), envelope.child("Body")
    action, message_id = header.child("Action").text, header.child("MessageID").text
    if not action or not message_id:
        raise bad_message("the header has no Action or no MessageID")
    selectors = header.child("SelectorSet").all("Selector")
    shell_id = next((each.text for each in selectors if each.attributes.get("Name") == "ShellId"), "")
    return Request(
        action=action,
        resource=header.child("ResourceURI").text,
        message_id=message_id,
        timeout=duration(header.child("OperationTimeout").text, _DEFAULT_TIMEOUT),
        shell_id=shell_id,
        body=next(iter(body.children), Element("", {})),
    )


def duration(value: str, default: float) -> float:
    """Reads an xs:duration of days and less, in seconds; ``default`` if it is none."""
    found = _DURATION.fullmatch(value)
    if found is None or not any(found.groups()):
        return default
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def variables(body: Element) -> dict[str, str]:
    """The environment that a Create sets for its shell."""
    nodes = body.child("Environment").all("Variable")
    return {node.attributes["Name"]: node.text for node in nodes if "Name" in node.attributes}


def command_line(body: Element) -> str:
    """Command and arguments of a Command, as one line."""
    return " ".join([body.child("Command").text, *(node.text for node in body.all("Arguments"))])


def sent_input(body: Element) -> tuple[str, bytes, bool]:
    """Command id, bytes and whether the stream ends, of a Send.

    Raises:
        FaultError: the stream's text is not base64.
    """
    stream = body.child("Stream")
    try:
        data = base64.b64decode(stream.text, validate=True)
    except ValueError as error:
        raise bad_message("a Stream is not base64") from error
    return stream.attributes.get("CommandId", ""), data, stream.attributes.get("End", "").lower() in ("true", "1")


def received_command(body: Element) -> str:
    """The command id of a Receive."""
    return body.child("DesiredStream").attributes.get("CommandId", "")


def signalled(body: Element) -> tuple[str, str]:
    """The command id and the code of a Signal."""
    return body.attributes.get("CommandId", ""), body.child("Code").text


def created(request: Request, shell_id: str, address: str) -> bytes:
    """The answer to Create."""
    return _answer(
        request,
        f"<x:ResourceCreated><a:Address>{escape(address)}</a:Address><a:ReferenceParameters>"
        f"<w:ResourceURI>{CMD_RESOURCE}</w:ResourceURI>"
        f'<w:SelectorSet><w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet>'
        f"</a:ReferenceParameters></x:ResourceCreated><rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId>"
        f"<rsp:ResourceUri>{CMD_RESOURCE}</rsp:ResourceUri><rsp:InputStreams>stdin</rsp:InputStreams>"
        "<rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>",
    )


def started(request: Request, command_id: str) -> bytes:
    """The answer to Command."""
    return _answer(request, f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId></rsp:CommandResponse>")


def received(request: Request, command_id: str, chunks: Iterable[tuple[str, bytes]], exit_code: int | None) -> bytes:
    """The answer to Receive: output, and the exit code once there is no more."""
    streams = "".join(
        f'<rsp:Stream Name="{name}" CommandId="{command_id}">{base64.b64encode(data).decode("ascii")}</rsp:Stream>'
        for name, data in chunks
    )
    if exit_code is None:
        state = f'<rsp:CommandState CommandId="{command_id}" State="{SHELL}/CommandState/Running"/>'
    else:
        streams += "".join(
            f'<rsp:Stream Name="{name}" CommandId="{command_id}" End="true"></rsp:Stream>'
            for name in ("stdout", "stderr")
        )
        state = (
            f'<rsp:CommandState CommandId="{command_id}" State="{SHELL}/CommandState/Done">'
            f"<rsp:ExitCode>{exit_code}</rsp:ExitCode></rsp:CommandState>"
        )
    return _answer(request, f"<rsp:ReceiveResponse>{streams}{state}</rsp:ReceiveResponse>")


def acknowledged(request: Request) -> bytes:
    """The answer to Send, Signal and Delete."""
    element = {SEND: "<rsp:SendResponse/>", SIGNAL: "<rsp:SignalResponse/>"}.get(request.action, "")
    return _answer(request, element)


def fault(error: FaultError, relates_to: str, machine: str) -> bytes:
    """A fault as Windows writes it."""
    message = escape(str(error))
    if error.from_wmi:
        detail = (
            f'<e:MSFT_WmiError xmlns:e="{_WMI_ERROR}">'
            f"<e:error_Code>{error.code}</e:error_Code><e:error_Type>HRESULT</e:error_Type>"
            f"<e:Message>{message}</e:Message></e:MSFT_WmiError>"
        )
    else:
        detail = (
            f'<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{error.code}" '
            f"Machine={quoteattr(machine)}><f:Message>{message}</f:Message></f:WSManFault>"
        )
    return _envelope(
        FAULT_ACTION,
        relates_to,
        f"<s:Fault><s:Code><s:Value>s:{'Receiver' if error.receiver else 'Sender'}</s:Value>"
        f"<s:Subcode><s:Value>{error.subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{message}</s:Text></s:Reason>'
        f"<s:Detail>{detail}</s:Detail></s:Fault>",
    )


def _answer(request: Request, body: str) -> bytes:
    return _envelope(f"{request.action}Response", request.message_id, body)


def _envelope(action: str, relates_to: str, body: str) -> bytes:
    return (
        f'<s:Envelope xml:lang="en-US"{_DECLARED}><s:Header><a:Action>{escape(action)}</a:Action>'
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID><a:To>{ANONYMOUS}</a:To>"
        f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()
