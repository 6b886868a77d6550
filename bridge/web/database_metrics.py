"""What the database says for GET /metrics, as samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from sqlalchemy.engine import Connection

from bridge import schema
from bridge.calendar.versions import published_numbers
from bridge.database import clock
from bridge.message import State
from bridge.metrics import causes, families
from bridge.metrics.families import Family
from bridge.metrics.page import buckets
from bridge.metrics.samples import Key, Samples, key
from bridge.outbox import counters, gauges, ladder, states
from bridge.outbox import samples as counts
from bridge.outbox.jobs import OPEN as OPEN_JOBS
from bridge.outbox.states import CLOSED, OPEN, PAUSED, WHOLE, DestinationState
from bridge.rate import Rate

STATES = (OPEN, CLOSED, "paused")
_OF_COUNTS = {
    "accepted": families.ACCEPTED,
    State.DELIVERED: families.DELIVERED,
    State.UNCERTAIN: families.UNCERTAIN,
    State.SKIPPED: families.SKIPPED,
    State.SUPERSEDED: families.SUPERSEDED,
}


def read(connection: Connection, rates: Mapping[str, Rate]) -> Samples:
    """`rates`: of the destinations that are configured; what others left behind is told too."""
    if not schema.is_current(connection):
        return {key(families.READY.name): 0.0}
    now = clock(connection)
    totals = counts.totals(connection)
    waiting = counts.waiting_by_destination(connection)
    known = states.read_states(connection)
    names = sorted({*rates, *totals, *waiting, *(state.destination for state in known)})
    found: Samples = {key(families.READY.name): 1.0}
    found |= _whole(connection, now)
    found |= counters.read(connection)
    for name in names:
        found |= dict(_of_total(name, totals.get(name)))
        found |= dict(_of_states(name, [state for state in known if state.destination == name]))
    ages = counts.waiting_ages(connection, now)
    found |= _of_names(families.WAITING, names, {name: its.messages for name, its in waiting.items()})
    oldest = {name: _seconds(its.oldest_at, now) for name, its in waiting.items()}
    found |= _of_names(families.OLDEST, names, oldest)
    found |= _of_names(families.UNDECIDED, names, gauges.undecided(connection))
    found |= _of_names(families.IN_FLIGHT, names, gauges.in_flight(connection))
    for name in names:
        found |= buckets(families.WAITING_AGE, name, _in_seconds(ages.get(name, {})))
    return found | dict(_of_rates(connection, rates, known, now))


def _whole(connection: Connection, now: datetime) -> Samples:
    """What is of no destination."""
    numbers = published_numbers(connection).values()
    jobs = gauges.open_jobs(connection)
    found = {
        key(families.LIVE_WORKERS.name): float(counts.live_workers(connection, now)),
        key(families.SUSPENDED.name): float(sum(is_suspended for _, is_suspended in numbers)),
        **{key(families.JOBS.name, state=state): float(jobs.get(state, 0)) for state in OPEN_JOBS},
    }
    upto = counts.counted_upto(connection)
    return found if upto is None else found | {key(families.COUNTED_AGE.name): _seconds(upto, now)}


def _of_total(name: str, total: counts.Total | None) -> Iterator[tuple[Key, float]]:
    counted, took = (total.counts, total.took) if total else ({}, {})
    for what, family in _OF_COUNTS.items():
        yield _series(family, name), float(counted.get(what, 0))
    dead = {cause: total.causes.get(cause, 0) if total else 0 for cause in causes.OF_DEAD}
    # Those from before causes were counted are of none that is known.
    dead[causes.OTHER] += max(0, counted.get(State.DEAD, 0) - sum(dead.values()))
    for cause, count in dead.items():
        yield key(families.DEAD.samples[0], destination=name, cause=cause), float(count)
    yield from buckets(families.DELIVERY, name, _in_seconds(took)).items()


def _of_states(name: str, known: Iterable[DestinationState]) -> Iterator[tuple[Key, float]]:
    """A pause goes before all else."""
    closed = {state.account_code for state in known if state.state == CLOSED}
    stands = "paused" if PAUSED in closed else CLOSED if WHOLE in closed else OPEN
    for state in STATES:
        yield key(families.STATE.name, destination=name, state=state), float(state == stands)
    yield _series(families.REFUSED, name), float(len(closed - {PAUSED, WHOLE}))


def _of_rates(
    connection: Connection, rates: Mapping[str, Rate], known: Iterable[DestinationState], now: datetime
) -> Iterator[tuple[Key, float]]:
    in_use = gauges.credentials_in_use(connection, now)
    halved = {
        state.destination
        for state in known
        if state.account_code == WHOLE and state.halved_until and state.halved_until > now
    }
    for name, rate in rates.items():
        if rate.is_limited:
            each = 1 / rate.spacing.total_seconds() / (2 if name in halved else 1)
            yield _series(families.RATE, name), each * max(1, in_use.get(name, 0))


def _of_names(family: Family, names: Iterable[str], found: Mapping[str, float]) -> Samples:
    return {_series(family, name): float(found.get(name, 0)) for name in names}


def _series(family: Family, destination: str) -> Key:
    return key(family.samples[0], destination=destination)


def _in_seconds(held: ladder.Held) -> dict[float, int]:
    """All steps of the ladder, so that histograms of it can be added."""
    bounds = (*(ms / 1000 for ms in ladder.STEPS), float("inf"))
    return {bound: held.get(str(step), 0) for step, bound in enumerate(bounds)}


def _seconds(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
