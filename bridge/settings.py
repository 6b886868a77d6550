"""The environment, read once into one frozen value; every fault of it is reported at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from bridge.errors import InvalidValue, SettingsInvalid, nearest
from bridge.rate import Rate

SCOPES = ("send", "read", "templates", "operate")
MIN_RETENTION_DAYS = 8  # a repeat is recognised for seven days, so its message must outlive them

T = TypeVar("T")


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
class Settings:
    database_url: str = field(repr=False)  # it holds a password
    is_development: bool
    keys: tuple[InboundKey, ...]
    secret_key: Secret
    calendar: CalendarSettings | None
    test_subscriptions: frozenset[str] = field(repr=False)
    retry_for: timedelta
    retention_days: int

    @property
    def rates(self) -> dict[str, Rate]:
        """The destinations whose variables are set, by name, with their rates."""
        return {} if self.calendar is None else {"rokt_calendar": self.calendar.rate}

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, is_web: bool = False) -> Settings:
        """Read the environment; `is_web`: what only the web process needs is asked for too.

        Errors: SettingsInvalid with every fault.
        """
        return _Reader(environ).settings(is_web)


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._faults: list[str] = []

    def settings(self, is_web: bool) -> Settings:
        is_development = (
            self._read("BRIDGE_ENV", "production", _one_of("production", "development")) == "development"
        )
        keys = self._read("BRIDGE_TOKENS", "", inbound_keys) or ()
        secret_key = self._text("SECRET_KEY")
        if is_web and not is_development:
            if not keys and not self._text("BRIDGE_TOKENS").strip(", "):
                self._faults.append("BRIDGE_TOKENS is missing: name:secret[:scope+scope], comma-separated")
            if not secret_key:
                self._faults.append("SECRET_KEY is missing: a long random text that signs links and sessions")
        settings = {
            "database_url": self._read("DATABASE_URL", "sqlite:///var/bridge.db", self._database_url),
            "is_development": is_development,
            "keys": keys,
            # Without a key of their own, development's processes still have to agree on one.
            "secret_key": Secret(
                secret_key or hashlib.sha256(self._text("BRIDGE_TOKENS").encode()).hexdigest()
            ),
            "calendar": self._calendar(is_development),
            "test_subscriptions": frozenset(
                filter(None, re.split(r"[,\s]+", self._text("TEST_SUBSCRIPTIONS").lower()))
            ),
            "retry_for": self._read("RETRY_FOR", "24h", duration),
            "retention_days": self._read("RETENTION_DAYS", "30", _at_least(MIN_RETENTION_DAYS)),
        }
        if self._faults:
            raise SettingsInvalid(self._faults)
        return Settings(**settings)  # type: ignore[arg-type]  # None stands only where a fault was noted

    def _calendar(self, is_development: bool) -> CalendarSettings | None:
        url = self._read("ROKT_CALENDAR_URL", "https://api.roktcalendar.com", _base_url(is_development))
        update_body = self._read("ROKT_CALENDAR_UPDATE_BODY", "wrapped", _one_of("wrapped", "flat"))
        rate = self._read("ROKT_CALENDAR_RATE", "0", _at_least(0))
        prefix, secret_prefix = "ROKT_CALENDAR_CLIENT_ID", "ROKT_CALENDAR_CLIENT_SECRET"
        ids = self._by_account(prefix)
        secrets = self._by_account(secret_prefix)
        for account in sorted(ids.keys() ^ secrets.keys()):
            have, lack = (prefix, secret_prefix) if account in ids else (secret_prefix, prefix)
            suffix = f"__{account}" if account else ""
            self._faults.append(f"{lack}{suffix} is missing: {have}{suffix} is set")
        credentials = {a: Credential(ids[a], Secret(secrets[a])) for a in ids.keys() & secrets.keys()}
        if not credentials or url is None or update_body is None or rate is None:
            return None
        return CalendarSettings(url, credentials, update_body, Rate(rate))

    def _by_account(self, name: str) -> dict[str, str]:
        found = {"": self._text(name)}
        found |= {k[len(name) + 2 :]: self._text(k) for k in self._environ if k.startswith(name + "__")}
        return {account: text for account, text in found.items() if text}

    def _text(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def _read(self, name: str, default: str, parse: Callable[[str], T]) -> T | None:
        try:
            return parse(self._text(name) or default)
        except InvalidValue as fault:
            self._faults.append(f"{name} {fault}")
            return None

    def _database_url(self, text: str) -> str:
        if text.startswith("sqlite:///") and len(text) > len("sqlite:///"):
            if self._text("DYNO"):
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


def duration(text: str) -> timedelta:
    """`90s`, `15m`, `24h`, `7d`; a bare number is seconds."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if not match or int(match[1]) == 0:
        raise InvalidValue("is not a time such as 90s, 15m, 24h or 7d")
    return timedelta(seconds=int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise InvalidValue(f"is neither {' nor '.join(choices)}")
        return text

    return parse


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < least:
            raise InvalidValue(f"is not a whole number of at least {least}")
        return int(text)

    return parse


def _base_url(allow_http: bool) -> Callable[[str], str]:
    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme == "http" and not allow_http:
            raise InvalidValue("starts with http://, which only BRIDGE_ENV=development allows: use https://")
        if (
            parts.scheme not in ("https", "http")
            or not parts.netloc
            or parts.query
            or parts.fragment
            or "@" in parts.netloc
        ):
            raise InvalidValue("is not an address such as https://api.roktcalendar.com")
        return text.rstrip("/")

    return parse
