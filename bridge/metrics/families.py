"""Every metric that is served, with its labels. What a label may say is a fixed small set, whoever calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Kind = Literal["counter", "gauge", "histogram", "gaugehistogram"]


class Source(StrEnum):
    """Who knows it. What is of the database and of workers is the same at every web process."""

    DATABASE = "database"
    WORKERS = "workers"
    WEB = "web"
    BOTH = "web and workers"


@dataclass(frozen=True)
class Family:
    """`name` is without the ending that Prometheus asks of counters and histograms."""

    name: str
    kind: Kind
    source: Source
    words: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  # upper bounds, seconds if not said otherwise

    @property
    def samples(self) -> tuple[str, ...]:
        """The names of its series."""
        return tuple(self.name + ending for ending in _ENDINGS[self.kind])


_ENDINGS: Mapping[Kind, tuple[str, ...]] = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "gaugehistogram": ("_bucket", "_gcount"),
}
_ANSWER = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0)
_CALL = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
_STATEMENT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_GROUP = (1, 2, 4, 8, 16, 32, 64)  # requests
_DB, _WORKERS, _WEB = Source.DATABASE, Source.WORKERS, Source.WEB

HTTP = Family(
    "bridge_http_seconds",
    "histogram",
    _WEB,
    "From reading a request to its answer",
    ("route", "status"),
    _ANSWER,
)
FAULTS = Family("bridge_http_faults", "counter", _WEB, "Answers 500, faults of the bridge's own", ("route",))
GROUPS = Family(
    "bridge_group_commit_requests", "histogram", _WEB, "Requests that one commit stored", (), _GROUP
)
OFFERS = Family(
    "bridge_offers", "counter", _WEB, "Questions for offers by what they were answered", ("outcome",)
)
DATABASE = Family(
    "bridge_database_seconds",
    "histogram",
    Source.BOTH,
    "What a statement or a commit took",
    ("process", "operation"),
    _STATEMENT,
)
UPSTREAM = Family(
    "bridge_upstream_seconds",
    "histogram",
    Source.BOTH,
    "Calls to Rokt and Braze, from the first byte to the last",
    ("destination", "status"),
    _CALL,
)
TOKENS = Family(
    "bridge_token_calls", "counter", _WORKERS, "Calls for OAuth tokens", ("destination", "outcome")
)
RETRIED = Family(
    "bridge_messages_retried",
    "counter",
    _WORKERS,
    "Attempts after which a message goes again",
    ("destination", "cause"),
)
SLOTS = Family(
    "bridge_budget_slots", "counter", _WORKERS, "Slots of the rate that were taken", ("destination",)
)
TAKEN_OVER = Family(
    "bridge_calls_taken_over", "counter", _WORKERS, "Calls of workers that were not heard of again"
)

UP = Family("bridge_database_up", "gauge", _DB, "1: the database answered within a second")
READY = Family("bridge_ready", "gauge", _DB, "1: the database answers and has this release's schema")
BUILD = Family("bridge_build_info", "gauge", _WEB, "1, with what runs", ("version", "python"))
ACCEPTED = Family("bridge_messages_accepted", "counter", _DB, "Messages that came", ("destination",))
DELIVERED = Family("bridge_messages_delivered", "counter", _DB, "Messages delivered", ("destination",))
DEAD = Family("bridge_messages_dead", "counter", _DB, "Messages that ended as dead", ("destination", "cause"))
UNCERTAIN = Family(
    "bridge_messages_uncertain", "counter", _DB, "Messages that came to wait for a person", ("destination",)
)
SKIPPED = Family(
    "bridge_messages_skipped", "counter", _DB, "Messages that did not have to leave", ("destination",)
)
SUPERSEDED = Family(
    "bridge_messages_superseded", "counter", _DB, "Messages that a later one overtook", ("destination",)
)
COUNTED_AGE = Family(
    "bridge_counted_age_seconds", "gauge", _DB, "How long ago what came and what ended was counted"
)
DELIVERY = Family(
    "bridge_delivery_seconds",
    "histogram",
    _DB,
    "From acceptance to delivery, of what was delivered",
    ("destination",),
)
WAITING_AGE = Family(
    "bridge_waiting_age_seconds", "gaugehistogram", _DB, "How old what waits is", ("destination",)
)
WAITING = Family("bridge_waiting_messages", "gauge", _DB, "Messages that wait", ("destination",))
OLDEST = Family("bridge_waiting_oldest_seconds", "gauge", _DB, "Age of the oldest of those", ("destination",))
UNDECIDED = Family(
    "bridge_uncertain_messages", "gauge", _DB, "Messages that wait for a person", ("destination",)
)
IN_FLIGHT = Family("bridge_calls_in_flight", "gauge", _DB, "Calls under way", ("destination",))
STATE = Family(
    "bridge_destination_state", "gauge", _DB, "1 for the state that it has", ("destination", "state")
)
REFUSED = Family(
    "bridge_refused_credentials", "gauge", _DB, "Accounts whose credential is refused", ("destination",)
)
RATE = Family(
    "bridge_budget_slots_per_second",
    "gauge",
    _DB,
    "Slots that there are, of all credentials in use",
    ("destination",),
)
LIVE_WORKERS = Family("bridge_workers", "gauge", _DB, "Workers heard of in the last 20 seconds")
JOBS = Family("bridge_jobs", "gauge", _DB, "Jobs that wait or run", ("state",))
SUSPENDED = Family("bridge_templates_suspended", "gauge", _DB, "Published templates that are suspended")

COUNTED = (HTTP, FAULTS, GROUPS, OFFERS, DATABASE, UPSTREAM, TOKENS, RETRIED, SLOTS, TAKEN_OVER)
READ = (
    *(UP, READY, BUILD, ACCEPTED, DELIVERED, DEAD, UNCERTAIN, SKIPPED, SUPERSEDED, COUNTED_AGE, DELIVERY),
    *(WAITING_AGE, WAITING, OLDEST, UNDECIDED, IN_FLIGHT, STATE, REFUSED, RATE, LIVE_WORKERS, JOBS),
    SUSPENDED,
)
FAMILIES = (*READ, *COUNTED)
