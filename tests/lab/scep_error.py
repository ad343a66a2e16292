"""What a Windows client says of an enrolment that went wrong: the HRESULT and the text that its events hold."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Sequence
from http import HTTPStatus

_WINHTTP = {
    12002: ("The operation timed out", "ERROR_WINHTTP_TIMEOUT"),
    12005: ("The URL is invalid", "ERROR_WINHTTP_INVALID_URL"),
    12007: ("The server name or address could not be resolved", "ERROR_WINHTTP_NAME_NOT_RESOLVED"),
    12029: ("A connection with the server could not be established", "ERROR_WINHTTP_CANNOT_CONNECT"),
    12030: ("The connection with the server was terminated abnormally", "ERROR_WINHTTP_CONNECTION_ERROR"),
    12044: ("A certificate is required to complete client authentication", "ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED"),
    12152: ("The server returned an invalid or unrecognized response", "ERROR_WINHTTP_INVALID_SERVER_RESPONSE"),
    12157: ("An error occurred in the secure channel support", "ERROR_WINHTTP_SECURE_CHANNEL_ERROR"),
    12175: ("A security error occurred", "ERROR_WINHTTP_SECURE_FAILURE"),
}
_HTTP = {
    400: ("Bad request", "HTTP_E_STATUS_BAD_REQUEST"),
    401: ("Unauthorized", "HTTP_E_STATUS_DENIED"),
    403: ("Forbidden", "HTTP_E_STATUS_FORBIDDEN"),
    404: ("Not found", "HTTP_E_STATUS_NOT_FOUND"),
    407: ("Proxy authentication required", "HTTP_E_STATUS_PROXY_AUTH_REQ"),
    500: ("Internal server error", "HTTP_E_STATUS_SERVER_ERROR"),
    502: ("Bad gateway", "HTTP_E_STATUS_BAD_GATEWAY"),
    503: ("Service unavailable", "HTTP_E_STATUS_SERVICE_UNAVAIL"),
    504: ("Gateway timeout", "HTTP_E_STATUS_GATEWAY_TIMEOUT"),
}
_FACILITY_WIN32, _FACILITY_HTTP = 0x80070000, 0x80190000
_SIGN = 1 << 31


class EnrolmentError(Exception):
    """A step of an enrolment failed.

    Attributes:
        hresult: unsigned.
        code_text: the event's field ErrorCode.
        answer: what the server said, in the form of the event's MessageText; empty where it said nothing.
    """

    def __init__(self, hresult: int, code_text: str, answer: str = "") -> None:
        super().__init__(code_text)
        self.hresult = hresult
        self.code_text = code_text
        self.answer = answer


def winhttp_error(number: int) -> EnrolmentError:
    """An error of Windows' HTTP client, by its number."""
    text, name = _WINHTTP[number]
    hresult = _FACILITY_WIN32 + number
    return EnrolmentError(hresult, f"{text} {hresult:#010x} (WinHttp: {number} {name})")


def other_error(hresult: int, text: str, name: str) -> EnrolmentError:
    """An error of another part of Windows."""
    signed = hresult - (1 << 32) if hresult & _SIGN else hresult
    return EnrolmentError(hresult, f"{text} {hresult:#010x} ({signed} {name})".replace(" )", ")"))


def http_error(
    status: int, reason: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = (), step: str = "GetCACaps"
) -> EnrolmentError:
    """An answer with a status that is no success: its text goes into the event whole."""
    text, name = _HTTP.get(status, (reason or _phrase(status), ""))
    lines = [f"{step}: {reason}", *body.decode("utf-8", "replace").splitlines(), f"HTTP/1.1 {status} {reason}"]
    lines += [f"{key}: {value}" for key, value in headers]
    error = other_error(_FACILITY_HTTP + status, f"{text} ({status}).", name)
    error.answer = "".join(f"{line}\r\n" for line in lines)
    return error


def network_error(error: Exception) -> EnrolmentError:
    """What Windows' HTTP client makes of a conversation that failed."""
    return winhttp_error(_number(error))


def _number(error: Exception) -> int:
    # The order counts: the first two are kinds of the third, and that of OSError.
    if isinstance(error, ssl.SSLCertVerificationError):
        return 12175
    if isinstance(error, ssl.SSLError):
        return 12044 if "CERTIFICATE_REQUIRED" in (error.reason or "") else 12157
    if isinstance(error, socket.gaierror):
        return 12007
    if isinstance(error, TimeoutError):
        return 12002
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return 12030
    if isinstance(error, OSError):
        return 12029
    return 12005 if isinstance(error, (ValueError, http.client.InvalidURL)) else 12152


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in {known.value for known in HTTPStatus} else "Error"
