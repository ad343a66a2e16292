# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules of this collection for actions that have several to run, and go on when a connection breaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure


def run_module(
    execute: Callable[..., dict[str, Any]],
    name: str,
    arguments: Mapping[str, Any],
    task_vars: dict[str, Any] | None,
) -> dict[str, Any]:
    """Returns the module's result.

    Args:
        execute: the action's ``_execute_module``.
        name: the module's, without the collection's.
        arguments: the module's options.
        task_vars: what the action was given.

    Raises:
        AnsibleConnectionFailure: the connection broke, so that the module did its work, part of it, or nothing. The
            connection plugins let out errors of the libraries below them and others of Ansible's as well; here they are
            all this one.
    """
    try:
        return execute(f"winpki.scep.{name}", module_args=dict(arguments), task_vars=task_vars)
    except AnsibleConnectionFailure:
        raise
    except Exception as error:
        raise AnsibleConnectionFailure(f"{type(error).__name__}: {error}") from error
