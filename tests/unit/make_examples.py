"""Makes the exported logs in examples/: `python -m tests.unit.make_examples`. The same bytes each time.

A small fleet in a week of March 2026. The first two computers are the examples of the article that this project starts
from; names and addresses of the others are made up, with domains that are reserved for examples.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from tests.unit.evtx_writer import Event, write
from tests.unit.xml_writer import event_viewer, wevtutil

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "logs"
FIELDS = ("Context", "Url", "MessageText", "Method", "Stage", "ErrorCode")
NDES = "https://ndes01.intra.example/certsrv/mscep/mscep.dll/pkiclient.exe"
AIK = "https://{}.microsoftaik.azure.net/templates/Aik/scep"
TLS = "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"
NO_NAME = "The server name or address could not be resolved 0x80072ee7 (WinHttp: 12007 ERROR_WINHTTP_NAME_NOT_RESOLVED)"
TIMEOUT = "The operation timed out 0x80072ee2 (WinHttp: 12002 ERROR_WINHTTP_TIMEOUT)"
CONNECT = (
    "A connection with the server could not be established 0x80072efd (WinHttp: 12029 ERROR_WINHTTP_CANNOT_CONNECT)"
)
NOT_FOUND = "Not found (404). 0x80190194 (-2145844844 HTTP_E_STATUS_NOT_FOUND)"
DENIED = "Unauthorized (401). 0x80190191 (-2145844847 HTTP_E_STATUS_DENIED)"
KEY_LENGTH = (
    "The public key does not meet the minimum size required by the specified certificate template. "
    "0x80094811 (-2146875375 CERTSRV_E_KEY_LENGTH)"
)
GERMAN_TLS = "Es ist ein Sicherheitsfehler aufgetreten. 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"
AMD = "AMD-KeyId-3d5f6c0b8e9a417288c1f04e6b7d2a5590e1c3f7"
AIK_ANSWER = (
    "GetCACaps\r\nGetCACaps: Not Found\r\n"
    f'{{"Message":"The authority \\"{AMD.lower()}.microsoftaik.azure.net\\" does not exist."}}\r\n'
    "HTTP/1.1 404 Not Found\r\nDate: {}\r\nContent-Length: 121\r\nContent-Type: application/json; charset=utf-8\r\n"
    "Server: Microsoft-HTTPAPI/2.0\r\nStrict-Transport-Security: max-age=31536000;includeSubDomains\r\n"
)
NDES_ANSWER = (
    "GetCACaps\r\nGetCACaps: Unauthorized\r\nYou do not have permission to view this directory or page.\r\n"
    "HTTP/1.1 401 Unauthorized\r\nContent-Length: 58\r\nContent-Type: text/html\r\nServer: Microsoft-IIS/10.0\r\n"
    "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n"
)
REFUSED = "PkiStatus(2): failure\r\nFailInfo(2): bad request\r\nEnrollStatus(256): denied\r\n"


def failed(record_id: int, time: str, computer: str, *texts: str, event_id: int = 86, sid: str = "S-1-5-18") -> Event:
    """A failure, with its six fields."""
    return Event(
        event_id=event_id,
        record_id=record_id,
        time=time,
        computer=computer,
        data=tuple(zip(FIELDS, texts, strict=True)),
        user_sid=sid,
    )


def succeeded(record_id: int, time: str, computer: str, *texts: str) -> Event:
    """Event 88, which has no ErrorCode."""
    return Event(
        event_id=88,
        record_id=record_id,
        time=time,
        computer=computer,
        data=tuple(zip(FIELDS[:5], texts, strict=True)),
        level=4,
        qualifiers=16986,
        user_sid="S-1-5-18",
    )


def other(record_id: int, time: str, computer: str) -> Event:
    """An event of another provider, of which a log has many."""
    return Event(
        event_id=1001,
        record_id=record_id,
        time=time,
        computer=computer,
        provider="Windows Error Reporting",
        guid=None,
        source=None,
        qualifiers=0,
        level=4,
        data=((None, "0"), (None, "AppHangB1"), (None, "Not available")),
    )


def workgroup_client() -> list[Event]:
    """The article's second example: no internet, so the AIK service's name is not resolved."""
    url = AIK.format("IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d")
    texts = ("WORKGROUP\\CLIENT1$", url, "GetCACaps", "GET(15ms)", "GetCACaps", NO_NAME)
    times = ("02T06:58:11.0421937", "02T14:03:40.6170024", "04T07:01:52.3309415", "07T06:59:30.9914402")
    events = []
    for index, time in enumerate(times):
        first = 3110 + 40 * index
        events += [other(first + number, f"2026-03-{time[:8]}:{10 + number:02}.5Z", "CLIENT1") for number in range(5)]
        events.append(failed(first + 5, f"2026-03-{time}Z", "CLIENT1", *texts))
    return events


def user() -> list[Event]:
    """The article's first example: the client does not trust the TLS endpoint."""
    url = "https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe"
    texts = ("INTRA\\rudi", url, "GetCACaps", "GET(47ms)", "GetCACaps", TLS)
    times = ("02T07:15:00.1234567", "02T15:15:02.4810093", "03T07:14:58.7722410")
    return [
        failed(
            18820 + 171 * index,
            f"2026-03-{time}Z",
            "CLIENT2.intra.adcslabor.de",
            *texts,
            sid="S-1-5-21-1004336348-1177238915-682003330-1104",
        )
        for index, time in enumerate(times)
    ]


def unknown_tpm() -> list[Event]:
    """The AIK service has no authority for this TPM's maker: an answer of many lines."""
    events = []
    for index, (time, date) in enumerate(
        [
            ("03T08:22:41.6650127", "Tue, 03 Mar 2026 08:22:41 GMT"),
            ("05T09:10:03.2048853", "Thu, 05 Mar 2026 09:10:03 GMT"),
        ]
    ):
        answer = AIK_ANSWER.replace("Date: {}", f"Date: {date}")
        texts = ("INTRA\\CLIENT3$", AIK.format(AMD), answer, "GET(389ms)", "GetCACaps", NOT_FOUND)
        events.append(failed(9902 + 57 * index, f"2026-03-{time}Z", "CLIENT3.intra.example", *texts))
    return events


def german() -> list[Event]:
    """A German Windows; Event Viewer adds the text, so do forwarded events with the content format RenderedText."""
    texts = ("INTRA\\KASSE07$", NDES, "GetCACaps", "GET(63ms)", "GetCACaps", GERMAN_TLS)
    message = (
        f"Fehler bei der Initialisierung der SCEP-Zertifikatregistrierung für {texts[0]} über {texts[1]}:\r\n\r\n"
        f"{texts[2]}\r\nMethode: {texts[3]}\r\nPhase: {texts[4]}\r\n{texts[5]}"
    )
    rendering = (
        ("Culture", "de-DE"),
        ("Message", message),
        ("Level", "Fehler"),
        ("Task", ""),
        ("Opcode", "Info"),
        ("Channel", ""),
        ("Provider", "Microsoft-Windows-CertificateServicesClient-CertEnroll"),
    )
    times = ("06T05:47:19.8805120", "06T13:47:22.0917746")
    return [
        dataclasses.replace(
            failed(55010 + 96 * index, f"2026-03-{time}Z", "KASSE07.intra.example", *texts), rendering=rendering
        )
        for index, time in enumerate(times)
    ]


def collected() -> list[Event]:
    """What a collector of Windows Event Forwarding has of ten computers."""
    events: list[Event] = []
    for number, day in ((11, 2), (12, 2), (13, 3), (14, 4), (15, 4), (16, 2)):
        host = f"PC{number}.intra.example"
        texts = (f"INTRA\\PC{number}$", NDES, "GetCACaps", f"GET({31 + number}ms)", "GetCACaps", TLS)
        events += [
            failed(4000 + 7 * number + hour, f"2026-03-{day:02}T{hour:02}:{number}:05.2500000Z", host, *texts)
            for hour in (6, 14, 22)[: 1 + number % 3]
        ]
    # The root was installed on PC16: its next enrolment went through.
    success = ("INTRA\\PC16$", NDES, "SCEP", "POST(212ms)", "ProcessResponseMessage")
    events.append(succeeded(4188, "2026-03-05T08:16:40.7500000Z", "PC16.intra.example", *success))
    texts = ("INTRA\\PC17$", NDES, REFUSED, "POST(140ms)", "ProcessResponseMessage", KEY_LENGTH)
    events.append(failed(907, "2026-03-05T10:01:12.1000000Z", "PC17.intra.example", *texts, event_id=87))
    texts = ("INTRA\\PC18$", NDES, "GetCACaps", "GET(30016ms)", "GetCACaps", TIMEOUT)
    events.append(failed(2410, "2026-03-05T11:30:44.9000000Z", "PC18.intra.example", *texts))
    events.append(failed(2455, "2026-03-05T19:31:15.3000000Z", "PC18.intra.example", *texts))
    texts = ("INTRA\\PC19$", NDES.replace("https", "http"), "GetCACaps", "GET(21022ms)", "GetCACaps", CONNECT)
    events.append(failed(731, "2026-03-06T06:19:03.6000000Z", "PC19.intra.example", *texts))
    # The content format Events: no names, and of the empty fields nothing.
    texts = ("INTRA\\PC20$", NDES.replace("ndes01", "ndes02"), NDES_ANSWER, "GET(22ms)", "GetCACaps", DENIED)
    unnamed = failed(1204, "2026-03-06T07:20:11.4000000Z", "PC20.intra.example", *texts)
    events.append(dataclasses.replace(unnamed, data=tuple((None, text) for text in texts)))
    events.sort(key=lambda event: event.time)
    return [
        dataclasses.replace(event, forwarded=True, number=number, written=f"{event.time[:17]}59.0000000Z")
        for number, event in enumerate(events, start=1)
    ]


def files() -> dict[str, bytes]:
    """The content of each file, by its name."""
    made = {
        "CLIENT2.xml": wevtutil(user()).encode(),
        # As Windows PowerShell redirects it. The suffix as it is, since ansible-test takes any .xml for UTF-8.
        "CLIENT3.XML": f"\ufeff{wevtutil(unknown_tpm(), root=True)}".encode("utf-16-le"),
        "KASSE07.xml": event_viewer(german()).encode(),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, events in (("CLIENT1.evtx", workgroup_client()), ("ForwardedEvents.evtx", collected())):
            write(Path(folder, name), events)
            made[name] = Path(folder, name).read_bytes()
    return made


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_bytes(content)
