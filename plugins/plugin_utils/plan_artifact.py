# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as one text, which AWX hands to the next job of a workflow as an extra variable.

A plan holds text that came from hosts, and extra variables are templated: so no letter of it is there in the clear.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib

from ansible_collections.winpki.scep.plugins.plugin_utils.plan_file import PlanDocument, PlanRefusedError

_NAME = "scep-plan:"
_PREFIX = f"{_NAME}1:"
# A plan for 10,000 hosts has 13 MB, and its text 1 MB.
MOST_BYTES = 200_000_000


def to_text(document: PlanDocument) -> str:
    """Returns a plan as text: a prefix, and the JSON in gzip and base64. The same plan gives the same text."""
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return _PREFIX + base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")


def is_text(value: str) -> bool:
    """Returns whether a value is meant to be such a text, not a path."""
    return value.lstrip().startswith(_NAME)


def from_text(value: str) -> bytes:
    """Returns the JSON of a plan.

    Raises:
        PlanRefusedError: the text is damaged, of another version, or too much would come of it.
    """
    text = "".join(value.split())
    if not text.startswith(_PREFIX):
        raise PlanRefusedError("schema", f"the text does not begin with {_PREFIX}: make a new plan")
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(base64.b64decode(text[len(_PREFIX) :], validate=True), MOST_BYTES)
    except (ValueError, zlib.error) as error:
        raise PlanRefusedError("unreadable", f"the text is damaged ({error}): hand it on whole") from error
    if unpacker.unconsumed_tail:
        message = f"more than {MOST_BYTES:,} bytes come of the text, which no plan has: make a new plan"
        raise PlanRefusedError("unreadable", message)
    if not unpacker.eof:
        raise PlanRefusedError("unreadable", "the text ends too early: hand it on whole")
    return content
