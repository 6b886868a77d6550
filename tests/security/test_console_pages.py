"""Every page, fragment and form of the console, with markup in all that Braze, Rokt and authors can write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from console.conftest import SECRET_KEY, USERS, Console, Visitor
from servers import SandboxUnderTest, running_sandbox
from web.running import ID, KEYS, Starter, literal, sale, start, stocked_sqlite
from werkzeug.test import TestResponse

import bridge.console
from bridge.calendar import versions
from bridge.database import clock

__all__ = ["start", "stocked_sqlite"]

HOSTILE = "'\"></script></textarea></title></style><xss-mark onxss=1>&lt;xss-mark&gt;\u202e"
SCHEME = "javascript:alert('xss-mark')"
TEMPLATE = "hostile"
START = f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%d}T09:00"
# What an author writes, in each place that a page shows: a purpose, notes, choices, examples, defaults, blocks.
SOURCE = f"""{{#
{HOSTILE}

sale_id    required, text e.g. x  ({HOSTILE})
starts     required, time e.g. {START}
first_name default "<xss-mark onxss=1>"
#}}
{{% block event_id %}}h-{{{{ sale_id | length }}}}{{% endblock %}}
{{% block title %}}<xss-mark onxss=1> {{{{ first_name }}}}{{% endblock %}}
{{% block location %}}{SCHEME}{{% endblock %}}
{{% block description %}}'"></textarea><xss-mark onxss=1>{{% if first_name == "<xss-mark onxss=1>" %}}!{{% endif %}}
{{% endblock %}}
{{% block start %}}{{{{ starts }}}}{{% endblock %}}
{{% block timezone %}}UTC{{% endblock %}}
"""
FIELD = re.compile(r"""(?:request\.(?:args|form|values)|given)(?:\.get(?:list)?\(|\[)\s*["'](\w+)["']""")
VALUES = {"sale_id": HOSTILE, "starts": START, "first_name": HOSTILE}
GOOD = {"name": TEMPLATE, "template": TEMPLATE, "through": TEMPLATE, "month": START[:7], "source": SOURCE}
URLS = ("href", "src", "action", "formaction", "hx-get", "hx-post", "hx-put", "data-href", "xlink:href")


class Found(HTMLParser):
    """What a browser would make of a page, as far as it must not: elements, handlers, addresses, inline scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag.startswith("xss") or any(name.startswith("on") for name in names):
            self.wrong.append(self.get_starttag_text() or tag)
        if tag == "script" and "src" not in names and "json" not in (names.get("type") or ""):
            self.wrong.append("an inline script")
        for name in URLS:
            scheme, colon, _ = re.sub(r"[\x00-\x20]", "", names.get(name) or "").partition(":")
            if colon and scheme.lower() not in ("http", "https") and "/" not in scheme:
                self.wrong.append(f"{name}={names[name]}")


@pytest.fixture
def rokt() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def console(start: Starter, rokt: SandboxUnderTest) -> Console:
    return Console(start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY, sandbox=rokt, BRAZE_SYNC="off"), "")


def fill(console: Console, rokt: SandboxUnderTest) -> dict[str, list[str]]:
    """A bridge that markup came into by every door; what stands for the parts of a path, then."""
    bridge = console.bridge
    names = ("account_name", "calendar_title", "device_name", "source", "tags", "subscriber_email")
    facts = dict.fromkeys(names, HOSTILE)
    facts |= {"subscription_id": ID, "account_code": "brazetest", "subscription_method": "WebCal"}
    for user in ("ada", HOSTILE):
        told = {"action": "subscribe", "external_id": user, "subscription": facts}
        answer = bridge.post(told, "/v1/subscribers")
        assert answer.status == 200, answer.body
    with bridge.database.write() as connection:
        for note in (HOSTILE, f"{SCHEME} {HOSTILE}"):
            changed = SOURCE + f"{{# {note[-8:]} #}}\n"
            stands = versions.draft(connection, TEMPLATE)
            versions.save_draft(
                connection,
                TEMPLATE,
                changed,
                clock(connection),
                by=HOSTILE,
                origin="console",
                revision=stands.revision if stands else None,
            )
    bridge.publish(hostile=SOURCE)
    ids = []
    for user in ("ada", HOSTILE):
        ids.append(bridge.accept(sale(template=TEMPLATE, user_id=user, variables=VALUES)).id)
        texts = {"event__title": HOSTILE, "event__location": SCHEME, "event__description": HOSTILE}
        ids.append(bridge.accept(literal(user_id=user, **texts)).id)
        ids.append(bridge.refuse(sale(template="plain", user_id=user, variables={"title": HOSTILE})).id)
    bridge.deliver()
    # An upstream that answers markup: one message dies of it, and the next calls too.
    rokt.fault(
        path="/v1/subscriptionevent", status=400, times=50, body={"message": HOSTILE, HOSTILE: HOSTILE}
    )
    ids.append(bridge.accept(literal(user_id="ada", event__event_id="e2", event__title=HOSTILE)).id)
    bridge.deliver()
    asked = {"state": "dead", "user_id": HOSTILE}
    job = bridge.call("POST", "/v1/messages/replay", asked)
    assert job.status == 202, job.body
    return {
        "name": [TEMPLATE, "nothing" + HOSTILE],
        "version": ["1"],
        "user_id": ["ada", HOSTILE],
        "message_id": [*ids, HOSTILE],
        "job_id": [job.body.get("id", "none"), HOSTILE],
        "path": [HOSTILE, "a\x00b"],
        "destination": ["rokt_calendar", HOSTILE],
    }


def fields() -> dict[str, str]:
    """Every field that the console reads, found in its code, so that a new one is tried too."""
    code = "".join(path.read_text("utf-8") for path in Path(bridge.console.__file__).parent.glob("*.py"))
    found = set(FIELD.findall(code)) - {"csrf_token"}
    assert {"user_id", "source", "next", "name"} <= found
    return dict.fromkeys(sorted(found), HOSTILE)


def tried(
    console: Console, visitor: Visitor, stand_for: dict[str, list[str]]
) -> Iterator[tuple[str, TestResponse]]:
    """Every method of every address: as it is, then with markup in every field; what changes something comes last."""
    rules = [rule for rule in console.bridge.app.url_map.iter_rules() if rule.endpoint.startswith("console.")]
    hostile = fields()
    half = hostile | GOOD
    token = {"X-CSRFToken": visitor.token()}
    sent: list[dict[str, Any]] = [
        {"data": hostile, "headers": token},
        {"data": half, "headers": token | {"HX-Request": "true"}},
        {"json": hostile, "headers": token},
        {"json": {"source": SOURCE, "values": VALUES, "zone": HOSTILE, "sender": HOSTILE}, "headers": token},
    ]
    asked: list[dict[str, Any]] = [{}, {"query_string": hostile}, {"query_string": half}]
    for method in ("GET", "PUT", "POST"):
        for rule in rules:
            if method not in (rule.methods or ()) or rule.endpoint in ("console.static", "console.sign_out"):
                continue
            for path in paths(rule.rule, stand_for):
                for given in asked if method == "GET" else sent:
                    yield f"{method} {path}", visitor.client.open(path, method=method, **given)


def paths(rule: str, stand_for: dict[str, list[str]]) -> list[str]:
    """With one of its parts at a time replaced by each of what stands for it."""
    parts = re.findall("<(?:[^<>]*:)?([^<>:]+)>", rule)
    filled = re.sub("<(?:[^<>]*:)?([^<>:]+)>", r"<\1>", rule)
    made = [filled]
    for part in parts:
        made = [one.replace(f"<{part}>", quote(value, safe="")) for one in made for value in stand_for[part]]
    return made


def test_no_markup_comes_out_of_any_page_as_markup(console: Console, rokt: SandboxUnderTest) -> None:
    visitor = console.visitor("publisher")
    stand_for = fill(console, rokt)

    pages, shown, wrong = 0, set(), []
    for call, answer in tried(console, visitor, stand_for):
        body = answer.get_data(as_text=True)
        is_page = answer.mimetype == "text/html"
        pages += is_page
        for html in [body] if is_page else markup_in(answer.get_json(silent=True)):
            shown |= {call} if "xss-mark" in html or "xss-mark" in body else set()
            wrong += [(call, found) for found in Found(html).wrong]
        if answer.status_code >= 500:
            wrong.append((call, str(answer.status_code)))
        wrong += [(call, header) for header in headers_missing(answer)]

    assert wrong == []
    assert pages > 150
    # Or nothing of it was there to be shown.
    for part in ("dead", "messages", "recall", "templates", "people/ada", TEMPLATE):
        assert any(call.partition("/console/")[2].endswith(part) for call in shown), part
    for part in ("publish", "versions", "versions/1", "recent", "branches"):
        assert any(call.endswith(f"/{TEMPLATE}/{part}") for call in shown), part


def markup_in(told: Any) -> list[str]:
    """What a script puts into the page as it is."""
    if not isinstance(told, dict):
        return []
    return [value for key, value in told.items() if key in ("html", "panel") and isinstance(value, str)] + [
        one for value in told.values() for one in markup_in(value)
    ]


def headers_missing(answer: TestResponse) -> list[str]:
    """Of those that each answer of the console has, whatever it is."""
    policy = dict(
        part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";")
    )
    checks = {
        "frame-ancestors": policy.get("frame-ancestors") == "'none'",
        "base-uri": policy.get("base-uri") == "'none'",
        "object-src": policy.get("object-src") == "'none'",
        "form-action": policy.get("form-action") == "'self'",
        "default-src": policy.get("default-src") == "'self'",
        "no scripts from elsewhere": policy.get("script-src", "'self'") == "'self'",
        "nothing unsafe": "unsafe" not in answer.headers["Content-Security-Policy"],
        "X-Frame-Options": answer.headers.get("X-Frame-Options") == "DENY",
        "X-Content-Type-Options": answer.headers.get("X-Content-Type-Options") == "nosniff",
        "Referrer-Policy": answer.headers.get("Referrer-Policy") == "same-origin",
        "Cache-Control": answer.headers.get("Cache-Control") == "no-store",
        "no key": not any(key.partition(":")[0] in answer.get_data(as_text=True) for key in KEYS.values()),
        "no secret key": SECRET_KEY not in answer.get_data(as_text=True),
    }
    return [name for name, holds in checks.items() if not holds]


def test_what_is_looked_for_is_found() -> None:
    assert Found(f"<p>{HOSTILE}").wrong
    assert Found("<a href=' java\nscript:x'>").wrong
    assert Found("<b onclick=x>").wrong
    assert Found("<script>x</script>").wrong
    assert not Found("<a href='/console/?a:b'>&lt;xss-mark&gt;</a>").wrong
