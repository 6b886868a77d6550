"""The sandbox's page: what came in last and what stands in the calendars and in Braze, for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from string import Template
from typing import Any

from bridge.sandbox.faults import Fault

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="3">
<title>Sandbox</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222 }
table { border-collapse: collapse; width: 100%; margin-bottom: 2rem }
td, th { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #ddd }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px; max-height: 12rem; overflow: auto }
.good { color: #17653a } .bad { color: #a3123a }
</style>
<h1>Sandbox</h1>
<p>This stands in for Rokt and Braze: nothing that you see here has left this machine. The page renews itself.</p>
<h2>Faults that are switched on</h2>
$faults
<p>For example, Rokt is unavailable for the next five calls:</p>
<pre>curl -d '{"path": "/v1", "times": 5, "status": 503}' http://$host/sandbox/faults</pre>
<h2>In the calendars</h2>
$calendars
<h2>In Braze</h2>
$profiles
<h2>The last calls, newest first</h2>
$calls
</html>
""")


def page(
    host: str,
    calls: Sequence[dict[str, Any]],
    calendars: Sequence[dict[str, Any]],
    profiles: Sequence[dict[str, Any]],
    faults: Sequence[Fault],
) -> str:
    """Every value is escaped; the markup here is all there is."""
    return _PAGE.substitute(
        host=escape(host),
        faults=_table(("paths", "times", "what"), [_fault_row(fault) for fault in faults]),
        calendars=_table(
            ("account", "subscription", "event", "start", "time zone", "title"),
            [row for calendar in calendars for row in _calendar_rows(calendar)],
        ),
        profiles=_table(
            ("user", "attributes", "events, newest first"),
            [_profile_row(profile) for profile in reversed(profiles)],
        ),
        calls=_table(
            ("", "at", "what", "call", "answer", "body"), [_call_row(call) for call in reversed(calls)]
        ),
    )


def _fault_row(fault: Fault) -> list[str]:
    what = {
        "status": fault.status,
        "Retry-After": fault.retry_after,
        "delay": fault.delay,
        "drop": fault.drop,
    }
    told = ", ".join(f"{name} {value}" for name, value in what.items() if value)
    return _cells(f"{fault.method or ''} {fault.path or 'all'}", fault.times or "until taken away", told)


def _calendar_rows(calendar: dict[str, Any]) -> list[list[str]]:
    return [
        _cells(
            calendar["account_code"],
            subscription,
            calendar["event_id"],
            event["start"],
            event["timezone"],
            event["title"],
        )
        for subscription, event in calendar["holders"].items()
    ]


def _profile_row(profile: dict[str, Any]) -> list[str]:
    alias = profile.get("user_alias", {})
    names = [f"{kind} {profile[kind]}" for kind in ("external_id", "email", "phone") if profile.get(kind)]
    names += [f"alias {alias['alias_name']} ({alias['alias_label']})"] if alias else []
    attributes = [
        f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in profile["attributes"].items()
    ]
    events = [
        f"{event['name']} {event['time']} {json.dumps(event['properties'], ensure_ascii=False)}"
        for event in reversed(profile["events"])
    ]
    return [
        "<br>".join(_cells(*names)),
        *(f"<pre>{escape(chr(10).join(lines))}</pre>" for lines in (attributes, events)),
    ]


def _call_row(call: dict[str, Any]) -> list[str]:
    answer = call["status"] or "none"
    if call["dropped"]:
        answer = f"{answer}, dropped {call['dropped']} processing"
    colour = "good" if call["status"] and call["status"] < 300 and not call["dropped"] else "bad"
    body = (
        call["body"]
        if isinstance(call["body"], str)
        else json.dumps(call["body"], indent=1, ensure_ascii=False)
    )
    return [
        *_cells(call["n"], call["at"][11:23], call["words"], f"{call['method']} {call['path']}"),
        f'<span class="{colour}">{escape(str(answer))}</span>',
        f"<pre>{escape(body)}</pre>",
    ]


def _cells(*values: object) -> list[str]:
    return [escape(str(value)) for value in values]


def _table(names: Iterable[str], rows: Sequence[Sequence[str]]) -> str:
    """`rows` are HTML already."""
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
