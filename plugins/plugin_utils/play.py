# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What action plugins that join all hosts of a play have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.utils.vars import load_extra_vars
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import RuleError, Rules, load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import plain
from ansible_collections.winpki.scep.plugins.plugin_utils.rule_expression import MissingLibraryError

try:
    import yaml
except ImportError as error:
    YAML_ERROR: ImportError | None = error
else:
    YAML_ERROR = None

COLLECTION = Path(__file__).resolve().parents[2]


class OptionError(Exception):
    """An option that can't be used."""

    def __init__(self, option: str, reason: str) -> None:
        """Names the option and says why."""
        super().__init__(f"{option}: {reason}")


def registered(name: str, task_vars: Mapping[str, Any], hosts: str = "ansible_play_hosts_all") -> dict[str, Any]:
    """Returns what each host of the play registered as ``name``, None for a host without.

    ``raw_get`` leaves out the templating of all variables of all hosts; results hold no templates of ours, and what
    looks like one came from an event and has to stay as it is.

    Args:
        name: the variable.
        task_vars: of the action.
        hosts: the magic variable that lists the hosts.
    """
    hostvars = task_vars["hostvars"]
    return {host: plain(hostvars.raw_get(host).get(name)) for host in task_vars[hosts]}


def refuse_extra(names: Iterable[str], why: str, loader: Any) -> None:
    """Refuses extra variables of these names: they come before all others, also before what a role is called with.

    Raises:
        OptionError: there is one.
    """
    given = sorted(set(names) & load_extra_vars(loader).keys())
    if given:
        raise OptionError(given[0], f"it is given as an extra variable (-e), {why}")


def read_rules(given: Any, loader: Any) -> Rules:
    """Returns the compiled rules.

    Args:
        given: a list of rules, or the path of a YAML file with one.
        loader: Ansible's, which knows what paths are relative to.

    Raises:
        OptionError: they can't be used.
        MissingLibraryError: a Python library is missing.
    """
    option, rules = "rules", given
    if isinstance(given, str):
        option = f"rules: {given}"
        if YAML_ERROR is not None:
            raise MissingLibraryError("PyYAML") from YAML_ERROR
        try:
            rules = yaml.safe_load(Path(loader.path_dwim(given)).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise OptionError(option, f"can't be read as YAML: {error}") from error
    try:
        return load_rules(plain(rules))
    except RuleError as error:
        raise OptionError(option, str(error)) from error


def version() -> str:
    """Returns the version of this collection: installed it has a manifest, a checkout has only galaxy.yml."""
    manifest = COLLECTION / "MANIFEST.json"
    if manifest.is_file():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
    return str(yaml.safe_load((COLLECTION / "galaxy.yml").read_text(encoding="utf-8"))["version"])
