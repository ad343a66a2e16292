"""Raw events for tests: those of the article that this project starts from, and ones after Windows' templates."""

from __future__ import annotations

from typing import Any

PROVIDER = "Microsoft-Windows-CertificateServicesClient-CertEnroll"
NDES = "https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe"
AIK = "https://IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net/templates/Aik/scep"
SECURE_FAILURE = "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"
NOT_RESOLVED = (
    "The server name or address could not be resolved 0x80072ee7 (WinHttp: 12007 ERROR_WINHTTP_NAME_NOT_RESOLVED)"
)

# As an answer of the AIK service stands in MessageText.
UNKNOWN_AUTHORITY = "\r\n".join(
    (
        "GetCACaps",
        "GetCACaps: Not Found",
        '{"Message":"The authority \\"amd-keyid-578c545f796951421221a4a578acdb5f682f89c8.microsoftaik.azure.net\\"'
        ' does not exist."}',
        "HTTP/1.1 404 Not Found",
        "Date: Tue, 03 Nov 2026 10:15:30 GMT",
        "Content-Length: 121",
        "Content-Type: application/json; charset=utf-8",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "",
    )
)
# As a CA's refusal stands in MessageText of event 87.
DENIED = "\r\n".join(
    (
        "PkiStatus(2): SCEPDispositionFailure",
        "FailInfo(2): SCEPFailBadRequest",
        "EnrollStatus(256): EnrollDenied",
        "The public key does not meet the minimum size required by the specified certificate template."
        " 0x80094811 (-2146875375 CERTSRV_E_KEY_LENGTH) Denied by Policy Module ProcessResponseMessage",
        "Submit(Request): OK",
        "HTTP/1.1 200 OK",
        "Date: Thu, 22 Oct 2026 13:59:03 GMT",
        "Content-Length: 1070",
        "Content-Type: application/x-pki-message",
        "",
    )
)
KEY_LENGTH = (
    "The public key does not meet the minimum size required by the specified certificate template."
    " 0x80094811 (-2146875375 CERTSRV_E_KEY_LENGTH)"
)


def raw(event_id: int | None = 86, **changes: Any) -> dict[str, Any]:
    """The article's first event as event_info returns it.

    Names of the event's own fields (Url, Stage, ...) and of the raw event (computer, record_id, ...) change it; a field
    that is None is left out.
    """
    data: dict[str, Any] = {
        "Context": "INTRA\\rudi",
        "Url": NDES,
        "MessageText": "GetCACaps",
        "Method": "GET(47ms)",
        "Stage": "GetCACaps",
        "ErrorCode": None if event_id == 88 else SECURE_FAILURE,
    }
    event: dict[str, Any] = {
        "record_id": 4711,
        "event_id": event_id,
        "log": "Application",
        "computer": "CLIENT1.intra.adcslabor.de",
        "provider": PROVIDER,
        "level": 4 if event_id == 88 else 2,
        "time_created": "2026-11-03T10:15:30.1234567Z",
        "user_sid": "S-1-5-21-1-2-3-1104",
        "data": data,
        "message": None,
    }
    for name, value in changes.items():
        (data if name in data else event)[name] = value
    event["data"] = {name: value for name, value in event["data"].items() if value is not None}
    return event


def text(template: str, *fields: str) -> str:
    """A message as Windows renders it: %1 to %6 are the fields, %n is a line end."""
    message = template.replace("%n", "\r\n")
    for number, field in enumerate(fields, 1):
        message = message.replace(f"%{number}", field)
    return message


ENGLISH_86 = "SCEP Certificate enrollment initialization for %1 via %2 failed:%n%n%3%nMethod: %4%nStage: %5%n%6"
ENGLISH_87 = "SCEP Certificate enrollment for %1 via %2 failed:%n%n%3%nMethod: %4%nStage: %5%n%6"
ENGLISH_88 = "SCEP Certificate enrollment for %1 via %2 succeeded:%n%n%3%nMethod: %4%nStage: %5"
GERMAN_86 = (
    "Fehler bei der Initialisierung der SCEP-Zertifikatregistrierung für %1 über %2:%n%n%3%nMethode: %4%nPhase: %5%n%6"
)
GERMAN_87 = "Fehler bei der SCEP-Zertifikatregistrierung für %1 über %2:%n%n%3%nMethode: %4%nPhase: %5%n%6"
GERMAN_88 = "SCEP-Zertifikatregistrierung für %1 über %2 war erfolgreich:%n%n%3%nMethode: %4%nPhase: %5"
