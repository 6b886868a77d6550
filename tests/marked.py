"""Secrets and people that are known again wherever they show, in any of the forms that something shows in."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from werkzeug.security import generate_password_hash

TOKENS = {name: f"sk7391-{name}/+=&<key>" for name in ("all", "send", "read", "templates", "operate", "none")}
WEBHOOK, OLD_WEBHOOK = "sk7391-webhook-secret", "sk7391-webhook-of-old"
SIGNING = "sk7391-signing-key\"<&>'-of-the-console"
PASSWORD = "sk7391 console password"
PASSWORD_HASH = generate_password_hash(PASSWORD, "scrypt:1024:8:1")
DATABASE = "sk7391-database-password"
UPSTREAM_TOKEN = "sk7391-token-of-an-upstream"
UPSTREAM = {  # by variable
    "ROKT_CALENDAR_CLIENT_SECRET": "sk7391-calendar/+=&%secret",
    "ROKT_CALENDAR_CLIENT_SECRET__SHOP": "sk7391-secret-of-the-shop",
    "BRAZE_API_KEY": "sk7391-braze-key",
    "ROKT_API_KEY": "sk7391-rpub",
    "ROKT_API_SECRET": "sk7391-rsec",
    "ROKT_APP_SECRET": "sk7391-app",
    "ROKT_EVENTS_KEY": "sk7391-events-key",
    "ROKT_EVENTS_SECRET": "sk7391-events/+=&<secret>",
    "ROKT_SECRET": "sk7391-offers",
    "OIDC_CLIENT_SECRET": "sk7391-openid",
}
SECRETS = (
    *TOKENS.values(),
    WEBHOOK,
    OLD_WEBHOOK,
    SIGNING,
    PASSWORD,
    PASSWORD_HASH.rpartition("$")[2],
    DATABASE,
    UPSTREAM_TOKEN,
    *UPSTREAM.values(),
)

EMAIL = "zoe.o'mk7391+x@private-mk7391.example"
FIRST, LAST = "Zébulonmk7391", "O'Quark<wood>7391"
PHONE, ADDRESS = "+155573910042", "203.0.113.239"
USER, STREET = "user mk7391/ä", "7391 Marked Street"
PEOPLE = (EMAIL, "zoe.o'mk7391", "private-mk7391", FIRST, LAST, PHONE, ADDRESS, USER, STREET)
HASHES = (hashlib.sha256(EMAIL.encode()).hexdigest(),)


def environment(upstream: str, database_url: str) -> dict[str, str]:
    """Every variable that a secret may stand in, and everything configured."""
    return {
        "DATABASE_URL": database_url,
        "BRIDGE_TOKENS": ",".join(
            f"{name}:{secret}" + ("" if name == "all" else f":{name}")
            for name, secret in TOKENS.items()
            if name != "none"
        ),
        "SECRET_KEY": SIGNING,
        "CONSOLE_USERS": f"ada:{PASSWORD_HASH}:publisher",
        "ROKT_WEBHOOK_SECRET": f"{WEBHOOK},{OLD_WEBHOOK}",
        "ROKT_CALENDAR_URL": upstream,
        "ROKT_CALENDAR_CLIENT_ID": "an-id",
        "ROKT_CALENDAR_CLIENT_ID__SHOP": "another-id",
        "BRAZE_REST_URL": upstream,
        "ROKT_API_URL": upstream,
        "ROKT_AUDIENCE_URL": upstream,
        "ROKT_ACCOUNT_ID": "1234",
        "ROKT_APP_ID": "an-app",
        "ROKT_EVENTS_URL": f"{upstream}/v2",
        "ROKT_EVENTS_ENVIRONMENT": "development",
        "ROKT_OFFERS_URL": upstream,
        "ROKT_PUB_ID": "a-partner",
        "ROKT_TAG_ID": "1234567890",
        "OIDC_ISSUER": upstream,
        "OIDC_CLIENT_ID": "the-bridge",
        "OIDC_ROLES": f"{EMAIL}:publisher,*:viewer",
        "BATCH_AGE": "1s",
        **UPSTREAM,
    }


def forms_of(mark: str) -> set[str]:
    """In small letters: as it is, and as URLs, JSON, HTML, Python, Base64 and hexadecimal digits have it."""
    raw = mark.encode()
    forms = {mark, quote(mark), quote(mark, safe=""), quote_plus(mark), html.escape(mark), repr(mark)[1:-1]}
    forms |= {html.escape(mark, quote=False), mark.replace("'", "&#39;"), raw.decode("latin-1"), raw.hex()}
    forms |= {json.dumps(mark)[1:-1], json.dumps(mark, ensure_ascii=False)[1:-1], repr(raw)[2:-1]}
    for before in range(3):  # it may begin anywhere in what was encoded
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(b"\0" * before + raw + b"\0" * ((-len(raw) - before) % 3)).decode()
            forms.add(whole[4 if before else 0 : -4])
    return {form.lower() for form in forms}


class Marks:
    """What must not show."""

    def __init__(self, marks: Iterable[str]) -> None:
        self._forms = {form: mark for mark in marks for form in forms_of(mark)}

    def shown_in(self, text: str) -> list[str]:
        """The marks that stand in a text, each with where it stands."""
        low = text.lower()
        return [
            f"{mark!r} in …{text[max(0, low.index(form) - 160) : low.index(form) + 100]}…"
            for form, mark in self._forms.items()
            if form in low
        ]


NO_SECRET = Marks(SECRETS)
NOTHING = Marks((*SECRETS, *PEOPLE, *HASHES))
