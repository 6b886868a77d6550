"""The environment, read once into one frozen value; every fault of it is reported at once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bridge.errors import InvalidValue, SettingsInvalid, nearest
from bridge.rate import Rate
from bridge.variables import Variables, base_url, duration, on_off, one_of, size, some_of, whole

SCOPES = ("send", "read", "templates", "operate")
MIN_RETENTION_DAYS = 8  # a repeat is recognised for seven days, so its message must outlive them
ROLES = ("viewer", "editor", "publisher")  # of the console's people; each may what the one before it may
LEAST_SECRET = 16  # characters of what stands in the path of Rokt's webhook
LEAST_SIGNING = 16  # characters of the key that signs the console's sessions
MOST_OBJECTS = 225  # of one /users/track call: 75 attributes, 75 events, 75 purchases
CALENDAR_URL = "https://api.roktcalendar.com"
BRAZE_URL = "https://rest.iad-01.braze.com"  # of one of Braze's clusters, to show what is meant
API_URL = "https://api.rokt.com"
AUDIENCE_URL = "https://data.rokt.com"
OFFERS_URL = "https://server-api.rokt.com"
EVENTS_URL = "https://s2s.{pod}.mparticle.com/v2"
PODS = ("us1", "us2", "eu1", "au1")  # where Rokt keeps an account's data
INTEGRATION = (  # what Rokt has to know of whoever asks for offers, beside `metadata`
    "name",
    "version",
    "framework",
    "platform",
    "layoutSchemaVersion",
    "deviceLocale",
    "deviceModel",
    "deviceType",
    "operatingSystem",
    "operatingSystemVersion",
    "packageName",
    "packageVersion",
)
ATTRIBUTES = (  # what Rokt Calendar writes into Braze, each as rokt:…
    "account_code",
    "account_id",
    "account_name",
    "calendar_code",
    "calendar_id",
    "calendar_title",
    "country_code",
    "device_name",
    "geo_country",
    "optIn1",
    "optIn2",
    "source",
    "subscriber_email",
    "subscription_id",
    "subscription_method",
    "tags",
)


class Secret:
    """A text that shows itself only to whoever asks for it by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True)
class InboundKey:
    """One entry of BRIDGE_TOKENS."""

    name: str
    secret: Secret
    scopes: frozenset[str]


@dataclass(frozen=True)
class Credential:
    client_id: str
    secret: Secret


@dataclass(frozen=True)
class CalendarSettings:
    """Rokt Calendar. `credentials`: by account in the form of `account_key`, "" for every other account."""

    url: str
    credentials: Mapping[str, Credential]
    update_body: str
    rate: Rate = field(default_factory=Rate)  # of each credential

    def credential(self, account_code: str) -> Credential | None:
        return self.credentials.get(account_key(account_code)) or self.credentials.get("")


def account_key(account_code: str) -> str:
    """An account code as it stands in a variable's name: `my-shop` is `MY_SHOP`."""
    return account_code.upper().replace("-", "_")


@dataclass(frozen=True)
class IdentityRule:
    """Which profile of Braze is a subscriber's.

    `subscriber_id`: what Rokt's subscriber id is: external_id, email or alias. `fallback`: the second choice,
    email, alias or "" for none. `merges`: a profile that does not exist yet is made.
    """

    subscriber_id: str = "external_id"
    fallback: str = ""
    merges: bool = True


@dataclass(frozen=True)
class BrazeSettings:
    """Braze's REST API. `batch`: objects of one call; `attributes`: the facts that are sent, without `rokt:`."""

    url: str
    api_key: Secret
    batch: int
    rate: Rate
    captures_email: bool
    attributes: tuple[str, ...]
    merges: bool


@dataclass(frozen=True)
class RoktApiSettings:
    """An account of Rokt's older API. `key`: the pair rpub and rsec, of v2 events and custom audiences; `app`: App ID
    and App Secret, of v1 events. `audience_url`: of custom audiences, which stand elsewhere.
    """

    url: str
    account_id: str
    key: Credential | None
    app: Credential | None
    audience_url: str = AUDIENCE_URL


@dataclass(frozen=True)
class RoktEventsSettings:
    """Rokt's Event API on mParticle. `environment`: development or production; `rate`: of batches."""

    url: str
    key: str
    secret: Secret
    environment: str
    rate: Rate


@dataclass(frozen=True)
class ConversionSettings:
    """`goes_to`: mparticle, v2 or v1. `fills_confirmation_ref`: from the transaction id, where there is none."""

    goes_to: str = "mparticle"
    fills_confirmation_ref: bool = False


@dataclass(frozen=True)
class OffersSettings:
    """Rokt's partner experiences. `integration`: what is laid under a request's own before the bridge's."""

    url: str
    pub_id: str
    secret: Secret
    tag_id: str
    integration: Mapping[str, Any]


@dataclass(frozen=True)
class SubscriberSettings:
    """How what Rokt says of its subscribers is taken in. `syncs`: Braze is told; else the ledger alone is kept."""

    webhook_secrets: tuple[Secret, ...]
    rule: IdentityRule
    syncs: bool
    sends_unsubscribe: bool


@dataclass(frozen=True)
class ConsoleUser:
    """One entry of CONSOLE_USERS."""

    name: str
    password_hash: Secret
    role: str


@dataclass(frozen=True)
class OidcSettings:
    """An OpenID provider that says who somebody is. `issuer`: as it stands in its tokens, but for a last slash.

    `roles`: by address or group, "*" for everybody else; who has none does not come in.
    """

    issuer: str
    client_id: str
    client_secret: Secret
    roles: Mapping[str, str]


@dataclass(frozen=True)
class ConsoleSettings:
    """Who may sign in to the console; it is off if nobody may."""

    users: tuple[ConsoleUser, ...] = ()
    oidc: OidcSettings | None = None

    @property
    def is_on(self) -> bool:
        return bool(self.users or self.oidc)


@dataclass(frozen=True)
class BatchSettings:
    """When a batch leaves: at so many messages, at this age of its oldest, at so many bytes."""

    count: int = 100
    age: timedelta = timedelta(seconds=1)
    size: int = 1_000_000


@dataclass(frozen=True)
class Settings:
    database_url: str = field(repr=False)  # it holds a password
    is_development: bool
    keys: tuple[InboundKey, ...]
    secret_key: Secret
    calendar: CalendarSettings | None
    braze: BrazeSettings | None
    rokt_api: RoktApiSettings | None
    rokt_events: RoktEventsSettings | None
    conversions: ConversionSettings
    offers: OffersSettings | None
    subscribers: SubscriberSettings
    console: ConsoleSettings
    batch: BatchSettings
    test_subscriptions: frozenset[str] = field(repr=False)
    retry_for: timedelta
    retention_days: int

    @property
    def rates(self) -> dict[str, Rate]:
        """The destinations whose variables are set, by name, with their rates."""
        by_name = {"rokt_calendar": self.calendar, "braze": self.braze, "rokt_events": self.rokt_events}
        rates = {name: its.rate for name, its in by_name.items() if its is not None}
        if self.rokt_api is not None:  # Rokt names no limit of it
            key, app = self.rokt_api.key, self.rokt_api.app
            pairs = {"rokt_api_v2": key, "rokt_api_v1": app, "rokt_audiences": key}
            rates |= {name: Rate() for name, pair in pairs.items() if pair is not None}
        return rates

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, is_web: bool = False) -> Settings:
        """Read the environment; `is_web`: what only the web process needs is asked for too.

        Errors: SettingsInvalid with every fault.
        """
        return _Reader(environ).settings(is_web)


class _Reader(Variables):
    """What could not be read is None in the settings that are built; but then there are faults and nobody sees it."""

    def settings(self, is_web: bool) -> Settings:
        is_development = (
            self.read("BRIDGE_ENV", "production", one_of("production", "development")) == "development"
        )
        keys = self.read("BRIDGE_TOKENS", "", inbound_keys) or ()
        secret_key = self.text("SECRET_KEY")
        console = self._console(is_development)
        if is_web and not is_development:
            if not keys and not self.text("BRIDGE_TOKENS").strip(", "):
                self.faults.append("BRIDGE_TOKENS is missing: name:secret[:scope+scope], comma-separated")
            if not secret_key:
                self.faults.append("SECRET_KEY is missing: a long random text that signs links and sessions")
        if is_web and console.is_on and len(secret_key) < LEAST_SIGNING and (secret_key or is_development):
            # Whoever guesses it signs in to the console as whom they like.
            self.faults.append(
                f"SECRET_KEY is {'too short' if secret_key else 'missing'}: it signs the console's sessions, so "
                "make it long and random, such as `openssl rand -hex 32` prints"
            )
        merges = self.read("ROKT_SUBSCRIBER_MERGE", "on", on_off)
        settings = Settings(
            database_url=self.read("DATABASE_URL", "sqlite:///var/bridge.db", self._database_url),
            is_development=is_development,
            keys=keys,
            # Without a key of their own, development's processes still have to agree on one.
            secret_key=Secret(secret_key or hashlib.sha256(self.text("BRIDGE_TOKENS").encode()).hexdigest()),
            calendar=self._calendar(is_development),
            braze=self._braze(is_development, merges),
            rokt_api=self._rokt_api(is_development),
            rokt_events=self._rokt_events(is_development),
            conversions=ConversionSettings(
                goes_to=self.read("ROKT_CONVERSIONS", "mparticle", one_of("mparticle", "v2", "v1")),
                fills_confirmation_ref=self.read(
                    "ROKT_CONFIRMATIONREF", "none", one_of("none", "transaction_id")
                )
                == "transaction_id",
            ),
            offers=self._offers(is_development),
            subscribers=self._subscribers(merges),
            console=console,
            batch=BatchSettings(
                count=self.read("BATCH_COUNT", "100", whole(1)),
                age=self.read("BATCH_AGE", "1s", duration),
                size=self.read("BATCH_BYTES", "1MB", size),
            ),
            test_subscriptions=frozenset(
                filter(None, re.split(r"[,\s]+", self.text("TEST_SUBSCRIPTIONS").lower()))
            ),
            retry_for=self.read("RETRY_FOR", "24h", duration),
            retention_days=self.read("RETENTION_DAYS", "30", whole(MIN_RETENTION_DAYS)),
        )
        if self.faults:
            raise SettingsInvalid(self.faults)
        return settings

    def _calendar(self, is_development: bool) -> CalendarSettings | None:
        url = self.read("ROKT_CALENDAR_URL", CALENDAR_URL, base_url(CALENDAR_URL, allow_http=is_development))
        update_body = self.read("ROKT_CALENDAR_UPDATE_BODY", "wrapped", one_of("wrapped", "flat"))
        rate = Rate(self.read("ROKT_CALENDAR_RATE", "0", whole(0)))
        prefix, secret_prefix = "ROKT_CALENDAR_CLIENT_ID", "ROKT_CALENDAR_CLIENT_SECRET"
        ids = self.by_account(prefix)
        secrets = self.by_account(secret_prefix)
        for account in sorted(ids.keys() | secrets.keys()):
            suffix = f"__{account}" if account else ""
            self.pair(prefix + suffix, secret_prefix + suffix)
        credentials = {a: Credential(ids[a], Secret(secrets[a])) for a in ids.keys() & secrets.keys()}
        return CalendarSettings(url, credentials, update_body, rate) if credentials else None

    def _braze(self, is_development: bool, merges: bool) -> BrazeSettings | None:
        is_on = self.pair("BRAZE_REST_URL", "BRAZE_API_KEY")
        url = self.read("BRAZE_REST_URL", BRAZE_URL, base_url(BRAZE_URL, allow_http=is_development))
        braze = BrazeSettings(
            url=url,
            api_key=self.read("BRAZE_API_KEY", "", _api_key),
            batch=self.read("BRAZE_TRACK_BATCH", "75", whole(2, MOST_OBJECTS)),
            rate=Rate(self.read("BRAZE_TRACK_RATE", "1000", whole(0))),
            captures_email=self.read("BRAZE_EMAIL_CAPTURE", "off", on_off),
            attributes=self.read("ROKT_ATTRIBUTES", "", some_of(ATTRIBUTES, "rokt:")),
            merges=merges,
        )
        return braze if is_on else None

    def _rokt_api(self, is_development: bool) -> RoktApiSettings | None:
        url = self.read("ROKT_API_URL", API_URL, base_url(API_URL, allow_http=is_development))
        audiences = base_url(AUDIENCE_URL, allow_http=is_development)
        audience_url = self.read("ROKT_AUDIENCE_URL", AUDIENCE_URL, audiences)
        key = self._credential("ROKT_API_KEY", "ROKT_API_SECRET")
        app = self._credential("ROKT_APP_ID", "ROKT_APP_SECRET")
        account_id = self.read("ROKT_ACCOUNT_ID", "", _account_id)
        others = [name for name in ("ROKT_API_KEY", "ROKT_APP_ID") if self.text(name)]
        if others and not self.text("ROKT_ACCOUNT_ID"):
            self.faults.append(f"ROKT_ACCOUNT_ID is missing: {others[0]} is set")
        return RoktApiSettings(url, account_id, key, app, audience_url) if account_id else None

    def _credential(self, name: str, secret_name: str) -> Credential | None:
        is_set = self.pair(name, secret_name)
        client_id, secret = self.read(name, "", _user), self.read(secret_name, "", _api_key)
        return Credential(client_id, secret) if is_set else None

    def _rokt_events(self, is_development: bool) -> RoktEventsSettings | None:
        pod, url = "ROKT_EVENTS_POD", "ROKT_EVENTS_URL"
        names = ("ROKT_EVENTS_KEY", "ROKT_EVENTS_SECRET", "ROKT_EVENTS_ENVIRONMENT")
        given = [name for name in (pod, url, *names) if self.text(name)]
        if given:
            self.faults += [f"{name} is missing: {given[0]} is set" for name in names if name not in given]
            if not {pod, url} & set(given):
                self.faults.append(f"{pod} is missing (or {url}): {given[0]} is set")
        if {pod, url} <= set(given):
            self.faults.append(f"{pod} and {url} are both set: say one of the two")
        its_pod = self.read(pod, PODS[0], lambda text: one_of(*PODS)(text.lower()))
        example = EVENTS_URL.format(pod=its_pod or PODS[0])
        events = RoktEventsSettings(
            url=self.read(url, example, lambda text: _events_base(text, is_development)),
            key=self.read("ROKT_EVENTS_KEY", "", _user),
            secret=self.read("ROKT_EVENTS_SECRET", "", _api_key),
            environment=self.read(
                "ROKT_EVENTS_ENVIRONMENT", "development", one_of("development", "production")
            ),
            rate=Rate(self.read("ROKT_EVENTS_RATE", "270", whole(0)), per="item"),
        )
        return events if given else None

    def _offers(self, is_development: bool) -> OffersSettings | None:
        names = ("ROKT_PUB_ID", "ROKT_SECRET", "ROKT_TAG_ID")
        given = [name for name in names if self.text(name)]
        if given:
            lacking = [name for name in names if name not in given]
            self.faults.extend(f"{name} is missing: {given[0]} is set" for name in lacking)
        offers = OffersSettings(
            url=self.read("ROKT_OFFERS_URL", OFFERS_URL, base_url(OFFERS_URL, allow_http=is_development)),
            pub_id=self.read("ROKT_PUB_ID", "", _header),
            secret=Secret(self.read("ROKT_SECRET", "", _header)),
            tag_id=self.read("ROKT_TAG_ID", "", _header),
            integration=self.read("ROKT_OFFERS_INTEGRATION", "{}", integration),
        )
        return offers if given else None

    def _console(self, is_development: bool) -> ConsoleSettings:
        names = ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")
        given = [name for name in names if self.text(name)]
        if given:
            lacking = [name for name in names if name not in given]
            self.faults.extend(f"{name} is missing: {given[0]} is set" for name in lacking)
        example = "https://login.example.com"
        oidc = OidcSettings(
            issuer=self.read("OIDC_ISSUER", example, base_url(example, allow_http=is_development)),
            client_id=self.read("OIDC_CLIENT_ID", "", _header),
            client_secret=self.read("OIDC_CLIENT_SECRET", "", _api_key),
            roles=self.read("OIDC_ROLES", f"*:{ROLES[0]}", oidc_roles),
        )
        users = self.read("CONSOLE_USERS", "", console_users) or ()
        return ConsoleSettings(users, oidc if given else None)

    def _subscribers(self, merges: bool) -> SubscriberSettings:
        fallback = self.read("ROKT_SUBSCRIBER_FALLBACK", "none", one_of("none", "email", "alias"))
        return SubscriberSettings(
            webhook_secrets=self.read("ROKT_WEBHOOK_SECRET", "", webhook_secrets),
            rule=IdentityRule(
                subscriber_id=self.read(
                    "ROKT_SUBSCRIBER_ID", "external_id", one_of("external_id", "email", "alias")
                ),
                fallback="" if fallback == "none" else fallback,
                merges=merges,
            ),
            syncs=self.read("BRAZE_SYNC", "on", on_off),
            sends_unsubscribe=self.read("BRAZE_UNSUBSCRIBE_EVENT", "on", on_off),
        )

    def _database_url(self, text: str) -> str:
        if text.startswith("sqlite:///") and len(text) > len("sqlite:///"):
            if self.text("DYNO"):
                raise InvalidValue(
                    "is SQLite, and Heroku forgets its disk at every restart: "
                    "run `heroku addons:create heroku-postgresql`, which sets DATABASE_URL"
                )
            return text
        scheme, separator, rest = text.partition("://")
        if separator and rest and scheme in ("postgres", "postgresql", "postgresql+psycopg"):
            return f"postgresql+psycopg://{rest}"
        raise InvalidValue("is neither sqlite:///path nor postgresql://user:password@host/database")


def inbound_keys(text: str) -> tuple[InboundKey, ...]:
    """`name:secret[:scope+scope],…`. Errors: InvalidValue that names the entry, never its secret."""
    keys: list[InboundKey] = []
    for number, entry in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        parts = entry.split(":")
        if len(parts) not in (2, 3) or not parts[0] or not parts[1]:
            raise InvalidValue(f"entry {number} is not name:secret or name:secret:scope+scope")
        name, secret = parts[:2]
        scopes = frozenset(parts[2].split("+")) if len(parts) == 3 else frozenset(SCOPES)
        for scope in sorted(scopes - set(SCOPES)):
            # What looks like no scope may be the rest of a secret with a colon, and is not shown.
            hint = nearest(scope, SCOPES, 1)
            told = (
                f"has the unknown scope {scope!r}; did you mean {hint[0]!r}?"
                if hint
                else "has an unknown scope"
            )
            raise InvalidValue(
                f"entry {number} ({name}) {told}" + ("" if hint else f"; there are {', '.join(SCOPES)}")
            )
        keys.append(InboundKey(name, Secret(secret), scopes))
    return tuple(keys)


def console_users(text: str) -> tuple[ConsoleUser, ...]:
    """`name:password-hash[:role],…`. Errors: InvalidValue that names the entry, never its password or hash."""
    users: list[ConsoleUser] = []
    for number, entry in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        name, _, rest = entry.partition(":")
        told = f"entry {number}" + (f" ({name})" if rest and name else "")
        match = re.fullmatch(r"(scrypt:[0-9:]{5,20}\$[A-Za-z0-9]{8,64}\$[0-9a-f]{128})(?::(.*))?", rest)
        if not name or not match:
            raise InvalidValue(
                f"{told} is not name:password-hash or name:password-hash:role; `python -m bridge hash-password` "
                "makes the hash, which holds $ and so needs single quotes in a shell"
            )
        role = match[2] or ROLES[-1]
        if role not in ROLES:
            raise InvalidValue(f"{told} has the unknown role {role[:20]!r}; there are {', '.join(ROLES)}")
        if name in (user.name for user in users):
            raise InvalidValue(f"{told} has a name that another entry has already")
        users.append(ConsoleUser(name, Secret(match[1]), role))
    return tuple(users)


def oidc_roles(text: str) -> Mapping[str, str]:
    """`address-or-group:role,…`, with * for everybody else. Errors: InvalidValue."""
    roles: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        who, _, role = (part.strip() for part in entry.rpartition(":"))
        if not who or role not in ROLES:
            raise InvalidValue(
                f"has {entry[:60]!r}, which is not somebody:role such as ada@example.com:publisher, "
                f"marketing:editor or *:viewer; there are {', '.join(ROLES)}"
            )
        roles[who] = role
    return roles


def webhook_secrets(text: str) -> tuple[Secret, ...]:
    """Two while one is replaced by the other. Errors: InvalidValue that names the entry, never its text."""
    entries = [part.strip() for part in text.split(",") if part.strip()]
    for number, entry in enumerate(entries, 1):
        if len(entry) < LEAST_SECRET or not re.fullmatch(r"[A-Za-z0-9._~-]+", entry):
            raise InvalidValue(
                f"entry {number} is not fit to stand in an address: at least {LEAST_SECRET} letters, digits, "
                "- or _, such as `openssl rand -hex 24` makes"
            )
    return tuple(Secret(entry) for entry in entries)


def integration(text: str) -> Mapping[str, Any]:
    """Some of Rokt's fields of an integration, as JSON. Errors: InvalidValue with all that is wrong."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as wrong:
        where = (
            f": line {wrong.lineno}, column {wrong.colno}" if isinstance(wrong, json.JSONDecodeError) else ""
        )
        raise InvalidValue(f'is not JSON such as {{"deviceLocale": "en-AU"}}{where}') from wrong
    if not isinstance(given, dict):
        raise InvalidValue('is not an object in braces such as {"deviceLocale": "en-AU"}')
    told = []
    for name, value in given.items():
        if name == "metadata":
            is_map = isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
            told += [] if is_map else ["has a metadata that is no object of texts"]
        elif name not in INTEGRATION:
            near = nearest(name[:60], (*INTEGRATION, "metadata"), 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(INTEGRATION)} and metadata"
            told.append(f"has the unknown {name[:60]!r}; {meant}")
        elif not isinstance(value, str) or not value.strip():
            told.append(f"has a {name} that is no text in quotes, or blank")
    if told:
        raise InvalidValue(", and ".join(told))
    return given


def _api_key(text: str) -> Secret:
    return Secret(_header(text))


def _header(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]*", text):
        raise InvalidValue("holds a blank or a letter that no key has: copy it once more")
    return text


def _user(text: str) -> str:
    """The first half of an HTTP Basic pair, which a colon ends."""
    if ":" in text:
        raise InvalidValue("holds a colon, which no key has: its secret stands in a variable of its own")
    return _api_key(text).reveal()


def _events_base(text: str, is_development: bool) -> str:
    """What /events and /bulkevents follow."""
    base = base_url(EVENTS_URL.format(pod=PODS[0]), allow_http=is_development)(text)
    if base.endswith(("/events", "/bulkevents")):
        raise InvalidValue("ends in the path of a call: leave /events out, what ends in /v2 is the base")
    return base


def _account_id(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{0,64}", text):
        raise InvalidValue("is not an account's id: up to 64 letters and digits without blanks")
    return text
