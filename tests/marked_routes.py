"""Every route of the web process with a request that is full of marks. A route that is missing here fails a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from marked import ADDRESS, EMAIL, FIRST, LAST, PASSWORD, PHONE, STREET, TOKENS, USER, WEBHOOK

ACCOUNT, SUBSCRIPTION = "brazetest/f5733866ade2", "06423672-b6ba-4536-aa36-f5733866ade2"
TEMPLATE = "flash_sale"
SOURCE = f"{{# {EMAIL} #}}{{% block event_id %}}{{{{ x }}}}{{% endblock %}}{{% block title %}}{LAST}{{% endblock %}}"

CALENDAR = {
    "user_id": USER,
    "account_code": [ACCOUNT],
    "subscription_ids": [SUBSCRIPTION],
    "event": {
        "event_id": "e1",
        "title": f"{FIRST} {LAST}",
        "description": f"{EMAIL} {PHONE}",
        "location": STREET,
        "start": "2090-12-01T09:00",
        "timezone": "Eastern Standard Time",
    },
}
REFUSED = {  # by its template
    "template": TEMPLATE,
    "user_id": USER,
    "account_code": [ACCOUNT],
    "subscription_ids": [SUBSCRIPTION],
    "variables": {"first_name": FIRST, "email": EMAIL},
}
ROKTS = {
    "event": {
        "eventId": f"e1_{USER}",
        "title": f"{FIRST} {LAST}",
        "description": EMAIL,
        "location": STREET,
        "start": "2090-12-01T09:00:00",
        "end": "2090-12-01T10:00:00",
        "timezone": "Eastern Standard Time",
        "notifyBefore": 15,
    },
    "subscriptionIds": [SUBSCRIPTION],
}
SUBSCRIBER = {
    "action": "subscribe",
    "external_id": USER,
    "email": EMAIL,
    "subscription": {
        "subscription_id": SUBSCRIPTION,
        "account_code": "brazetest",
        "calendar_code": "news",
        "subscriber_email": EMAIL,
        "device_name": f"{FIRST}'s telephone",
        "geo_country": STREET,
    },
}
HOOK = {
    "eventId": "e-1",
    "eventType": "Subscribe",
    "eventDetails": {
        "accountCode": "brazetest",
        "subscription": {
            "calendarSubscriptionId": "0f1d5918-052d-4915-89a7-8cc9c4d33492",
            "calendarCode": "news",
            "subscriberId": USER,
            "emailAddress": EMAIL,
            "deviceName": FIRST,
        },
    },
}
CONVERSION = {
    "email": EMAIL,
    "user_id": USER,
    "first_name": FIRST,
    "last_name": LAST,
    "mobile": PHONE,
    "ip_address": ADDRESS,
    "amount": "12.50",
    "currency": "USD",
    "conversion_type": "purchase",
    "confirmation_ref": "C-1",
    "user_attributes": {"street": STREET},
}
MPARTICLE = {
    "environment": "development",
    "user_identities": {"email": EMAIL},
    "user_attributes": {"firstname": FIRST, "lastname": LAST, "mobile": PHONE, "ipaddress": ADDRESS},
    "events": [
        {
            "event_type": "custom_event",
            "data": {
                "event_name": "conversion",
                "custom_attributes": {"amount": 1, "confirmationref": STREET},
            },
        }
    ],
}
OFFER = {"pageIdentifier": "confirmation", "user_id": USER, "attributes": {"email": EMAIL, "name": FIRST}}
AUDIENCE = {"action": "include", "list": "buyers", "emails": [EMAIL]}
FORM = {  # what the forms of the console have, all at once
    "name": "marked",
    "source": SOURCE,
    "template": TEMPLATE,
    "note": f"for {EMAIL}",
    "pasted": json.dumps(CALENDAR),
    "url": f"https://example.com/{EMAIL}",
    "headers": f"Authorization: Bearer {TOKENS['send']}",
    "body": json.dumps({"email": EMAIL, "title": "{{${first_name}}}"}),
    "values": json.dumps({"first_name": FIRST}),
    "to": SUBSCRIPTION,
    "of": "published",
    "message": "",
    "revision": "",
    "search": urlencode({"user_id": USER, "state": "dead"}),
    "user_id": USER,
    "id": USER,
    "version": "1",
    "action": "delete",
    "dry_run": "",
}


@dataclass(frozen=True)
class Step:
    """One good request, or as good as marks are. `as_form`: of the console, with its token."""

    path: str
    body: Any = None
    as_form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


# By "METHOD rule" of the url_map. {message} and {job} are ids that came of the ones before.
ROUTES: dict[str, list[Step]] = {
    "GET /healthz": [Step("/healthz")],
    "GET /readyz": [Step("/readyz")],
    "GET /metrics": [Step("/metrics")],
    "GET /v1/timezones": [Step("/v1/timezones")],
    "GET /openapi.json": [Step("/openapi.json")],
    "GET /docs": [Step("/docs")],
    "POST /oauth2/token": [
        Step("/oauth2/token", b"grant_type=client_credentials"),
        Step("/oauth2/token", f"grant_type=password&username={EMAIL}&password={TOKENS['all']}".encode()),
    ],
    "POST /v1/calendar/events<rest:rest>": [
        Step("/v1/calendar/events", CALENDAR),
        Step("/v1/calendar/events?dry_run=1", CALENDAR),
        Step("/v1/calendar/events", REFUSED),
        Step(f"/v1/calendar/events/{WEBHOOK}", CALENDAR),
    ],
    "POST /v1/subscriptionevent<rest:rest>": [Step("/v1/subscriptionevent/brazetest", ROKTS)],
    "DELETE /v1/subscriptionevent<rest:rest>": [
        Step("/v1/subscriptionevent/brazetest/e1_user%20mk7391%2F%C3%A4")
    ],
    "POST /v1/rokt/webhooks<rest:rest>": [
        Step(f"/v1/rokt/webhooks/{WEBHOOK}", HOOK),
        Step(f"/v1/rokt/webhooks/{WEBHOOK}x", HOOK),
        Step(f"/v1/rokt/webhooks-{WEBHOOK}", HOOK),
    ],
    "POST /v1/subscribers": [
        Step("/v1/subscribers", SUBSCRIBER),
        Step("/v1/subscribers", [SUBSCRIBER, {"email": [EMAIL]}]),
    ],
    "GET /v1/subscribers": [Step(f"/v1/subscribers?{urlencode({'user_id': USER})}")],
    "GET /v1/subscribers/counts": [Step("/v1/subscribers/counts")],
    "POST /v1/conversions": [
        Step("/v1/conversions", {"conversions": [CONVERSION, CONVERSION | {"confirmation_ref": "C-2"}]}),
        Step("/v1/conversions?dry_run=1", CONVERSION),
    ],
    "POST /v2/events": [Step("/v2/events", MPARTICLE)],
    "POST /v2/bulkevents": [Step("/v2/bulkevents", [MPARTICLE])],
    "POST /v1/events": [
        Step("/v1/events", {"email": EMAIL, "amount": "1", "first_name": FIRST, "ip_address": ADDRESS})
    ],
    "POST /v1/audiences<rest:rest>": [Step("/v1/audiences", AUDIENCE)],
    "POST /v1/offers": [Step("/v1/offers", OFFER)],
    "GET /v1/offers": [
        Step(f"/v1/offers?page=p&{urlencode({'user_id': USER})}"),
        Step(f"/v1/offers?page=p&{urlencode({'email': EMAIL})}"),
    ],
    "POST /v2/partner/experiences": [Step("/v2/partner/experiences", OFFER)],
    "GET /v1/messages": [
        Step("/v1/messages"),
        Step(f"/v1/messages?{urlencode({'user_id': USER, 'reason': EMAIL})}"),
    ],
    "GET /v1/messages/<message_id>": [Step("/v1/messages/{message}"), Step(f"/v1/messages/{WEBHOOK}")],
    "POST /v1/messages/<message_id>/replay": [Step("/v1/messages/{dead}/replay")],
    "POST /v1/messages/replay": [Step("/v1/messages/replay", {"user_id": "nobody"})],
    "POST /v1/messages/cancel": [Step("/v1/messages/cancel", {"user_id": f"nobody {EMAIL}"})],
    "GET /v1/jobs": [Step("/v1/jobs")],
    "GET /v1/jobs/<job_id>": [Step("/v1/jobs/{job}")],
    "DELETE /v1/jobs/<job_id>": [Step("/v1/jobs/{job}")],
    "POST /v1/forget": [
        Step("/v1/forget?dry_run=1", {"user_id": USER, "email": EMAIL}),
        Step("/v1/forget", {"user_id": f"another {USER}"}),
    ],
    "GET /v1/destinations": [Step("/v1/destinations")],
    "POST /v1/destinations/<name>/pause": [Step("/v1/destinations/rokt_audiences/pause")],
    "POST /v1/destinations/<name>/resume": [Step("/v1/destinations/rokt_audiences/resume")],
    "GET /v1/templates": [Step("/v1/templates")],
    "GET /v1/templates/<name>": [Step(f"/v1/templates/{TEMPLATE}")],
    "PUT /v1/templates/<name>": [Step("/v1/templates/marked", {"source": SOURCE})],
    "DELETE /v1/templates/<name>/draft": [Step("/v1/templates/marked/draft")],
    "POST /v1/templates/<name>/preview": [
        Step(f"/v1/templates/{TEMPLATE}/preview", {"source": SOURCE, "variables": {"first_name": FIRST}})
    ],
    "POST /v1/templates/<name>/publish": [Step(f"/v1/templates/{TEMPLATE}/publish", {"note": EMAIL})],
    "POST /v1/templates/<name>/recall": [
        Step(f"/v1/templates/{TEMPLATE}/recall", {"version": 1, "action": "delete"})
    ],
    "POST /v1/templates/<name>/rollback": [Step(f"/v1/templates/{TEMPLATE}/rollback", {"version": 1})],
    "GET /v1/templates/<name>/versions": [Step(f"/v1/templates/{TEMPLATE}/versions")],
    "GET /v1/templates/<name>/versions/<int(max=2147483647):version>": [
        Step(f"/v1/templates/{TEMPLATE}/versions/1")
    ],
    "POST /console/sign-in": [
        Step("/console/sign-in", as_form={"name": EMAIL, "password": TOKENS["all"]}),
        Step("/console/sign-in", as_form={"name": "ada", "password": PASSWORD}),
    ],
    "GET /console/sign-in": [Step("/console/sign-in")],
    "GET /console/sign-in/openid": [Step("/console/sign-in/openid")],
    "GET /console/sign-in/openid/return": [
        Step(f"/console/sign-in/openid/return?state={WEBHOOK}&code={WEBHOOK}")
    ],
    "GET /console/": [Step("/console/")],
    "GET /console/go": [Step("/console/go")],
    "GET /console/token": [Step("/console/token")],
    "GET /console/today.json": [Step("/console/today.json")],
    "GET /console/today/cards": [Step("/console/today/cards")],
    "POST /console/today/<destination>/pause": [Step("/console/today/rokt_audiences/pause", as_form=FORM)],
    "POST /console/today/<destination>/resume": [Step("/console/today/rokt_audiences/resume", as_form=FORM)],
    "GET /console/static/<path:name>": [Step("/console/static/console.css")],
    "GET /console/coming": [Step("/console/coming")],
    "GET /console/dead": [Step("/console/dead")],
    "GET /console/messages": [
        Step(f"/console/messages?{urlencode({'user_id': USER})}"),
        Step(f"/console/messages?{urlencode({'since': EMAIL})}"),
    ],
    "GET /console/messages/<message_id>": [Step("/console/messages/{message}")],
    "GET /console/messages/again": [Step(f"/console/messages/again?{urlencode({'user_id': USER})}")],
    "POST /console/messages/again": [Step("/console/messages/again", as_form=FORM)],
    "GET /console/messages/cancel": [Step(f"/console/messages/cancel?{urlencode({'user_id': USER})}")],
    "POST /console/messages/cancel": [Step("/console/messages/cancel", as_form=FORM | {"search": ""})],
    "GET /console/messages/jobs": [Step("/console/messages/jobs")],
    "GET /console/messages/jobs/<job_id>": [
        Step("/console/messages/jobs/{job}"),
        Step("/console/messages/jobs/{forget}"),
    ],
    "POST /console/messages/jobs/<job_id>/stop": [Step("/console/messages/jobs/{job}/stop", as_form=FORM)],
    "GET /console/people": [Step(f"/console/people?{urlencode({'user_id': USER})}")],
    "GET /console/people/<path:user_id>": [Step("/console/people/user%20mk7391%2F%C3%A4")],
    "GET /console/recall": [Step(f"/console/recall?template={TEMPLATE}")],
    "GET /console/forget": [Step(f"/console/forget?{urlencode({'user_id': USER})}")],
    "POST /console/forget": [Step("/console/forget", as_form=FORM | {"email": EMAIL})],
    "POST /console/recall": [Step("/console/recall", as_form=FORM)],
    "GET /console/import": [Step("/console/import")],
    "POST /console/import": [Step("/console/import", as_form=FORM)],
    "POST /console/import/keep": [Step("/console/import/keep", as_form=FORM)],
    "GET /console/templates": [Step("/console/templates")],
    "POST /console/templates": [Step("/console/templates", as_form=FORM | {"name": "marked_too"})],
    "GET /console/templates/<name>": [Step(f"/console/templates/{TEMPLATE}")],
    "PUT /console/templates/<name>/draft": [Step("/console/templates/marked_too/draft", as_form=FORM)],
    **{
        f"POST /console/templates/<name>/{what}": [
            Step(f"/console/templates/{TEMPLATE}/{what}", as_form=FORM)
        ]
        for what in ("branches", "event.ics", "look", "values", "publish", "test-send", "test-send/remove")
    },
    "POST /console/templates/<name>/copy": [
        Step(f"/console/templates/{TEMPLATE}/copy", as_form=FORM | {"name": "marked_copy"})
    ],
    "POST /console/templates/<name>/discard": [Step("/console/templates/marked_too/discard", as_form=FORM)],
    **{
        f"GET /console/templates/<name>/{what}": [Step(f"/console/templates/{TEMPLATE}/{what}")]
        for what in (
            "publish",
            "publish/checks",
            "realdata",
            "realdata/tried",
            "recent",
            "state",
            "test-send",
            "test-send/outcome",
            "text",
            "versions",
            "webhook",
        )
    },
    "GET /console/templates/<name>/versions/<int(max=2147483647):version>": [
        Step(f"/console/templates/{TEMPLATE}/versions/1")
    ],
    **{
        f"POST /console/templates/<name>/versions/<int(max=2147483647):version>/{what}": [
            Step(f"/console/templates/{TEMPLATE}/versions/1/{what}", as_form=FORM)
        ]
        for what in ("draft", "rollback")
    },
    **{
        f"{method} /console/<path:path>": [Step("/console/nothing/user%20mk7391%2F%C3%A4", as_form=form)]
        for method, form in (("GET", None), ("POST", FORM), ("PUT", FORM), ("PATCH", FORM), ("DELETE", FORM))
    },
    "POST /console/sign-out": [Step("/console/sign-out", as_form=FORM)],
}


@dataclass(frozen=True)
class Answer:
    """`route`: the "METHOD rule" that was meant; blank where there is none."""

    route: str
    status: int
    headers: str
    text: str

    @property
    def is_for_operators(self) -> bool:
        """People of the console, and keys that may read, are shown what was sent: that is what they are for."""
        is_page = "/console" in self.route
        return self.status < 400 or is_page


Pairs = Sequence[tuple[str, str]]

# Sends one request: method, path, body, headers; returns status, headers and text.
Send = Callable[[str, str, bytes | None, Mapping[str, str]], tuple[int, Pairs, str]]


@dataclass
class Walk:
    """Walks over all routes, first with what is right and then with what is wrong."""

    send: Send
    cookies: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(
        default_factory=lambda: {"message": "-", "dead": "-", "job": "-", "forget": "-"}
    )

    def all(self) -> Iterator[Answer]:
        for route, steps in ROUTES.items():
            for step in steps:
                yield self._good(route, step)
            if "/console" not in route:
                yield from self._wrong(route, steps[0])
        yield from self._beside()

    def each(self) -> Iterator[Answer]:
        """Once over all routes, as good as it goes, by whoever is signed in."""
        for route in ROUTES:
            if route != "POST /console/sign-in":
                yield from self.of(route)

    def of(self, route: str) -> Iterator[Answer]:
        return (self._good(route, step) for step in ROUTES[route])

    def _good(self, route: str, step: Step) -> Answer:
        method = route.partition(" ")[0]
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKENS['all']}"}
        body = step.body if isinstance(step.body, bytes | None) else json.dumps(step.body).encode()
        if "/console" in route:
            del headers["Authorization"]
        if route.endswith("/oauth2/token"):
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if step.as_form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            token = json.loads(self._call("GET", "/console/token", None, {})[2] or "{}").get("token", "")
            body = urlencode({**step.as_form, "csrf_token": token}).encode()
        status, told, text = self._call(method, step.path.format(**self.known), body, headers)
        self._learn(route, status, text)
        return Answer(route, status, str(told), text)

    def _wrong(self, route: str, step: Step) -> Iterator[Answer]:
        """Keys that are none, bodies that are none, values in the wrong places."""
        method = route.partition(" ")[0]
        path = step.path.format(**self.known)
        good = {"Authorization": f"Bearer {TOKENS['all']}", "Content-Type": "application/json"}
        stray = {
            "Authorization": f"Bearer {TOKENS['none']}",
            "X-Request-Id": EMAIL,
            "X-Forwarded-For": ADDRESS,
            "User-Agent": f"{FIRST.encode().decode('latin-1')} {EMAIL}",
            "Cookie": f"session={WEBHOOK}",
            "Idempotency-Key": EMAIL,
        }
        asks = f"{path}{'&' if '?' in path else '?'}{urlencode({'email': EMAIL, 'key': WEBHOOK})}"
        broken = f'{{"email": "{EMAIL}", "key": "{WEBHOOK}", '.encode()
        wrong = {
            name: [EMAIL, {"mobile": PHONE, "whom": USER}]
            for name in ("user_id", "email", "event", "template", "source")
        }
        for headers, sent, at in (
            (stray, broken, asks),
            (good, broken, path),
            (good, json.dumps([EMAIL, 7, {"whom": FIRST}]).encode(), path),
            (good, json.dumps(wrong).encode(), path),
            (good | {"Authorization": f"Basic {TOKENS['all']}"}, b"\xff\xfe" + EMAIL.encode(), path),
            (good | {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(FORM).encode(), path),
        ):
            body = sent if method in ("POST", "PUT") else None
            status, told, text = self._call(method, at, body, headers)
            yield Answer(route, status, str(told), text)
        status, told, text = self._call("PATCH", path, broken, good)
        yield Answer(f"PATCH {route}", status, str(told), text)

    def _beside(self) -> Iterator[Answer]:
        """Where there is no route."""
        good = {"Authorization": f"Bearer {TOKENS['all']}"}
        for method, path, body in (
            ("GET", f"/{WEBHOOK}/{EMAIL.replace(chr(39), '%27')}", None),
            ("POST", f"/v2/{TOKENS['all'].replace('<', '%3C').replace('>', '%3E')}", b"{}"),
            ("POST", "/v1/calendar/events", EMAIL.encode() * 60_000),
        ):
            status, told, text = self._call(method, path, body, good)
            yield Answer("", status, str(told), text)

    def _call(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Pairs, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = ({"Cookie": cookies} if cookies and path.startswith("/console") else {}) | dict(headers)
        status, told, text = self.send(method, path, body, sent)
        for line in (value for name, value in told if name.lower() == "set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return status, told, text

    def _learn(self, route: str, status: int, text: str) -> None:
        told = json.loads(text) if text.startswith("{") else {}
        if route == "POST /v1/calendar/events<rest:rest>" and "id" in told:
            self.known["dead" if status == 422 else "message"] = told["id"]
        if route.startswith("POST /v1/messages/re") and "id" in told and status == 202:
            self.known["job"] = told["id"]
        if route == "POST /v1/forget" and "job" in told:
            self.known["forget"] = told["job"]
