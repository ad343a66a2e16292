"""parse_events and classify_events in real plays, where data comes tagged, wrapped or rendered late; no lab needed."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import HostInfo, classify_events, load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.event import RawEvent, parse_events

from tests.lab.playbook import PlaybookResult, run_playbook
from tests.unit.event_data import AIK, DENIED, ENGLISH_86, NDES, SECURE_FAILURE, UNKNOWN_AUTHORITY, raw, text

HOSTILE = (
    "{{ 7 * 7 }} {% if true %}x{% endif %} {# c #} {{ lookup('ansible.builtin.pipe', 'touch pwned') }} $(touch pwned)"
    " !unsafe <script>alert(1)</script> =1+1 'q' \"d\" \\ \r\n- a: b\r\n\tü🔒\u202e\x1b[31m"
)
EVENTS = [
    raw(
        87,
        MessageText=HOSTILE,
        Context=f"A\\{HOSTILE}",
        Stage=HOSTILE,
        Method=HOSTILE,
        ErrorCode=f"{HOSTILE} 0x80072f8f",
    ),
    raw(87, MessageText=f"{HOSTILE}\r\nHTTP/1.1 500 {{{{ 7 * 7 }}}}\r\nX-{{{{x}}}}: 1\r\nx-a: {{{{ 7 * 7 }}}}\r\n"),
    raw(Url=f"https://{HOSTILE}/certsrv/mscep/x", record_id=1),
    raw(Url="https://a/certsrv/mscep/{{ 7*7 }}", record_id=2, computer="{{ 7 * 7 }}", log="{{ 7 * 7 }}"),
    {"message": HOSTILE, "computer": HOSTILE},
    {"message": text(ENGLISH_86, "INTRA\\rudi", NDES, HOSTILE, "GET(1ms)", "{{x}}", f"{{{{ 7*7 }}}} {SECURE_FAILURE}")},
    raw(data={}, values=["INTRA\\{{x}}", NDES, HOSTILE, "GET(1ms)", HOSTILE]),
    raw(Url=AIK, MessageText=UNKNOWN_AUTHORITY, ErrorCode="x 0x80190194", computer="CLIENT2"),
    raw(87, MessageText=DENIED, ErrorCode="x 0x80094811", computer="CLIENT3"),
    raw(88, computer="CLIENT3", time_created="2026-11-04T00:00:00Z"),
]
HOSTS: dict[str, HostInfo] = {"client2": {"name": "CLIENT2", "clock_skew_seconds": -300.5}}
RULE = {
    "id": "mine",
    "when": "event.computer == 'CLIENT3' && event.error.code == `18449`",
    "certainty": "proven",
    "summary": "Mine.",
    "remedies": [{"role": "use_http", "needs": ["pins"], "reason": "Why not."}],
}
PARSED = parse_events(cast(list[RawEvent], EVENTS))
FOUND = classify_events(PARSED, load_rules([RULE]), HOSTS)
READ = "{{ lookup('ansible.builtin.file', playbook_dir ~ '/events.json') | from_json }}"
# Each way in which a play gets at events; a text that a module returned is another thing than one that a lookup did.
SOURCES: dict[str, list[dict[str, Any]]] = {
    "a lookup": [{"ansible.builtin.set_fact": {"raw": READ}}],
    "a module": [
        {"ansible.builtin.slurp": {"src": "{{ playbook_dir }}/events.json"}, "register": "slurped"},
        {"ansible.builtin.set_fact": {"raw": "{{ slurped.content | b64decode | from_json }}"}},
    ],
    "a variables file": [{"ansible.builtin.include_vars": {"file": "{{ playbook_dir }}/events_vars.json"}}],
    "facts": [
        {"ansible.builtin.set_fact": {"one": READ}},
        {"ansible.builtin.set_fact": {"raw": "{{ one + [] }}"}},
        {"ansible.builtin.set_fact": {"raw": "{{ raw | select('mapping') | list }}"}},
    ],
}


def unsafe_json(value: Any) -> str:
    """YAML of a variables file in which no text is a template, as in registered results."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {unsafe_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(unsafe_json, value)) + "]"
    written = json.dumps(value, ensure_ascii=False)
    return f"!unsafe {written}" if isinstance(value, str) and "{" in value else written


def run(tasks: list[dict[str, Any]], folder: Path) -> PlaybookResult:
    """Runs tasks on localhost, with a playbook in ``folder`` that lies beside the events."""
    (folder / "events.json").write_text(json.dumps(EVENTS), "utf-8")
    (folder / "events_vars.json").write_text(unsafe_json({"raw": EVENTS}), "utf-8")
    play = {
        "name": "Play",
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        "tasks": tasks,
    }
    playbook = folder / "playbook.yml"
    playbook.write_text(yaml.safe_dump([play]), "utf-8")
    (folder / "inventory").write_text("localhost\n", "ascii")
    return run_playbook(playbook, folder / "inventory", folder=folder, timeout=120)


@pytest.mark.parametrize("source", SOURCES)
def test_hostile_text_stays_data(source: str, tmp_path: Path) -> None:
    """In one expression and by way of facts, however often they are looked at: what plain Python gives."""
    chain = "raw | winpki.scep.parse_events | winpki.scep.classify_events(rules=rules, hosts=known)"
    done = run(
        [
            *SOURCES[source],
            {
                "ansible.builtin.set_fact": {
                    "events": "{{ raw | winpki.scep.parse_events }}",
                    "chained": f"{{{{ {chain} }}}}",
                },
                "vars": {"rules": [RULE], "known": HOSTS},
            },
            {
                "ansible.builtin.set_fact": {
                    "findings": "{{ events | winpki.scep.classify_events([rule], hosts=known) }}",
                    "events": "{{ events }}",
                },
                "vars": {"rule": RULE, "known": "{{ [told] | first }}", "told": HOSTS},
            },
            {"ansible.builtin.set_fact": {"findings": "{{ findings + [] }}"}},
            {
                "name": "Look",
                "ansible.builtin.debug": {
                    "msg": {"events": "{{ events }}", "found": ["{{ findings }}", "{{ chained }}"]}
                },
            },
            {
                "name": "Write",
                "ansible.builtin.copy": {
                    "content": "{{ {'events': events, 'findings': findings} | to_json }}",
                    "dest": "{{ playbook_dir }}/out.json",
                    "mode": "0600",
                },
            },
        ],
        tmp_path,
    )
    assert done.exit_code == 0, done.stdout + done.stderr
    looked = done.of("localhost", "Look").result["msg"]
    assert looked["events"] == PARSED
    assert looked["found"] == [FOUND, FOUND]
    assert json.loads((tmp_path / "out.json").read_text("utf-8")) == {"events": PARSED, "findings": FOUND}
    assert not (tmp_path / "pwned").exists()
    assert "[WARNING]" not in done.stderr


def test_templates_of_the_user_are_rendered(tmp_path: Path) -> None:
    """Events that a user writes into a play may hold templates, at any depth."""
    event = {
        "event_id": "{{ 80 + 6 }}",
        "computer": "{{ who }}",
        "data": {"Url": "https://{{ who }}/certsrv/mscep/x"},
        "time_created": datetime(2026, 11, 3, 10, 15, 30, 500000, tzinfo=timezone.utc),
    }
    done = run(
        [
            {
                "name": "Look",
                "ansible.builtin.debug": {
                    "msg": "{{ [event, plain] | winpki.scep.parse_events | winpki.scep.classify_events(rules) }}"
                },
                "vars": {
                    "event": event,
                    "plain": {"computer": "B", "event_id": 86},
                    "who": "client5",
                    "rules": [{**RULE, "when": "event.computer == '{{ who }}'", "summary": "It is {{ who }}."}],
                },
            }
        ],
        tmp_path,
    )
    assert done.exit_code == 0, done.stdout + done.stderr
    found = done.of("localhost", "Look").result["msg"]
    assert [(item["host"], item["cause"], item["summary"]) for item in found] == [
        ("B", "unknown", "No rule knows this failure, or its event could not be read."),
        ("client5", "mine", "It is client5."),
    ]
    assert (found[1]["event_ids"], found[1]["endpoint"]["host"]) == ([86], "client5")
    # YAML makes a time of what looks like one.
    assert found[1]["last_seen"] == "2026-11-03T10:15:30.5000000Z"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("'x' | winpki.scep.parse_events", "parse_events: the input must be a list of raw events, not str"),
        ("{} | winpki.scep.parse_events", "parse_events: the input must be a list of raw events, not dict"),
        (
            "[{}, 'x'] | winpki.scep.parse_events",
            "parse_events: element 1 is not an event (a dict) but of type str",
        ),
        ("none | winpki.scep.classify_events", "classify_events: the input must be a list of events, not NoneType"),
        (
            "[{}] | winpki.scep.classify_events",
            "classify_events: element 0 is not a parsed event: put the raw events through parse_events first",
        ),
        ("[] | winpki.scep.classify_events(hosts=[])", "classify_events: hosts must be a dict by host, not list"),
        ("[] | winpki.scep.classify_events(evidence='')", "classify_events: evidence must be a dict by host, not str"),
        ("[] | winpki.scep.classify_events([{}])", "classify_events: rule number 1: id is missing"),
        ("[] | winpki.scep.classify_events({})", "classify_events: rule list: the rules must be a list, not dict"),
    ],
)
def test_what_is_refused(expression: str, message: str, tmp_path: Path) -> None:
    done = run([{"name": "Look", "ansible.builtin.debug": {"msg": f"{{{{ {expression} }}}}"}}], tmp_path)
    assert done.exit_code == 2
    assert message in done.of("localhost", "Look").result["msg"]
