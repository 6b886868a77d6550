"""The environment, read once into one frozen value; every fault of it is reported at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from bridge.errors import InvalidValue, SettingsInvalid
from bridge.rate import Rate
from bridge.settings.console import ConsoleSettings, console
from bridge.settings.declared import Setup, declared
from bridge.settings.inbound import InboundKey, inbound_keys
from bridge.settings.offers import OffersSettings, offers
from bridge.settings.secret import Secret
from bridge.settings.subscribers import SubscriberSettings, subscribers
from bridge.settings.upstreams import BrazeSettings, CalendarSettings, RoktApiSettings, RoktEventsSettings
from bridge.settings.variables import Variables, duration, one_of, size, whole

MIN_RETENTION_DAYS = 8  # a repeat is recognised for seven days, so its message must outlive them
LEAST_SIGNING = 16  # characters of the key that signs the console's sessions

S = TypeVar("S")


@dataclass(frozen=True)
class ConversionSettings:
    """`goes_to`: mparticle, v2 or v1. `fills_confirmation_ref`: from the transaction id, where there is none."""

    goes_to: str = "mparticle"
    fills_confirmation_ref: bool = False


@dataclass(frozen=True)
class BatchSettings:
    """When a batch leaves: at so many messages, at this age of its oldest, at so many bytes."""

    count: int = 100
    age: timedelta = timedelta(seconds=1)
    size: int = 1_000_000


@dataclass(frozen=True)
class Settings:
    """`destinations`: those whose variables are set, by name."""

    database_url: str = field(repr=False)  # it holds a password
    is_development: bool
    keys: tuple[InboundKey, ...]
    secret_key: Secret  # it signs; what one of `older_secret_keys` signed holds too
    destinations: Mapping[str, Setup[Any]]
    conversions: ConversionSettings
    offers: OffersSettings | None
    subscribers: SubscriberSettings
    console: ConsoleSettings
    batch: BatchSettings
    test_subscriptions: frozenset[str] = field(repr=False)
    retry_for: timedelta
    retention_days: int
    dyno: str = ""  # of Heroku's, which one this is
    older_secret_keys: tuple[Secret, ...] = ()

    @property
    def signing_keys(self) -> list[str]:
        """As itsdangerous takes them: the last one signs, any of them verifies."""
        return [key.reveal() for key in (*self.older_secret_keys, self.secret_key)]

    @property
    def rates(self) -> dict[str, Rate]:
        return {name: setup.rate for name, setup in self.destinations.items()}

    # What dry runs and routes look at of a destination.
    @property
    def calendar(self) -> CalendarSettings | None:
        return self._of("rokt_calendar", CalendarSettings)

    @property
    def braze(self) -> BrazeSettings | None:
        return self._of("braze", BrazeSettings)

    @property
    def rokt_events(self) -> RoktEventsSettings | None:
        return self._of("rokt_events", RoktEventsSettings)

    @property
    def rokt_api(self) -> RoktApiSettings | None:
        """With the pairs of both versions; with that of the second come custom audiences."""
        pairs = (self._of(name, RoktApiSettings) for name in ("rokt_audiences", "rokt_api_v1"))
        return next(filter(None, pairs), None)

    def _of(self, destination: str, kind: type[S]) -> S | None:
        setup = self.destinations.get(destination)
        if setup is None:
            return None
        assert isinstance(setup.settings, kind)
        return setup.settings

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, is_web: bool = False) -> Settings:
        """Read the environment; `is_web`: what only the web process needs is asked for too.

        Errors: SettingsInvalid with every fault.
        """
        variables = Variables(environ)
        read = variables.read
        keys = read("BRIDGE_TOKENS", "", inbound_keys) or ()
        its_console = console(variables)
        secret_key, *older_secret_keys = _secret_keys(variables)
        if is_web:
            _needs_of_web(variables, keys, its_console)
        setups = {name: one.read(variables) for name, one in declared().items()}
        settings = cls(
            database_url=read(
                "DATABASE_URL", "sqlite:///var/bridge.db", lambda text: _database_url(text, variables)
            ),
            is_development=variables.is_development,
            keys=keys,
            # Without a key of their own, development's processes still have to agree on one.
            secret_key=Secret(
                secret_key or hashlib.sha256(variables.text("BRIDGE_TOKENS").encode()).hexdigest()
            ),
            destinations={name: setup for name, setup in setups.items() if setup is not None},
            conversions=_conversions(variables),
            offers=offers(variables),
            subscribers=subscribers(variables),
            console=its_console,
            batch=_batch(variables),
            test_subscriptions=frozenset(
                filter(None, re.split(r"[,\s]+", variables.text("TEST_SUBSCRIPTIONS").lower()))
            ),
            retry_for=read("RETRY_FOR", "24h", duration),
            retention_days=read("RETENTION_DAYS", "30", whole(MIN_RETENTION_DAYS)),
            dyno=variables.text("DYNO"),
            older_secret_keys=tuple(map(Secret, older_secret_keys)),
        )
        if variables.faults:
            raise SettingsInvalid(variables.faults)
        return settings


def _needs_of_web(variables: Variables, keys: tuple[InboundKey, ...], its_console: ConsoleSettings) -> None:
    secret_key, *older_secret_keys = _secret_keys(variables)
    if not variables.is_development:
        if not keys and not variables.text("BRIDGE_TOKENS").strip(", "):
            variables.fault("BRIDGE_TOKENS is missing: name:secret[:scope+scope], comma-separated")
        if not secret_key:
            variables.fault("SECRET_KEY is missing: a long random text that signs links and sessions")
    shortest = min(map(len, (secret_key, *older_secret_keys)))
    is_short = shortest < LEAST_SIGNING and (secret_key or variables.is_development)
    if its_console.is_on and is_short:
        # Whoever guesses it signs in to the console as whom they like.
        variables.fault(
            f"SECRET_KEY is {'too short' if secret_key else 'missing'}: it signs the console's sessions, so "
            "make it long and random, such as `openssl rand -hex 32` prints"
        )


def _secret_keys(variables: Variables) -> list[str]:
    """The one that signs, then those that are going out or coming in; a blank one if there is none."""
    return [key for part in variables.text("SECRET_KEY").split(",") if (key := part.strip())] or [""]


def _conversions(variables: Variables) -> ConversionSettings:
    filled_from = variables.read("ROKT_CONFIRMATIONREF", "none", one_of("none", "transaction_id"))
    return ConversionSettings(
        goes_to=variables.read("ROKT_CONVERSIONS", "mparticle", one_of("mparticle", "v2", "v1")),
        fills_confirmation_ref=filled_from == "transaction_id",
    )


def _batch(variables: Variables) -> BatchSettings:
    return BatchSettings(
        count=variables.read("BATCH_COUNT", "100", whole(1)),
        age=variables.read("BATCH_AGE", "1s", duration),
        size=variables.read("BATCH_BYTES", "1MB", size),
    )


def _database_url(text: str, variables: Variables) -> str:
    if text.startswith("sqlite:///") and len(text) > len("sqlite:///"):
        if variables.text("DYNO"):
            raise InvalidValue(
                "is SQLite, and Heroku forgets its disk at every restart: "
                "run `heroku addons:create heroku-postgresql`, which sets DATABASE_URL"
            )
        return text
    scheme, separator, rest = text.partition("://")
    if separator and rest and scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        return f"postgresql+psycopg://{rest}"
    raise InvalidValue("is neither sqlite:///path nor postgresql://user:password@host/database")
