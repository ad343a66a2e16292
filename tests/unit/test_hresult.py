"""Error codes: the text of an ErrorCode field, and the families of HRESULTs."""

from __future__ import annotations

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.hresult import describe, parse_error


@pytest.mark.parametrize(
    ("text", "hresult", "name", "family", "code", "sentence"),
    [
        (
            "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)",
            "0x80072f8f",
            "ERROR_WINHTTP_SECURE_FAILURE",
            "winhttp",
            12175,
            "A security error occurred",
        ),
        (
            "The public key is too short. 0x80094811 (-2146875375 CERTSRV_E_KEY_LENGTH)",
            "0x80094811",
            "CERTSRV_E_KEY_LENGTH",
            "certsrv",
            0x4811,
            "The public key is too short.",
        ),
        (
            "Not found (404). 0x80190194 (-2145844844 HTTP_E_STATUS_NOT_FOUND)",
            "0x80190194",
            "HTTP_E_STATUS_NOT_FOUND",
            "http",
            404,
            "Not found (404).",
        ),
        # Only the hexadecimal number, in any case: the rest comes from the tables.
        ("0x80072EE7", "0x80072ee7", "ERROR_WINHTTP_NAME_NOT_RESOLVED", "winhttp", 12007, None),
        ("Fehler 0x800B0109", "0x800b0109", "CERT_E_UNTRUSTEDROOT", "crypt", 0x0109, "Fehler"),
        ("x 0x80290401", "0x80290401", "TPM_E_PCP_DEVICE_NOT_READY", "tpm", 0x0401, "x"),
        # Only what stands in brackets.
        ("x (WinHttp: 12029 ERROR_X_Y)", "0x80072efd", "ERROR_X_Y", "winhttp", 12029, "x"),
        ("(WinHttp: 12029)", "0x80072efd", "ERROR_WINHTTP_CANNOT_CONNECT", "winhttp", 12029, None),
        ("(-2146875375)", "0x80094811", "CERTSRV_E_KEY_LENGTH", "certsrv", 0x4811, None),
        ("x (WIN32: 13 ERROR_INVALID_DATA)", "0x8007000d", "ERROR_INVALID_DATA", "win32", 13, "x"),
        ("x (HTTP: 503)", "0x801901f7", "HTTP_E_STATUS_SERVICE_UNAVAIL", "http", 503, "x"),
        # A short number is a Win32 error.
        ("x 0x2", "0x80070002", "ERROR_FILE_NOT_FOUND", "win32", 2, "x"),
        ("x 0x2f8f", "0x80072f8f", "ERROR_WINHTTP_SECURE_FAILURE", "winhttp", 12175, "x"),
        ("x 0x0", "0x00000000", None, "other", 0, "x"),
        # The event's own name comes before the table's.
        ("x 0x80072f8f (WinHttp: 12175 ERROR_NEW_NAME)", "0x80072f8f", "ERROR_NEW_NAME", "winhttp", 12175, "x"),
        ("x 0x8009ffff (-1 NOT_IN_THE_TABLE)", "0x8009ffff", "NOT_IN_THE_TABLE", "crypt", 0xFFFF, "x"),
        ("x 0x80072f8f (WinHttp: 12175)", "0x80072f8f", "ERROR_WINHTTP_SECURE_FAILURE", "winhttp", 12175, "x"),
        # A sentence may quote a number itself, with or without brackets.
        ("see 0x80070005. 0x80072ee2", "0x80072ee2", "ERROR_WINHTTP_TIMEOUT", "winhttp", 12002, "see 0x80070005."),
        ("after (5 tries) 0x80072ee2", "0x80072ee2", "ERROR_WINHTTP_TIMEOUT", "winhttp", 12002, "after (5 tries)"),
        ("no HRESULT 0x123456789abc here 0x80072ee2", "0x80072ee2", "ERROR_WINHTTP_TIMEOUT", "winhttp", 12002,
         "no HRESULT 0x123456789abc here"),
    ],
)  # fmt: skip
def test_the_text_of_an_error_code(
    text: str, hresult: str, name: str | None, family: str, code: int, sentence: str | None
) -> None:
    assert parse_error(text) == {
        "hresult": hresult,
        "name": name,
        "family": family,
        "code": code,
        "text": sentence,
    }


@pytest.mark.parametrize("text", ["", None, "no number", "(5 attempts)", "0xzz", "a0x80072ee2b", "(12 Monkeys)", "()"])
def test_a_text_without_a_number_is_no_error(text: str | None) -> None:
    assert parse_error(text) is None


@pytest.mark.parametrize(
    ("hresult", "family", "code", "name"),
    [
        (0x80072EE1, "winhttp", 12001, "ERROR_WINHTTP_OUT_OF_HANDLES"),
        (0x80072F4C, "winhttp", 12108, None),
        (0x80072F9E, "winhttp", 12190, "ERROR_WINHTTP_HTTP_PROTOCOL_MISMATCH"),
        (0x80072EE0, "win32", 12000, None),
        (0x8007274D, "win32", 10061, "WSAECONNREFUSED"),
        (0x80070005, "win32", 5, "ERROR_ACCESS_DENIED"),
        (0x801901AD, "http", 429, None),
        (0x800B010F, "crypt", 0x010F, "CERT_E_CN_NO_MATCH"),
        (0x80092013, "crypt", 0x2013, "CRYPT_E_REVOCATION_OFFLINE"),
        (0x80090016, "crypt", 0x0016, "NTE_BAD_KEYSET"),
        (0x80093103, "crypt", 0x3103, "CRYPT_E_ASN1_CORRUPT"),
        (0x80096004, "crypt", 0x6004, "TRUST_E_CERT_SIGNATURE"),
        (0x80090322, "channel", 0x0322, "SEC_E_WRONG_PRINCIPAL"),
        (0x80090325, "channel", 0x0325, "SEC_E_UNTRUSTED_ROOT"),
        (0x80090328, "channel", 0x0328, "SEC_E_CERT_EXPIRED"),
        (0x80090331, "channel", 0x0331, "SEC_E_ALGORITHM_MISMATCH"),
        (0x80094012, "certsrv", 0x4012, "CERTSRV_E_TEMPLATE_DENIED"),
        (0x80094800, "certsrv", 0x4800, "CERTSRV_E_UNSUPPORTED_CERT_TYPE"),
        (0x80280001, "tpm", 0x0001, None),
        (0x8028400F, "tpm", 0x400F, "TBS_E_TPM_NOT_FOUND"),
        (0x80290405, "tpm", 0x0405, "TPM_E_PCP_NOT_SUPPORTED"),
        (0x80004005, "other", 0x4005, None),
        (0xC25A0056, "other", 0x0056, None),
    ],
)
def test_families(hresult: int, family: str, code: int, name: str | None) -> None:
    error = describe(hresult)
    assert (error["hresult"], error["family"], error["code"], error["name"]) == (f"0x{hresult:08x}", family, code, name)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (12002, "TIMEOUT"), (12005, "INVALID_URL"), (12006, "UNRECOGNIZED_SCHEME"), (12007, "NAME_NOT_RESOLVED"),
        (12029, "CANNOT_CONNECT"), (12030, "CONNECTION_ERROR"), (12037, "SECURE_CERT_DATE_INVALID"),
        (12038, "SECURE_CERT_CN_INVALID"), (12044, "CLIENT_AUTH_CERT_NEEDED"), (12045, "SECURE_INVALID_CA"),
        (12057, "SECURE_CERT_REV_FAILED"), (12152, "INVALID_SERVER_RESPONSE"), (12157, "SECURE_CHANNEL_ERROR"),
        (12166, "BAD_AUTO_PROXY_SCRIPT"), (12167, "UNABLE_TO_DOWNLOAD_SCRIPT"), (12169, "SECURE_INVALID_CERT"),
        (12170, "SECURE_CERT_REVOKED"), (12175, "SECURE_FAILURE"), (12178, "AUTO_PROXY_SERVICE_ERROR"),
        (12179, "SECURE_CERT_WRONG_USAGE"), (12180, "AUTODETECTION_FAILED"), (12185, "CLIENT_CERT_NO_PRIVATE_KEY"),
        (12186, "CLIENT_CERT_NO_ACCESS_PRIVATE_KEY"),
    ],
)  # fmt: skip
def test_the_names_of_winhttp(number: int, name: str) -> None:
    assert describe(0x80070000 + number)["name"] == f"ERROR_WINHTTP_{name}"
