# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's files with CA certificates, on the controller."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint_chain import RefusedError


def read_chain_file(find_needle: Callable[[str, str], str], loader: Any, path: str) -> str:
    """Returns the text of a file, which the vault may have encrypted.

    Args:
        find_needle: the action plugin's, which knows the folders of roles and playbooks.
        loader: Ansible's.
        path: absolute, or relative to one of those folders or to the one in which Ansible was started.

    Raises:
        RefusedError: it can't be read, or is not PEM.
    """
    started_in = Path(path).expanduser().absolute()
    try:
        found = str(started_in) if started_in.is_file() else find_needle("files", path)
        text = Path(loader.get_real_file(found)).read_text(encoding="ascii", errors="replace")
    except (AnsibleError, OSError) as error:
        raise RefusedError("file_not_read", f"files: {path} can't be read: {error}") from error
    if "-----BEGIN" not in text:
        message = f"files: {path} is not PEM: convert it with `openssl x509 -inform DER` first."
        raise RefusedError("file_not_read", message)
    return text
