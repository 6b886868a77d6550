"""The settings of upstreams that web and worker both look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.rate import Rate
from bridge.settings.secret import Credential, Secret

CALENDAR_URL = "https://api.roktcalendar.com"
AUDIENCE_URL = "https://data.rokt.com"


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
    key: str = field(repr=False)
    secret: Secret
    environment: str
    rate: Rate
