# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public names of the HRESULTs that enrolment meets, for events that do not give the name themselves.

Sources: winhttp.h, winerror.h, [MS-ERREF] 2.1.1.
"""

from __future__ import annotations

NAMES: dict[int, str] = {
    0x80072EE2: "ERROR_WINHTTP_TIMEOUT",
    0x80072EE7: "ERROR_WINHTTP_NAME_NOT_RESOLVED",
    0x80072EFD: "ERROR_WINHTTP_CANNOT_CONNECT",
    0x80072F8F: "ERROR_WINHTTP_SECURE_FAILURE",
}
